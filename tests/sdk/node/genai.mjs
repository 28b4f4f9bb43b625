// The official Google GenAI SDK for Node.
import { GoogleGenAI } from "@google/genai";
import { play, png, prompts, results, tools, untilBroken } from "./scenes.mjs";

const declared = [
  {
    functionDeclarations: Object.entries(tools).map(([name, parametersJsonSchema]) => ({ name, parametersJsonSchema })),
  },
];
const once = { httpOptions: { extraBody: { retry_attempt: 0 } } };

await play((door) => {
  const open = (apiKey) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: door.url, timeout: 20000 } }).models;
  const models = open(door.licence);
  const create = (contents, config = {}, model = door.plain) => models.generateContent({ model, contents, config });
  const stream = (contents, config = {}, model = door.plain) => models.generateContentStream({ model, contents, config });

  return {
    async text() {
      const reply = await create(prompts.say);
      const usage = reply.usageMetadata;
      return [reply.text, reply.candidates[0].finishReason, usage.totalTokenCount - usage.promptTokenCount];
    },
    async stream() {
      let text = "";
      let usage = 0;
      for await (const chunk of await stream(prompts.count)) {
        text += chunk.text ?? "";
        usage = chunk.usageMetadata?.candidatesTokenCount ?? usage;
      }
      return [text, usage];
    },
    async forced_tool() {
      const calling = { mode: "ANY", allowedFunctionNames: ["weather"] };
      const reply = await create("How is Lisbon?", { tools: declared, toolConfig: { functionCallingConfig: calling } });
      return reply.functionCalls.map((call) => call.name);
    },
    async tools() {
      const contents = [{ role: "user", parts: [{ text: prompts.both }] }];
      const first = await create(contents, { tools: declared });
      const calls = first.functionCalls;
      contents.push(first.candidates[0].content);
      contents.push({
        role: "user",
        parts: calls.map(({ id, name }) => ({ functionResponse: { id, name, response: { output: results[name] } } })),
      });
      const second = (await create(contents, { tools: declared })).text;
      return [calls.map((call) => call.name), Object.values(results).every((r) => second.includes(r))];
    },
    async streamed_arguments() {
      const calls = [];
      for await (const chunk of await stream(prompts.both, { tools: declared })) calls.push(...(chunk.functionCalls ?? []));
      return calls.map((call) => Object.keys(call.args));
    },
    async form() {
      const reply = await create("Lisbon?", { responseMimeType: "application/json", responseJsonSchema: tools.weather });
      return Object.keys(JSON.parse(reply.text));
    },
    async picture() {
      const picture = { inlineData: { mimeType: "image/png", data: png.split(",")[1] } };
      return (await create([{ role: "user", parts: [{ text: "What is this?" }, picture] }])).text.includes("image/png");
    },
    async thoughts() {
      const config = { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } };
      const { parts } = (await create(prompts.say, config, door.thinking)).candidates[0].content;
      const text = parts.map((part) => (part.thought ? "" : part.text)).join("");
      return [text, parts.some((part) => part.thought && part.text)];
    },
    wrong_licence: () => open("wrong").generateContent({ model: door.plain, contents: "hello" }),
    wrong_field: () => create("hello", { httpOptions: { extraBody: { contents: [] } } }),
    wrong_model: () => create("hello", {}, "no-such-model"),
    throttled: () => create("simulate: throttle seconds=3"),
    outage: () => create("simulate: fail", once),
    cut: async () => untilBroken(await stream(prompts.cut), (chunk) => chunk.text),
    truncated: async () => untilBroken(await stream(prompts.truncated), (chunk) => chunk.text),
    failed: async () => untilBroken(await stream(prompts.error), (chunk) => chunk.text),
  };
});
