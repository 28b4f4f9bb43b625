// What every script here does the same way: it is told the doors and the prompts on standard input, plays the
// scenes of a door one after the other and all doors side by side, and prints what came of it as one JSON object,
// by door and scene. Where a scene asks for patience, it is more than the gateway has: two seconds.

const input = [];
for await (const piece of process.stdin) input.push(piece);
export const { doors, prompts, tools, results, png } = JSON.parse(Buffer.concat(input).toString());

// The error that a scene ends with, as plain values.
export function told(error) {
  return { error: error.constructor.name, status: error.status ?? null };
}

// What a stream gave before it broke off, and that it did.
export async function untilBroken(stream, read) {
  let text = "";
  try {
    for await (const piece of stream) text += read(piece) ?? "";
  } catch {
    return { broken: true, text };
  }
  return { broken: false, text };
}

export async function play(scenesFor) {
  const outcomes = {};
  const at = async (door) => {
    const came = (outcomes[door.name] = {});
    for (const [name, scene] of Object.entries(scenesFor(door))) {
      try {
        came[name] = await scene();
      } catch (error) {
        came[name] = told(error);
      }
    }
  };
  await Promise.all(doors.map(at));
  console.log(JSON.stringify(outcomes));
}
