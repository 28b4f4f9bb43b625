// The official Anthropic SDK for Node.
import Anthropic from "@anthropic-ai/sdk";
import { play, png, prompts, results, tools, untilBroken } from "./scenes.mjs";

const said = (content) => [{ role: "user", content }];
const declared = Object.entries(tools).map(([name, input_schema]) => ({ name, input_schema }));
const textOf = (message) => message.content.map((block) => block.text ?? "").join("");
const callsOf = (message) => message.content.filter((block) => block.type === "tool_use");
const words = (event) => (event.type === "content_block_delta" ? event.delta.text : "");
const once = { query: { retry_attempt: "0" } };

await play((door) => {
  const open = (apiKey) => new Anthropic({ baseURL: door.url, apiKey, maxRetries: 0, timeout: 20000 });
  const client = open(door.licence);
  const ask = (content, more = {}) => ({ model: door.plain, max_tokens: 4000, messages: said(content), ...more });
  const create = (content, more = {}, options = {}) => client.messages.create(ask(content, more), options);

  return {
    async text() {
      const message = await create(prompts.say);
      return [textOf(message), message.stop_reason, message.usage.input_tokens > 0];
    },
    async stream() {
      const message = await client.messages.stream(ask(prompts.count)).finalMessage();
      return [textOf(message), message.usage.output_tokens];
    },
    async forced_tool() {
      const choice = { type: "tool", name: "weather" };
      return callsOf(await create("How is Lisbon?", { tools: declared, tool_choice: choice })).map((call) => call.name);
    },
    async tools() {
      const first = await create(prompts.both, { tools: declared });
      const answers = callsOf(first).map((call) => ({
        type: "tool_result",
        tool_use_id: call.id,
        content: results[call.name],
      }));
      const messages = [...said(prompts.both), { role: "assistant", content: first.content }, ...said(answers)];
      const second = textOf(await create("", { messages, tools: declared }));
      return [callsOf(first).map((call) => call.name), first.stop_reason, Object.values(results).every((r) => second.includes(r))];
    },
    async streamed_arguments() {
      const message = await client.messages.stream(ask(prompts.both, { tools: declared })).finalMessage();
      return callsOf(message).map((call) => Object.keys(call.input));
    },
    async picture() {
      const source = { type: "base64", media_type: "image/png", data: png.split(",")[1] };
      return textOf(await create([{ type: "text", text: "What is this?" }, { type: "image", source }])).includes("image/png");
    },
    async thoughts() {
      const more = { model: door.thinking, thinking: { type: "enabled", budget_tokens: 1024 } };
      const message = await client.messages.stream(ask(prompts.say, more)).finalMessage();
      return [textOf(message), message.content.some((block) => block.type === "thinking" && block.thinking !== "")];
    },
    async models() {
      const ids = [];
      for await (const model of client.models.list()) ids.push(model.id);
      return ids.includes(door.plain);
    },
    wrong_licence: () => open("wrong").messages.create(ask("hello")),
    wrong_field: () => create("", { messages: [] }),
    wrong_model: () => create("hello", { model: "no-such-model" }),
    throttled: () => create("simulate: throttle seconds=3"),
    outage: () => create("simulate: fail", {}, once),
    cut: async () => untilBroken(await create(prompts.cut, { stream: true }), words),
    truncated: async () => untilBroken(await create(prompts.truncated, { stream: true }), words),
    failed: async () => untilBroken(await create(prompts.error, { stream: true }), words),
  };
});
