import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import vectors from "./vectors/decode.json" with { type: "json" };

// Enough for a machine that is busy with other things: slowness alone fails nothing here.
setDefaultTimeout(120_000);

/** Runs in the foreign runtime: decodes every vector byte by byte, in three ways, and prints what came out. */
const SCRIPT = `
  import { createDecoder, DecoderStream, decodeEvents, encodeEvent } from "./protocol.js";
  import vectors from "./vectors.js";
  const failures = [];
  for (const vector of vectors) {
    const bytes = vector.chunks.flatMap((chunk) =>
      typeof chunk === "string" ? [...new TextEncoder().encode(chunk)] : (chunk.hex.match(/../g) ?? []).map((hex) => parseInt(hex, 16)));
    const source = () => new ReadableStream({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const lastEventId = vector.initialLastEventId;
    const expected = JSON.stringify(vector.events);
    const whole = [];
    const decoder = createDecoder({ lastEventId, onEvent: (event) => whole.push(event) });
    decoder.feed(Uint8Array.from(bytes));
    const iterated = [];
    for await (const event of decodeEvents(source(), { lastEventId })) iterated.push(event);
    const reader = source().pipeThrough(new DecoderStream({ lastEventId })).getReader();
    const read = [];
    for (let next = await reader.read(); !next.done; next = await reader.read()) read.push(next.value);
    for (const events of [whole, iterated, read]) {
      if (JSON.stringify(events) !== expected) failures.push(vector.name);
    }
  }
  console.log(JSON.stringify({ vectors: vectors.length, failures, encoded: encodeEvent({ id: "1", data: "a\\r\\nb" }) }));
`;

async function bundled(): Promise<string> {
  const build = await Bun.build({
    entrypoints: [join(import.meta.dir, "../src/index.ts")],
    target: "browser",
    format: "esm",
  });
  const [output, ...others] = build.outputs;
  if (output === undefined || others.length > 0) throw new Error("expected one bundle");
  return await output.text();
}

/** Runs the script against the bundle in another runtime. */
async function runIn(command: string[]): Promise<unknown> {
  const folder = await mkdtemp(join(tmpdir(), "sse-protocol-"));
  try {
    await Bun.write(join(folder, "package.json"), '{ "type": "module" }');
    await Bun.write(join(folder, "protocol.js"), await bundled());
    await Bun.write(join(folder, "vectors.js"), `export default ${JSON.stringify(vectors)};`);
    await Bun.write(join(folder, "main.js"), SCRIPT);
    const child = Bun.spawn([...command, join(folder, "main.js")], { stdout: "pipe", stderr: "pipe" });
    const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    if ((await child.exited) !== 0) throw new Error(errors);
    return JSON.parse(output);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const passed = { vectors: vectors.length, failures: [], encoded: "data: a\ndata: b\nid: 1\n\n" };

describe("the bundle", () => {
  test("imports nothing and uses no API of one runtime", async () => {
    const code = await bundled();
    const { imports } = new Bun.Transpiler({ loader: "js" }).scan(code);
    expect(imports).toEqual([]);
    // `Buffer` is asked for, and done without where there is none.
    expect(code.replace("globalThis.Buffer?.prototype.utf8Slice", "")).not.toMatch(
      /\b(?:Bun|process|Buffer|require|Deno)\b/,
    );
  });

  for (const [name, command] of Object.entries({
    node: ["node"],
    "node without Buffer, as a browser": [
      "node",
      "--import",
      "data:text/javascript,delete globalThis.Buffer",
    ],
    deno: ["deno", "run", "--allow-read"],
  })) {
    const missing = Bun.which(command[0]!) === null;
    test.skipIf(missing)(
      `decodes every vector in ${name}${missing ? " (skipped: not installed)" : ""}`,
      async () => {
        expect(await runIn(command)).toEqual(passed);
      },
    );
  }
});
