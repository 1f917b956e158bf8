import { describe, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { readCommand } from "./options.ts";
import { BenchError } from "./target.ts";

/* The command as people run it, against servers that are right and servers that are not. */

const CLI = fileURLToPath(new URL("cli.ts", import.meta.url));

async function bench(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const child = Bun.spawn([process.execPath, CLI, ...args], { stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out, error };
}

/** What the server does with the event of this number to the stream of this number. */
type Fault = (event: number, stream: number) => "drop" | "double" | "spoil" | null;

/** The smallest SSE server: `GET /` listens, `POST /` publishes the body. */
function serve(fault: Fault = () => null) {
  const streams: ReadableStreamDirectController[] = [];
  let events = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    async fetch(request) {
      if (request.method === "POST") {
        const data = await request.text();
        const event = events++;
        for (const [stream, controller] of streams.entries()) {
          const what = fault(event, stream);
          if (what === "drop") continue;
          const text = `id: e-${event}\ndata: ${what === "spoil" ? data.replace(/.$/, "!") : data}\n\n`;
          void controller.write(what === "double" ? text + text : text);
          void controller.flush();
        }
        return Response.json({ ok: true });
      }
      const body = new ReadableStream({
        type: "direct",
        pull(controller: ReadableStreamDirectController) {
          if (streams.includes(controller)) return;
          streams.push(controller);
          void controller.write(": hello\n\n");
          void controller.flush();
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    },
  });
  const url = server.url.href;
  return { url, [Symbol.asyncDispose]: () => server.stop(true) };
}

const SMALL = ["--streams", "20", "--duration", "300ms", "--rate", "100"];

describe("--url with --publish", () => {
  test.concurrent("counts every delivery of a good server, and exits 0", async () => {
    await using server = serve();
    const { code, out, error } = await bench(
      "--url",
      server.url,
      "--publish",
      server.url,
      ...SMALL,
      "--json",
    );
    expect(error).toBe("");
    expect(code).toBe(0);
    const result = JSON.parse(out) as {
      streams: number;
      published: number;
      tally: object;
      deliveries: number;
    };
    expect(result).toMatchObject({ streams: 20, published: 30, deliveries: 600 });
    expect(result.tally).toEqual({
      received: 600,
      lost: 0,
      duplicated: 0,
      outOfOrder: 0,
      foreign: 0,
      corrupt: 0,
      idsOutOfOrder: 0,
    });
  });

  test.concurrent.each([
    ["loses events", (event, stream) => (event % 10 === 3 && stream === 7 ? "drop" : null), "3 lost"],
    ["loses the last event", (event) => (event === 29 ? "drop" : null), "20 lost"],
    ["sends events twice", (event, stream) => (event === 3 && stream < 5 ? "double" : null), "5 duplicated"],
    ["changes what it sends", (event, stream) => (event === 3 && stream === 0 ? "spoil" : null), "1 corrupt"],
  ] satisfies [string, Fault, string][])(
    "exits 1 for a server that %s, and says so",
    async (_, fault, said) => {
      await using server = serve(fault);
      const { code, out } = await bench(
        "--url",
        server.url,
        "--publish",
        server.url,
        ...SMALL,
        "--finish-within",
        "10s",
      );
      expect(out).toContain(said);
      expect(out).toContain("WRONG");
      expect(code).toBe(1);
    },
  );

  test.concurrent("fills the data into a body, and sends the headers given", async () => {
    const seen: { type: string | null; accept: string | null; body: unknown }[] = [];
    await using server = serve();
    const proxy = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        const body = (await request.json()) as { deep: { data: string } };
        seen.push({ type: request.headers.get("content-type"), accept: request.headers.get("x-key"), body });
        return fetch(server.url, { method: "POST", body: body.deep.data });
      },
    });
    const { code, out } = await bench(
      "--url",
      server.url,
      "--publish",
      proxy.url.href,
      ...SMALL,
      "--publish-header",
      "Content-Type: application/json",
      "--publish-header",
      "x-key: k",
      "--publish-body",
      '{"deep":{"data":"{data}"}}',
    );
    await proxy.stop(true);
    expect(out).toContain("600, 0 lost");
    expect(code).toBe(0);
    expect(seen[0]).toMatchObject({ type: "application/json", accept: "k" });
  });
});

test.concurrent("--url alone counts what comes", async () => {
  await using server = serve();
  const timer = setInterval(() => void fetch(server.url, { method: "POST", body: "hello" }), 50);
  const { code, out, error } = await bench("--url", server.url, "--streams", "5", "--duration", "2s");
  clearInterval(timer);
  expect(error).toBe("");
  expect(out).toContain("5 of 5");
  expect(Number(/events +([0-9]+),/.exec(out)?.[1])).toBeGreaterThan(5);
  expect(out).toMatch(/between events +p50 [0-9.]+ ms/);
  expect(code).toBe(0);
});

test.concurrent("a publish endpoint that refuses is named, and exits 1", async () => {
  await using server = serve();
  const { code, out } = await bench("--url", server.url, "--publish", "http://127.0.0.1:1/", ...SMALL);
  expect(code).toBe(2);
  expect(out).toBe("");
  const refusing = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response("no", { status: 403 }),
  });
  const refused = await bench("--url", server.url, "--publish", refusing.url.href, ...SMALL);
  await refusing.stop(true);
  expect(refused.out).toContain("30 events not accepted: status 403");
  expect(refused.code).toBe(1);
});

describe("what is wrong is said in one line", () => {
  test.each([
    [[], "give a scenario"],
    [["fan"], 'there is no scenario "fan"'],
    [["fanout", "storm"], "one scenario at a time"],
    [["report", "fan"], 'there is no scenario "fan"'],
    [["fanout", "--render-only"], "--render-only is for report"],
    [["--nope"], "--nope"],
    [["--url", "ftp://x"], "--url must be an http:// or https:// URL"],
    [["--url", "http://127.0.0.1/", "fanout"], "not both"],
    [["--url", "http://127.0.0.1/", "--streams", "0"], "--streams must be a whole number from 1 on"],
    [["--url", "http://127.0.0.1/", "--duration", "30"], "--duration must be a time with a unit"],
    [["--url", "http://127.0.0.1/", "--header", "nocolon"], '--header must be "name: value"'],
    [["--url", "http://127.0.0.1/", "--rate", "5"], "--rate needs --publish"],
    [["--url", "http://127.0.0.1/", "--publish", "x"], "--publish must be an http:// or https:// URL"],
    [
      ["--url", "http://127.0.0.1/", "--publish", "http://x/", "--publish-body", "x"],
      "must have {data} in it",
    ],
    [["--url", "http://127.0.0.1/", "--peer", "hub"], "--peer is for scenarios"],
    [["fanout", "--publish", "http://127.0.0.1/"], "--publish needs --url"],
    [["fanout", "--payload", "5"], "--payload must be from"],
  ] satisfies [string[], string][])("%p", (args, said) => {
    expect(() => readCommand(args)).toThrow(BenchError);
    expect(() => readCommand(args)).toThrow(said);
  });

  test.each([
    [["fan"], 'there is no scenario "fan"'],
    [["fanout", "--peer", "nobody"], 'there is no peer "nobody"'],
    [["--url", "http://127.0.0.1:1/"], "cannot connect to http://127.0.0.1:1/: ECONNREFUSED"],
  ])("the command exits 2: %p", async (args, said) => {
    const { code, out, error } = await bench(...args);
    expect(error).toContain(said);
    expect(error).toMatch(/^error: [^\n]+\n$/);
    expect(out).toBe("");
    expect(code).toBe(2);
  });

  test("a page that is no stream", async () => {
    const page = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") });
    const { code, error } = await bench("--url", page.url.href, "--streams", "3", "--duration", "100ms");
    await page.stop(true);
    expect(error).toContain('content-type "text/plain');
    expect(code).toBe(2);
  });
});

test("--help names every option and scenario", async () => {
  const { code, out } = await bench("--help");
  expect(code).toBe(0);
  for (const name of ["--url", "--publish-body", "--all-peers", "fanout", "codec", "report"])
    expect(out).toContain(name);
});

test("--peers lists the servers", async () => {
  const { code, out } = await bench("--peers");
  expect(code).toBe(0);
  expect(out).toMatch(/^hub +\S/m);
});
