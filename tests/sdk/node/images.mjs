// The official OpenAI SDK for Node: images.
import OpenAI, { toFile } from "openai";
import { play, png } from "./scenes.mjs";

const given = Buffer.from(png.split(",")[1], "base64");
const bytes = (image) => Buffer.from(image.b64_json, "base64");

// What a picture is, from its first bytes.
function kind(data) {
  if (data.subarray(1, 4).toString("latin1") === "PNG") return "png";
  if (data[0] === 0xff && data[1] === 0xd8) return "jpeg";
  return data.subarray(8, 12).toString("latin1") === "WEBP" ? "webp" : "nothing";
}

await play((door) => {
  const client = new OpenAI({ baseURL: `${door.url}/v1`, apiKey: door.licence, maxRetries: 0, timeout: 20000 });
  const generate = (more = {}) => client.images.generate({ model: door.model, prompt: "A kite", ...more });
  const edit = (image, more = {}) => client.images.edit({ model: door.model, prompt: "At night", image, ...more });

  return {
    async several() {
      const reply = await generate({ n: 2, size: "1536x1024" });
      return reply.data.map((image) => [kind(bytes(image)) === reply.output_format, "url" in image]);
    },
    async link() {
      const reply = await generate({ response_format: "url" });
      const answer = await fetch(reply.data[0].url);
      const data = Buffer.from(await answer.arrayBuffer());
      return [answer.status, answer.headers.get("content-type") === `image/${kind(data)}`, "b64_json" in reply.data[0]];
    },
    async edited() {
      const reply = await edit(await toFile(given, null, { type: "application/octet-stream" }));
      return kind(bytes(reply.data[0])) !== "nothing";
    },
    async edited_several() {
      const reply = await edit([await toFile(given, "a.png"), await toFile(given, "b.png")]);
      return kind(bytes(reply.data[0])) !== "nothing";
    },
    async streamed() {
      const kinds = [];
      for await (const event of await generate({ stream: true, partial_images: 1 }))
        if (kind(bytes(event)) !== "nothing") kinds.push(event.type);
      return kinds.at(-1);
    },
    refused: () => generate({ prompt: door.refusal }),
    wrong_size: () => generate({ size: "large" }),
    wrong_model: () => generate({ model: "no-such-model" }),
    no_picture: () => edit([]),
  };
});
