import { beforeAll, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { ADMIN, ADMIN_ENV, withEveryRoute } from "./app-routes.ts";
import { ServerProcess } from "./server-process.ts";
import { SseClient, until } from "./sse-client.ts";

/* Every route that answers with a stream, found by asking all routes there are: what is limited and counted is so over all of them. */

const SECRET = "a secret of at least 32 bytes, for tests";
const AUTHENTICATED = { ...ADMIN_ENV, SSE_JWT_SECRET: SECRET };

let paths: string[];

beforeAll(async () => {
  paths = await withEveryRoute(async (url, routes) => {
    const found: string[] = [];
    for (const { method, path } of routes) {
      const abort = new AbortController();
      const response = await fetch(`${url}${path}`, { method, headers: ADMIN, signal: abort.signal });
      if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
        expect(method).toBe("GET");
        found.push(path);
      }
      abort.abort();
    }
    return found;
  });
});

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function bearer(claims: object): Record<string, string> {
  const sse = { subscribe: ["**"], publish: ["**"], admin: true };
  const text = `${base64({ alg: "HS256", typ: "JWT" })}.${base64({ sse, ...claims })}`;
  return { authorization: `Bearer ${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}` };
}

async function open(url: string, headers: Record<string, string> = {}): Promise<SseClient> {
  const client = await SseClient.open(url, headers);
  await until(() => client.events.length > 0);
  expect([url, client.events[0]!.type]).toEqual([url, "sse:ready"]);
  return client;
}

async function expectRefused(
  url: string,
  status: number,
  headers: Record<string, string> = {},
): Promise<void> {
  const abort = new AbortController();
  const response = await fetch(url, { headers: { accept: "*/*", ...headers }, signal: abort.signal });
  abort.abort(); // it may be a stream
  expect([url, response.status]).toEqual([url, status]);
}

/** The server's metrics by name and labels. */
async function metrics(
  server: ServerProcess,
  headers: Record<string, string> = {},
): Promise<(name: string) => number> {
  const text = await (await fetch(`${server.url}/metrics`, { headers })).text();
  const values = new Map(
    [...text.matchAll(/^(sse_\S+) ([0-9]+)$/gm)].map(([, name, value]) => [name, Number(value)]),
  );
  return (name) => values.get(name) ?? 0;
}

test("there are those that the documentation names", () => {
  expect(paths.toSorted()).toEqual(["/events", "/random", "/stats/events"]);
});

test("--max-streams is one limit for all, and the metrics are one count", async () => {
  await using server = await ServerProcess.start("--max-streams", "5");
  const clients = await Promise.all(
    Array.from({ length: 5 }, (_, at) => open(`${server.url}${paths[at % paths.length]}`)),
  );
  for (const path of paths) await expectRefused(`${server.url}${path}`, 503);
  const count = await metrics(server);
  expect(count("sse_streams")).toBe(5);
  expect(count('sse_streams_opened_total{resume="fresh"}')).toBe(5);
  expect(count('sse_refused_total{reason="too-many-streams"}')).toBe(paths.length);
  for (const [at, path] of paths.entries()) {
    clients[at]!.close(); // of another route each time
    await until(async () => (await metrics(server))("sse_streams") === 4);
    await open(`${server.url}${paths[(at + 1) % paths.length]}`);
    await expectRefused(`${server.url}${path}`, 503);
  }
  expect((await metrics(server))('sse_streams_closed_total{reason="client"}')).toBe(paths.length);
});

test("--max-streams-per-address counts the streams of an address over all", async () => {
  await using server = await ServerProcess.start(
    ..."--max-streams-per-address 2 --trusted-proxies 127.0.0.1".split(" "),
  );
  for (const [at, path] of paths.entries()) {
    const from = { "x-forwarded-for": `192.0.2.${at}` };
    await open(`${server.url}${path}`, from);
    await open(`${server.url}${paths[(at + 1) % paths.length]}`, from);
    for (const each of paths) await expectRefused(`${server.url}${each}`, 429, from);
  }
  expect((await metrics(server))("sse_stream_addresses")).toBe(paths.length);
});

test("--max-streams-per-principal counts the streams of a subject over all", async () => {
  await using server = await ServerProcess.startWith(AUTHENTICATED, "--max-streams-per-principal", "2");
  for (const [at, path] of paths.entries()) {
    const whose = bearer({ sub: `user ${at}` });
    await open(`${server.url}${path}`, whose);
    await open(`${server.url}${paths[(at + 1) % paths.length]}`, whose);
    for (const each of paths) await expectRefused(`${server.url}${each}`, 429, whose);
  }
  expect((await metrics(server, ADMIN))("sse_stream_principals")).toBe(paths.length);
});

test("overload sends new ones away from all, and those that run go on", async () => {
  await using server = await ServerProcess.start("--max-lag", "2s");
  const clients = await Promise.all(paths.map((path) => open(`${server.url}${path}`)));
  const isShort = (): boolean => server.lines.some((line) => line.includes("sends new streams away"));
  while (!isShort()) {
    server.process.kill("SIGSTOP");
    await Bun.sleep(2500);
    server.process.kill("SIGCONT");
    await Bun.sleep(50);
  }
  expect(clients.map(({ ended }) => ended)).toEqual(paths.map(() => false));

  await using full = await ServerProcess.start("--max-memory", "1MiB");
  await until(async () => (await fetch(`${full.url}/readyz`)).status === 503);
  for (const path of paths) await expectRefused(`${full.url}${path}`, 503);
  expect((await metrics(full))('sse_refused_total{reason="memory"}')).toBe(paths.length);
});

test("all end at the maximum age, and say so", async () => {
  await using server = await ServerProcess.start("--max-age", "2s");
  const clients = await Promise.all(paths.map((path) => open(`${server.url}${path}`)));
  await until(() => clients.every(({ ended }) => ended));
  for (const client of clients) expect(client.control("sse:closing")).toMatchObject([{ reason: "max-age" }]);
  const count = await metrics(server);
  expect([count("sse_streams"), count('sse_streams_closed_total{reason="max-age"}')]).toEqual([
    0,
    paths.length,
  ]);
});

test("all end with their token, and say so", async () => {
  await using server = await ServerProcess.startWith(AUTHENTICATED);
  // A token is good for five seconds longer than it says: this one for some ten.
  const short = bearer({ exp: Math.floor(Date.now() / 1000) + 5 });
  const clients = await Promise.all(paths.map((path) => open(`${server.url}${path}`, short)));
  await until(() => clients.every(({ ended }) => ended));
  for (const client of clients)
    expect(client.control("sse:closing")).toMatchObject([{ reason: "auth-expired" }]);
  const count = await metrics(server, ADMIN);
  expect(count('sse_streams_closed_total{reason="auth-expired"}')).toBe(paths.length);
});

test("POST /drain and SIGTERM send all away", async () => {
  await using server = await ServerProcess.start("--drain", "500ms");
  const openAll = (): Promise<SseClient[]> => Promise.all(paths.map((path) => open(`${server.url}${path}`)));
  const drained = async (clients: readonly SseClient[]): Promise<void> => {
    await until(() => clients.every(({ ended }) => ended));
    for (const client of clients) expect(client.control("sse:closing")).toMatchObject([{ reason: "drain" }]);
  };
  const first = await openAll();
  const response = await fetch(`${server.url}/drain`, { method: "POST", body: '{"within":0}' });
  expect(await response.json()).toEqual({ streams: paths.length });
  await drained(first);
  expect((await metrics(server))('sse_streams_closed_total{reason="drain"}')).toBe(paths.length);
  const second = await openAll();
  server.process.kill("SIGTERM");
  await drained(second);
  expect(await server.process.exited).toBe(0);
});

test("the state of the server is in no stream of all topics", async () => {
  await using server = await ServerProcess.start("--no-demos");
  const all = await open(`${server.url}/events?topic=**`);
  const state = await open(`${server.url}/stats/events`);
  await until(() => state.control("stats").length === 2);
  expect(state.control("stats")[1]).toMatchObject({
    streams: 2,
    watching: 1,
    published: 0,
    log: { events: 0 },
  });
  expect(all.events.map(({ type }) => type)).toEqual(["sse:ready"]);
});
