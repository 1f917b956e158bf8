import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { expectProblem } from "./expect-problem.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, SseClient, until } from "./sse-client.ts";

/* What the server has besides the HTTP contract of the handler: the tutorials' endpoints, demos, metrics, its own state as a stream. */

let server: ServerProcess;
let url: string;

beforeAll(async () => {
  server = await ServerProcess.start("--cors-origins", "https://app.example");
  ({ url } = server);
});
afterAll(() => server[Symbol.asyncDispose]());

const events = (topic: string, query = ""): string =>
  `${url}/events?topic=${encodeURIComponent(topic)}${query}`;

test.each([
  ["GET", "/send-event", "POST, OPTIONS"],
  ["POST", "/random", "GET, HEAD, OPTIONS"],
  ["GET", "/demo/jobs", "POST, OPTIONS"],
  ["POST", "/", "GET, HEAD, OPTIONS"],
  ["GET", "/stats/probe", "POST, OPTIONS"],
])("%s %s is answered with the methods that are known", async (method, path, allow) => {
  const response = await fetch(`${url}${path}`, { method });
  expect(response.headers.get("allow")).toBe(allow);
  await expectProblem(response, 405, allow);
});

test("a path is the whole path, also where the host has one letter", async () => {
  const statusOf = async (path: string) => (await fetch(`${url}${path}`, { headers: { host: "a" } })).status;
  expect([await statusOf("/stats"), await statusOf("/abc/stats")]).toEqual([421, 404]);
});

test("GET /metrics is in Prometheus' format", async () => {
  const client = await SseClient.open(events("measured"));
  await publish(url, { topic: "measured", data: "x" });
  await client.receive(1);
  client.close();
  const text = async (): Promise<string> => (await fetch(`${url}/metrics`)).text();
  await until(async () => (await text()).includes('sse_streams_closed_total{reason="client"} 1'));
  const metrics = await fetch(`${url}/metrics`);
  expect(metrics.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
  const all = await metrics.text();
  expect(all).toMatch(/^sse_streams [0-9]+$/m);
  expect(all).toMatch(/^sse_commit_seconds_count [1-9]/m);
  expect(all).toMatch(/^sse_fan_out_seconds_count [1-9]/m);
  expect(all).toMatch(/^sse_log_up 1$/m);
  expect(all).toMatch(/^process_resident_memory_bytes [1-9]/m);
  expect(all).not.toContain("heap_space"); // Bun walks the heap for it
  expect(all).toMatch(/^sse_streams_closed_total\{reason="client"\} [0-9]+$/m);
});

test("POST /stats/probe comes back in the stream of the server's state, and in no other", async () => {
  await using state = await SseClient.open(`${url}/stats/events`);
  await using all = await SseClient.open(`${url}/events?topic=**`);
  await until(() => state.events.length > 0 && all.events.length > 0);
  const probe = (body: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${url}/stats/probe`, { method: "POST", headers, body });
  expect((await probe('{"tab":"a","number":1}')).status).toBe(204);
  await until(() => state.events.some(({ type }) => type === "probe"));
  expect(state.control("probe")).toEqual([{ tab: "a", number: 1 }]);
  await expectProblem(await probe("1"), 400, "must be a JSON object with tab, number");
  await expectProblem(await probe('{"event":"stats"}'), 400, "unknown field");
  await expectProblem(await probe(`{"tab":"${"x".repeat(300)}"}`), 413, "limit of 256 bytes");
  await expectProblem(await probe("{}", { origin: "https://evil.example" }), 403, "evil.example");
  expect(all.events.filter(({ type }) => type === "probe")).toEqual([]);
});

test.each(["/send-event", "/demo/jobs"])(
  "pages of other origins may not POST to %s, unless they are listed",
  async (path) => {
    const from = (origin: string): Promise<Response> =>
      fetch(`${url}${path}`, {
        method: "POST",
        headers: { origin, "content-type": "text/plain" },
        body: '{"message":"x"}',
      });
    for (const origin of ["https://evil.example", "null", "http://localhost:1"]) {
      await expectProblem(await from(origin), 403, "are not allowed here");
    }
    for (const origin of [url, "https://app.example"]) expect((await from(origin)).status).toBe(200);
  },
);

describe("the tutorials' endpoints", () => {
  test("POST /send-event publishes to the topic `default`", async () => {
    await using client = await SseClient.open(`${url}/events`);
    await until(() => client.events.length > 0);
    const send = (body: string): Promise<Response> => fetch(`${url}/send-event`, { method: "POST", body });
    const sent = await send('{"message":"hello\\nworld"}');
    expect(await client.receive(1)).toEqual(["hello\nworld"]);
    expect(await sent.json()).toEqual({ id: client.lastEventId });
    await expectProblem(await send("hello"), 400, "is not JSON");
    await expectProblem(await send('{"message":1}'), 400, "message must be a string");
    await expectProblem(await send('{"text":"x"}'), 400, "unknown field");
  });

  test("GET /random, and the demo topics, push by themselves", async () => {
    await using random = await SseClient.open(`${url}/random`);
    await using clock = await SseClient.open(events("demo/clock"));
    await using ticker = await SseClient.open(events("demo/ticker"));
    await using status = await SseClient.open(events("demo/status"));
    expect((await random.receive(1))[0]).toMatch(/^[0-9]+$/);
    expect((await clock.receive(1))[0]).toMatch(
      /^The time is (Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ 1-3][0-9] [0-9:]{8} UTC [0-9]{4}$/,
    );
    expect((await ticker.receive(1))[0]).toBe("some data");
    expect(ticker.events.at(-1)!.type).toBe("add");
    await until(() => status.data.length > 0);
    expect(JSON.parse(status.data[0]!)).toMatchObject({ status: "up", streams: expect.any(Number) });
  });

  test("POST /demo/jobs starts a job that tells its progress and ends", async () => {
    const response = await fetch(`${url}/demo/jobs`, { method: "POST" });
    const { topic } = (await response.json()) as { topic: string };
    expect(topic).toMatch(/^demo\/jobs\/[0-9]+$/);
    await using client = await SseClient.open(events(topic, "&replay=all"));
    await until(() => client.ended);
    const progress = client.events
      .filter(({ type }) => type === "progress")
      .map(({ data }) => JSON.parse(data) as { completion: number });
    expect(progress.length).toBeGreaterThan(5);
    expect(progress.at(-1)).toEqual({ status: "in_progress", completion: 100 } as never);
    expect(progress.map(({ completion }) => completion)).toEqual(
      progress.map(({ completion }) => completion).toSorted((a, b) => a - b),
    );
    expect(client.events.at(-2)).toMatchObject({ type: "status", data: "Done" });
    expect(client.control("sse:end")).toEqual([{ topic }]);
  });
});
