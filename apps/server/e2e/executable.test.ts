import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrokerKind, BrokerProcess, missing } from "@sse/hub/test/broker-process.ts";
import { publish, SseClient, until } from "./sse-client.ts";

/* The single executable, started where there is nothing else: no sources, no packages, no Bun. */

const ROOT = new URL("../../..", import.meta.url).pathname;
const BUILD = new URL("../build.ts", import.meta.url).pathname;
const SECRET = "a secret for tests that is long enough";
let folder: string;
let program: string;
let empty: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "executable-"));
  program = join(folder, "sse");
  empty = join(folder, "empty");
  await mkdir(empty);
  const build = Bun.spawn(["bun", BUILD, program], { stdout: "ignore", stderr: "inherit" });
  expect(await build.exited).toBe(0);
});
afterAll(() => rm(folder, { recursive: true }));

const start = (...args: string[]) =>
  Bun.spawn([program, ...args], {
    cwd: empty,
    env: { PATH: "/nonexistent", NO_COLOR: "1", SSE_JWT_SECRET: "" },
    stdout: "pipe",
    stderr: "inherit",
  });

/** Reads on afterwards: a process whose output nobody takes cannot say goodbye. */
function urlOf(process: ReturnType<typeof start>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  void (async () => {
    let text = "";
    for await (const chunk of process.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const url = /"url":"([^"]+)"/.exec(text)?.[1];
      if (url !== undefined) resolve(url);
    }
    reject(new Error(`it ended before it listened: ${text}`));
  })();
  return promise;
}

test("serves the page and events, and keeps them in ./data", async () => {
  const server = start("--port", "0", "--drain", "100ms");
  try {
    const url = await urlOf(server);
    const page = await fetch(url);
    expect(page.headers.get("content-type")).toStartWith("text/html");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
    expect(page.headers.get("cache-control")).toBe("no-cache");
    const assets = [...(await page.text()).matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(
      ([, path]) => path!,
    );
    for (const type of ["text/javascript", "text/css"]) {
      const path = assets.find((each) => each.endsWith(type === "text/css" ? ".css" : ".js"))!;
      const asset = await fetch(url + path);
      expect(asset.status).toBe(200);
      expect(asset.headers.get("content-type")).toStartWith(type);
      expect(asset.headers.get("cache-control")).toContain("immutable");
      const text = await asset.text();
      expect(text.length).toBeGreaterThan(1000);
      const loaded = [...text.matchAll(/"(\/assets\/[\w.]+-\w+\.js)"/g)].map(([, later]) => later!);
      expect(loaded.length > 0).toBe(type === "text/javascript");
      for (const later of loaded) expect((await fetch(url + later)).status).toBe(200);
    }

    const reference = await fetch(`${url}/openapi`, { headers: { accept: "text/html" } });
    expect(await reference.text()).toContain("<code>GET /events</code></h2>");

    const stream = await fetch(`${url}/events?topic=orders/42`);
    const published = await fetch(`${url}/publish?topic=orders/42`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: "hello",
    });
    expect(published.status).toBe(200);
    let text = "";
    for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes("data: hello\n")) break;
    }
    expect(text).toContain("data: hello\n");
    expect(existsSync(join(empty, "data/events.db"))).toBe(true);
  } finally {
    server.kill("SIGTERM");
    expect(await server.exited).toBe(0);
  }
});

for (const kind of ["redis", "nats"] satisfies BrokerKind[]) {
  const reason = missing(kind);
  test.skipIf(reason !== "")(`keeps events in ${kind}, and goes on with them${reason}`, async () => {
    await using broker = await BrokerProcess.start(kind);
    let seen = "";
    for (const [resume, first, second] of [
      ["fresh", "1", "2"],
      ["resumed", "3", "4"],
    ] as const) {
      const server = start("--port", "0", "--drain", "100ms", "--no-demos", "--log", broker.url);
      try {
        const url = await urlOf(server);
        await using client = await SseClient.open(`${url}/events?topic=t`, { "last-event-id": seen });
        await until(() => client.control("sse:ready").length === 1);
        expect(client.control("sse:ready")).toEqual([{ resume, replayed: 0 }]);
        // One event, and an array, which NATS keeps otherwise.
        await publish(url, { topic: "t", data: first, id: first });
        await publish(url, [
          { topic: "t", data: second },
          { topic: "other", data: second },
        ]);
        expect(await client.receive(2)).toEqual([first, second]);
        await using past = await SseClient.open(`${url}/events?topic=t&replay=all`);
        expect(await past.receive(Number(second))).toEqual(["1", "2", "3", "4"].slice(0, Number(second)));
        seen = client.lastEventId;
      } finally {
        server.kill("SIGTERM");
        expect(await server.exited).toBe(0);
      }
    }
  });
}

const ss = Bun.which("ss");

test.skipIf(ss === null || process.platform !== "linux")(
  `asks the kernel for what Bun does not${ss === null ? " (skipped: ss is not installed)" : ""}`,
  async () => {
    const server = start("--port", "0", "--log", "memory:", "--no-demos");
    try {
      const url = await urlOf(server);
      const { port } = new URL(url);
      const sockets = (...of: string[]): Promise<string> =>
        new Response(Bun.spawn([ss!, "-Htno", ...of, "sport", "=", `:${port}`]).stdout).text();
      const most = Number(await Bun.file("/proc/sys/net/core/somaxconn").text());
      const [waiting, backlog] = (await sockets("state", "listening")).split(/\s+/);
      expect([waiting, backlog]).toEqual(["0", `${Math.min(4096, most)}`]);
      await using client = await SseClient.open(`${url}/events?topic=t`);
      await until(() => client.events.length === 1);
      await until(async () => (await sockets("state", "established")).includes("timer:(keepalive"));
    } finally {
      server.kill("SIGKILL");
      await server.exited;
    }
  },
);

test("makes tokens", async () => {
  const process = Bun.spawn([program, "token", "--subscribe", "orders/*"], {
    cwd: empty,
    env: { SSE_JWT_SECRET: SECRET },
    stdout: "pipe",
  });
  expect(await process.stdout.text()).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  expect(await process.exited).toBe(0);
});

test("can ask itself whether it is healthy, as the image does", async () => {
  const dockerfile = await Bun.file(join(ROOT, "Dockerfile")).text();
  const [, script] = /"sse", "-e", "(.*)"\]/.exec(dockerfile)!;
  const server = start("--port", "0", "--log", "memory:");
  try {
    const { port } = new URL(await urlOf(server));
    const ask = (at: string): Promise<number> =>
      Bun.spawn([program, "-e", script!.replace("3000", at)], {
        cwd: empty,
        env: { BUN_BE_BUN: "1" },
        stderr: "ignore",
      }).exited;
    expect(await ask(port)).toBe(0);
    server.kill("SIGKILL");
    await server.exited;
    expect(await ask(port)).not.toBe(0);
  } finally {
    server.kill("SIGKILL");
  }
});

test("what the image is made of is there", async () => {
  const dockerfile = await Bun.file(join(ROOT, "Dockerfile")).text();
  const [, script] = /RUN .*bun (\S+\.ts) \/sse$/m.exec(dockerfile)!;
  expect(join(ROOT, script!)).toBe(BUILD);
  for (const [, flags, path] of dockerfile.matchAll(/^COPY (--from=\S+ )?(\S+) /gm))
    expect(flags === undefined ? existsSync(join(ROOT, path!)) : path === "/sse").toBe(true);
});
