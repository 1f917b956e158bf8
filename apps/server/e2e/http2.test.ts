import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDecoder } from "@sse/protocol";
import { CHROMIUM, launchChromium, Tab } from "./browser.ts";
import { makeCertificate } from "./certificate.ts";
import { Http2Client, type Http2Stream } from "./http2-client.ts";
import { runServer, ServerProcess } from "./server-process.ts";
import { until } from "./sse-client.ts";

/* Over TLS: HTTP/2 takes away the six connections that a browser has for one server. */

/** What a page does: 30 streams of three topics, an event to each topic, and the first event of every stream. */
const IN_PAGE = `(async () => {
  const sources = Array.from({ length: 30 }, (_, at) => new EventSource("/events?topic=t" + (at % 3)));
  await Promise.all(sources.map((source) => new Promise((resolve) => source.addEventListener("sse:ready", resolve))));
  const received = sources.map((source) => new Promise((resolve) => { source.onmessage = ({ data }) => resolve(data); }));
  const batch = [0, 1, 2].map((at) => ({ topic: "t" + at, data: String(at) }));
  await fetch("/publish", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(batch) });
  return Promise.all(received);
})()`;

const openssl = Bun.which("openssl");

describe.skipIf(openssl === null)(openssl === null ? "TLS (no openssl found)" : "TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "sse-tls-"));
  const flags = ["--tls-cert", join(folder, "cert.pem"), "--tls-key", join(folder, "key.pem")];

  beforeAll(() => {
    makeCertificate(join(folder, "cert.pem"), join(folder, "key.pem"));
    makeCertificate(join(folder, "other.pem"), join(folder, "other-key.pem"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  interface Stats {
    streams: number;
    blocked: number;
    closes: Record<string, number>;
    gaps: Record<string, number>;
  }

  async function stats({ url }: ServerProcess): Promise<Stats> {
    return (await (await fetch(`${url}/stats`, { tls: { rejectUnauthorized: false } })).json()) as Stats;
  }

  function post(session: ClientHttp2Session, body: unknown): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const request = session.request({
      ":method": "POST",
      ":path": "/publish",
      "content-type": "application/json",
    });
    let status = 0;
    request.on("response", (headers) => (status = Number(headers[":status"])));
    request.on("end", () => resolve(status)).on("error", reject);
    request.resume();
    request.end(JSON.stringify(body));
    return promise;
  }

  test("a path is the whole path, whatever the host", async () => {
    await using server = await ServerProcess.start(...flags);
    const statusOf = async (path: string, host: string): Promise<number> =>
      (await fetch(`${server.url}${path}`, { headers: { host }, tls: { rejectUnauthorized: false } })).status;
    const { host } = new URL(server.url);
    const index = await (await fetch(server.url, { tls: { rejectUnauthorized: false } })).text();
    const asset = /"(\/assets\/[^"]+)"/.exec(index)![1]!;
    for (const path of [asset, "/stats", "/benchmarks", "/healthz"])
      expect([path, await statusOf(path, host)]).toEqual([path, 200]);
    for (const name of [host, "abc", "abcd"]) expect(await statusOf("/abc/stats", name)).toBe(404);
    for (const name of ["a", "ab"]) expect(await statusOf("/a/stats", name)).toBe(400);
  });

  test.skipIf(CHROMIUM === null)("30 EventSources of one page are all open, and the page works", async () => {
    await using server = await ServerProcess.start(...flags);
    expect(server.url).toStartWith("https:");
    const browser = await launchChromium();
    try {
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      const tab = await Tab.open(context, server.url);
      await tab.sums("All 3 feeds open");
      await tab.post("over HTTP/2");
      await until(async () => (await tab.rows("board")).includes("over HTTP/2"));
      const page = await context.newPage();
      await page.goto(`${server.url}/healthz`);
      const counts = await page.evaluate<string[]>(IN_PAGE);
      expect(counts).toEqual(Array.from({ length: 30 }, (_, at) => `${at % 3}`));
      expect(tab.troubles).toEqual([]);
    } finally {
      await browser.close();
    }
  });

  test("streams of one connection that are not read do not hold up the others, and end at the deadline", async () => {
    await using server = await ServerProcess.start(...flags, "--write-deadline", "5s");
    const readers = connect(server.url, { rejectUnauthorized: false });
    const publisher = connect(server.url, { rejectUnauthorized: false });
    const stalled = 5;
    const ended: number[] = [];
    const seen: number[][] = [];
    for (let at = 0; at < 40; at++) {
      const request = readers.request({ ":path": "/events?topic=t" });
      request.on("error", () => {}).on("close", () => ended.push(at));
      if (at < stalled) {
        request.pause();
        continue;
      }
      const numbers: number[] = [];
      seen.push(numbers);
      const decoder = createDecoder({
        onEvent: ({ type, data }) => type === "message" && numbers.push(Number.parseInt(data, 10)),
      });
      request.on("data", (bytes: Uint8Array) => decoder.feed(bytes));
    }
    await until(async () => (await stats(server)).streams === 40);
    const numbers = Array.from({ length: 20_000 }, (_, at) => at);
    for (let at = 0; at < numbers.length; at += 200) {
      const batch = numbers
        .slice(at, at + 200)
        .map((number) => ({ topic: "t", data: `${number} ${"x".repeat(64)}` }));
      expect(await post(publisher, batch)).toBe(200);
      // Here is who publishes and who reads: a reader that this leaves behind would not be slow by itself.
      await until(() => seen.every(({ length }) => length === at + batch.length));
    }
    for (const each of seen) expect(each).toEqual(numbers);
    await until(() => ended.length === stalled);
    expect(ended.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
    expect((await stats(server)).closes).toMatchObject({ slow: stalled });
    readers.destroy();
    publisher.destroy();
  });

  const LARGE = "x".repeat(64 * 1024);

  async function flood({ url }: ServerProcess, first: number, last: number, keys: number): Promise<void> {
    for (let number = first; number <= last; number++) {
      const body = JSON.stringify({ topic: "t", key: `${number % keys}`, data: `${number} ${LARGE}` });
      const headers = { "content-type": "application/json" };
      const tls = { rejectUnauthorized: false };
      const response = await fetch(`${url}/publish`, { method: "POST", headers, body, tls });
      expect([response.status, await response.text()]).toEqual([200, expect.stringContaining("id")]);
    }
  }

  test("a stream that goes on after a stall has what its lag policy says", async () => {
    await using server = await ServerProcess.start(...flags, "--write-deadline", "off");
    using client = await Http2Client.connect(server.port);
    client.grant(2 ** 30);
    const [latest, disconnect, catchUp] = ["latest", "disconnect", "catch-up"].map((lag) =>
      client.open(`/events?topic=t&lag=${lag}`),
    ) as [Http2Stream, Http2Stream, Http2Stream];
    const streams = [latest, disconnect, catchUp];
    await until(() => streams.every(({ events }) => events.length === 1));
    // The first does not fit into the window of a stream.
    await flood(server, 0, 0, 3);
    await until(async () => (await stats(server)).blocked === streams.length);
    await flood(server, 1, 60, 3);
    expect(streams.map(({ events }) => events.length)).toEqual([1, 1, 1]);
    for (const stream of streams) stream.grant(2 ** 30);

    const told = ({ events }: Http2Stream): string[] =>
      events.map(({ type, data }) => (type === "message" ? data.split(" ", 1)[0]! : type));
    const numbers = Array.from({ length: 61 }, (_, at) => String(at));
    await until(() => catchUp.events.length === 62);
    expect(told(catchUp)).toEqual(["sse:ready", ...numbers]);
    await until(() => latest.events.length === 6);
    expect(told(latest)).toEqual(["sse:ready", "0", "sse:gap", "58", "59", "60"]);
    const id = (number: number): string => catchUp.events[number + 1]!.lastEventId;
    const gap = { reason: "lag", from: id(0), to: id(57) };
    expect(JSON.parse(latest.events[2]!.data)).toEqual(gap);
    expect(latest.events[2]!.lastEventId).toBe(gap.to);
    await until(() => disconnect.ended);
    expect(told(disconnect)).toEqual(["sse:ready", "0", "sse:closing"]);
    expect(JSON.parse(disconnect.events[2]!.data)).toMatchObject({ reason: "slow" });
    expect(disconnect.events[2]!.lastEventId).toBe(id(0));
    const { closes, gaps } = await stats(server);
    expect([closes.slow, gaps.lag]).toEqual([1, 1]);
  });

  test("200 streams that are never read take no memory from a flood, and end at the deadline", async () => {
    const logBytes = 16 * 2 ** 20;
    const limits = ["--write-deadline", "4s", "--max-log-bytes", `${logBytes}B`];
    await using server = await ServerProcess.start(...flags, ...limits);
    using client = await Http2Client.connect(server.port);
    const policies = ["latest", "disconnect", "catch-up"];
    const streams = Array.from({ length: 200 }, (_, at) =>
      client.open(`/events?topic=t&lag=${policies[at % policies.length]}`),
    );
    await until(() => streams.every(({ events }) => events.length === 1));
    const before = await server.memory();
    let most = before;
    for (let first = 0; first < 400; first += 50) {
      await flood(server, first, first + 49, 10);
      most = Math.max(most, await server.memory());
    }
    // Without a bound it would be 5 GiB.
    expect((most - before - logBytes) / 2 ** 20).toBeLessThan(96);
    await until(() => streams.every(({ reset }) => reset));
    expect(await stats(server)).toMatchObject({ streams: 0, closes: { slow: streams.length } });
  });

  test("says what is wrong with the files", async () => {
    const refusal = async (...args: string[]): Promise<string> => {
      const { code, error } = await runServer(args);
      expect(code).toBe(2);
      return error;
    };
    const [cert, key, other] = ["cert.pem", "key.pem", "other-key.pem"].map((name) => join(folder, name));
    expect(await refusal("--tls-cert", cert!)).toContain("of use together");
    expect(await refusal("--http3")).toContain("--http3 needs");
    expect(await refusal("--tls-cert", cert!, "--tls-key", other!)).toContain("is not the key of");
    expect(await refusal("--tls-cert", key!, "--tls-key", key!)).toContain("is no certificate");
    expect(await refusal("--tls-cert", cert!, "--tls-key", cert!)).toContain("is no private key");
    expect(await refusal("--tls-cert", join(folder, "none"), "--tls-key", key!)).toContain("cannot be read");
  });
});
