// The official OpenAI SDK for Node: films.
import OpenAI, { toFile } from "openai";
import { setTimeout as pause } from "node:timers/promises";
import { play, png } from "./scenes.mjs";

const LOOKS = 600;
const picture = Buffer.from(png.split(",")[1], "base64");
const bytes = async (answer) => Buffer.from(await answer.arrayBuffer());
const isFilm = (data) => data.subarray(4, 8).toString("latin1") === "ftyp";

await play((door) => {
  const client = new OpenAI({ baseURL: `${door.url}/v1`, apiKey: door.licence, maxRetries: 0, timeout: 60000 });
  const begin = (more = {}) => client.videos.create({ model: door.model, prompt: "A boat leaves", ...more });

  // The SDK for Node has no call that waits.
  async function over(video) {
    for (let look = 0; look < LOOKS && ["queued", "in_progress"].includes(video.status); look++) {
      await pause(50);
      video = await client.videos.retrieve(video.id);
    }
    return video;
  }
  const film = async (video) => isFilm(await bytes(await client.videos.downloadContent(video.id)));
  const made = async (more) => over(await begin(more));
  const ends = async (video) => {
    const done = await over(video);
    return [done.status, await film(done)];
  };
  let first;
  const ready = () => (first ??= made());

  return {
    async created() {
      const video = await begin();
      return [video.object, typeof video.created_at, typeof video.progress, typeof video.seconds, video.model === door.model];
    },
    async retrieved() {
      const video = await ready();
      return [video.status, video.progress, video.error, video.completed_at >= video.created_at];
    },
    async content() {
      const answer = await client.videos.downloadContent((await ready()).id);
      const data = await bytes(answer);
      return [answer.status, answer.headers.get("content-type"), isFilm(data), data.length === Number(answer.headers.get("content-length"))];
    },
    async part() {
      const whole = await bytes(await client.videos.downloadContent((await ready()).id));
      const answer = await client.videos.downloadContent((await ready()).id, {}, { headers: { Range: "bytes=4-11" } });
      return [answer.status, (await bytes(answer)).equals(whole.subarray(4, 12))];
    },
    reference: async () => ends(await begin({ input_reference: await toFile(picture, "boat.png", { type: "image/png" }) })),
    async remixed() {
      const video = await client.videos.remix((await ready()).id, { prompt: "The boat is red" });
      return [video.remixed_from_video_id === (await ready()).id, ...(await ends(video))];
    },
    edited: async () => ends(await client.videos.edit({ prompt: "The sea is calm", video: { id: (await ready()).id } })),
    extended: async () => ends(await client.videos.extend({ prompt: "It comes back", seconds: "8", video: { id: (await ready()).id } })),
    async listed() {
      const mine = [(await begin()).id, (await begin()).id];
      const found = [];
      for await (const video of client.videos.list({ limit: 1 })) if (found.push(video.id) === 2) break;
      return found.reverse().every((id, place) => id === mine[place]);
    },
    async deleted() {
      const video = await made();
      const gone = await client.videos.delete(video.id);
      const left = await client.videos.retrieve(video.id).catch((error) => error.status);
      return [gone.object, gone.deleted, left];
    },
    async failed() {
      const video = await made({ prompt: "A boat sinks\nsimulate: failed" });
      return [video.status, Boolean(video.error.code && video.error.message)];
    },
    async too_early() {
      return film(await begin({ prompt: "A slow boat\nsimulate: takes=30" }));
    },
    wrong_model: () => begin({ model: "no-such-model" }),
    wrong_size: () => begin({ size: "large" }),
    nobodys: () => client.videos.retrieve("video_00000000000000000000000000000000"),
  };
});
