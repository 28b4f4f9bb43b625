// The Vercel AI SDK with three of its providers: one answer, one streamed, one tool called.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const told = JSON.parse(process.argv[2]);

const providers = {
  compatible: (baseURL, apiKey) => createOpenAICompatible({ name: "tokens", baseURL, apiKey }),
  openai: (baseURL, apiKey) => createOpenAI({ baseURL, apiKey }),
  anthropic: (baseURL, apiKey) => createAnthropic({ baseURL, apiKey }),
};

async function play(model) {
  const once = { model, maxRetries: 0 };
  const text = (await generateText({ ...once, prompt: told.say })).text;
  let stream = "";
  for await (const piece of streamText({ ...once, prompt: told.say }).textStream) stream += piece;
  const called = [];
  const read_note = tool({
    description: "Reads a note.",
    inputSchema: z.object({ name: z.string() }),
    execute: async (given) => {
      called.push(["read_note", given]);
      return `${told.word} in ${given.name}`;
    },
  });
  const done = await generateText({
    ...once,
    prompt: told.order,
    tools: { read_note },
    stopWhen: stepCountIs(3),
  });
  return { text, stream, called, after: done.text };
}

const found = {};
for (const { name, url, licence, model } of told.doors) {
  found[name] = {};
  for (const [kind, provider] of Object.entries(providers)) {
    found[name][kind] = await play(provider(`${url}/v1`, licence)(model));
  }
}
console.log(JSON.stringify(found));
