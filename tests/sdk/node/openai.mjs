// The official OpenAI SDK for Node: Chat Completions and Responses.
import OpenAI from "openai";
import { play, png, prompts, results, tools, untilBroken } from "./scenes.mjs";

const said = (content) => [{ role: "user", content }];
const functions = Object.entries(tools).map(([name, parameters]) => ({
  type: "function",
  function: { name, parameters },
}));
const flat = Object.entries(tools).map(([name, parameters]) => ({
  type: "function",
  name,
  parameters,
  strict: true,
}));
const form = { type: "json_schema", json_schema: { name: "weather", strict: true, schema: tools.weather } };
const once = { query: { retry_attempt: "0" } };

await play((door) => {
  const open = (apiKey) => new OpenAI({ baseURL: `${door.url}/v1`, apiKey, maxRetries: 0, timeout: 20000 });
  const client = open(door.licence);
  const chat = (messages, more = {}, options = {}) =>
    client.chat.completions.create({ model: door.plain, messages, ...more }, options);
  const respond = (input, more = {}) => client.responses.create({ model: door.plain, input, ...more });

  return {
    async text() {
      const reply = await chat(said(prompts.say));
      const { message, finish_reason } = reply.choices[0];
      const { prompt_tokens, completion_tokens, total_tokens } = reply.usage;
      return [message.content, finish_reason, total_tokens - prompt_tokens - completion_tokens];
    },
    async stream() {
      let text = "";
      for await (const chunk of await chat(said(prompts.count), { stream: true }))
        text += chunk.choices[0].delta.content ?? "";
      return text;
    },
    async streamed_usage() {
      const wish = { stream_options: { include_usage: true } };
      const stream = client.chat.completions.stream({ model: door.plain, messages: said(prompts.count), ...wish });
      return (await stream.finalChatCompletion()).usage.completion_tokens;
    },
    async forced_tool() {
      const choice = { type: "function", function: { name: "weather" } };
      const reply = await chat(said("How is Lisbon?"), { tools: functions, tool_choice: choice });
      return reply.choices[0].message.tool_calls.map((call) => call.function.name);
    },
    async tools() {
      const messages = said(prompts.both);
      const first = (await chat(messages, { tools: functions })).choices[0];
      messages.push(first.message);
      for (const call of first.message.tool_calls)
        messages.push({ role: "tool", tool_call_id: call.id, content: results[call.function.name] });
      const second = await chat(messages, { tools: functions });
      const names = first.message.tool_calls.map((call) => call.function.name);
      return [names, first.finish_reason, Object.values(results).every((r) => second.choices[0].message.content.includes(r))];
    },
    async streamed_arguments() {
      const stream = client.chat.completions.stream({ model: door.plain, messages: said(prompts.both), tools: functions });
      const { message } = (await stream.finalChatCompletion()).choices[0];
      return message.tool_calls.map((call) => Object.keys(JSON.parse(call.function.arguments)));
    },
    async form() {
      const reply = await chat(said("Lisbon?"), { response_format: form });
      return Object.keys(JSON.parse(reply.choices[0].message.content));
    },
    async picture() {
      const content = [{ type: "text", text: "What is this?" }, { type: "image_url", image_url: { url: png } }];
      return (await chat(said(content))).choices[0].message.content.includes("image/png");
    },
    async thoughts() {
      const more = { model: door.thinking, reasoning_effort: "high" };
      const { message } = (await chat(said(prompts.say), more)).choices[0];
      return [message.content, Boolean(message.reasoning_content)];
    },
    async responses_text() {
      return (await respond(prompts.say)).output_text;
    },
    async responses_stream() {
      const stream = client.responses.stream({ model: door.plain, input: prompts.count });
      return (await stream.finalResponse()).output_text;
    },
    async responses_tools() {
      const calls = (await respond(prompts.both, { tools: flat })).output.filter((item) => item.type === "function_call");
      return calls.map((call) => [call.name, Object.keys(JSON.parse(call.arguments))]);
    },
    async models() {
      const ids = [];
      for await (const model of client.models.list()) ids.push(model.id);
      return ids.includes(door.plain);
    },
    wrong_licence: () => open("wrong").chat.completions.create({ model: door.plain, messages: said("hello") }),
    wrong_field: () => chat([]),
    wrong_model: () => chat(said("hello"), { model: "no-such-model" }),
    throttled: () => chat(said("simulate: throttle seconds=3")),
    outage: () => chat(said("simulate: fail"), {}, once),
    async cut() {
      const stream = await chat(said(prompts.cut), { stream: true });
      return untilBroken(stream, (chunk) => chunk.choices[0]?.delta?.content);
    },
    async truncated() {
      const stream = await chat(said(prompts.truncated), { stream: true });
      return untilBroken(stream, (chunk) => chunk.choices[0]?.delta?.content);
    },
    async failed() {
      const stream = await chat(said(prompts.error), { stream: true });
      return untilBroken(stream, (chunk) => chunk.choices[0]?.delta?.content);
    },
  };
});
