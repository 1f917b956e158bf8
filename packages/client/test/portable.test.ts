import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Flood, WireServer } from "./wire-server.ts";

/* The client in Node and Deno. */

/** Runs in the foreign runtime, against the server that it is given, and prints what came. */
const SCRIPT = `
  import { EventSource, subscribe } from "./client.js";
  const [url] = process.argv.slice(2);
  const log = [];
  const source = new EventSource(url + "/a", { headers: async () => ({ "x-token": "t" }) });
  await new Promise((resolve) => {
    for (const type of ["open", "add", "error"]) source.addEventListener(type, ({ type, data, lastEventId, code, retryIn }) => {
      log.push([type, source.readyState, data ?? null, lastEventId ?? null, code ?? null]);
      if (retryIn === null) resolve();
    });
  });
  for await (const { data, id } of subscribe(url, { topics: ["b"], retry: 0, shared: true })) {
    log.push([data.n, id]);
    if (data.n === 2) break;
  }
  for await (const { id } of subscribe(url + "/flood")) {
    // Nothing is read while this is busy.
    if (id === "1") log.push(Number(await (await fetch(url + "/settled")).text()) < 1024);
    if (id === "2000") { log.push(id); break; }
  }
  try { new EventSource("/relative") } catch (error) { log.push(error.name) }
  console.log(JSON.stringify(log));
`;

async function bundled(): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [join(import.meta.dir, "../src/index.ts")],
    target: "browser",
    format: "esm",
  });
  expect(outputs.length).toBe(1);
  return await outputs[0]!.text();
}

async function runIn(command: string[], url: string): Promise<unknown> {
  const folder = await mkdtemp(join(tmpdir(), "sse-client-"));
  try {
    await Bun.write(join(folder, "package.json"), '{ "type": "module" }');
    await Bun.write(join(folder, "client.js"), await bundled());
    await Bun.write(join(folder, "main.js"), `import process from "node:process";${SCRIPT}`);
    const child = Bun.spawn([...command, join(folder, "main.js"), url], { stdout: "pipe", stderr: "pipe" });
    const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    if ((await child.exited) !== 0) throw new Error(errors);
    return JSON.parse(output);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("the bundle", () => {
  test("imports nothing and uses no API of one runtime", async () => {
    const code = await bundled();
    expect(code).toContain("postMessage"); // without splitting, what shares is in it
    expect(new Bun.Transpiler({ loader: "js" }).scan(code).imports).toEqual([]);
    expect(code.replace("globalThis.Buffer?.prototype.utf8Slice", "")).not.toMatch(
      /\b(?:Bun|process|Buffer|require|Deno)\b/,
    );
  });

  for (const [name, command] of Object.entries({
    bun: ["bun"],
    node: ["node"],
    deno: ["deno", "run", "--allow-net", "--allow-read"],
  })) {
    const missing = Bun.which(command[0]!) === null;
    test.skipIf(missing)(
      `reads, resumes, holds up and leaves streams in ${name}${missing ? " (skipped: not installed)" : ""}`,
      async () => {
        let count = 0;
        const flood = new Flood();
        await using server = await WireServer.start((exchange) => {
          if (exchange.request.target === "/flood") flood.answer(exchange);
          else if (exchange.request.target === "/settled")
            void flood.settled().then((written) => exchange.head(200).write(String(written)).cut());
          else if (exchange.request.target !== "/a") {
            exchange.stream(`id: ${++count}\ndata: {"n":${count}}\n\n`);
            if (count === 1) exchange.finish();
          } else if (exchange.request.headers["last-event-id"] !== undefined) exchange.head(204).cut();
          else exchange.stream("\ufeffretry: 1\nid: é😀\nevent: add\ndata: ä\n\ndata: lo").finish();
        });
        expect(await runIn(command, server.url)).toEqual([
          ["open", 1, null, null, null],
          ["add", 1, "ä", "é😀", null],
          ["error", 0, null, null, "ended"],
          ["error", 2, null, null, "status"],
          [1, "1"],
          [2, "2"],
          true,
          "2000",
          "SyntaxError",
        ]);
        const [first, second, third, fourth] = server.requests.map(({ headers }) => headers);
        expect(first).toMatchObject({
          accept: "text/event-stream",
          "cache-control": "no-cache",
          "x-token": "t",
        });
        expect(Buffer.from(second!["last-event-id"]!, "latin1").toString()).toBe("é😀");
        expect([third!["last-event-id"], fourth!["last-event-id"]]).toEqual([undefined, "1"]);
      },
    );
  }
});
