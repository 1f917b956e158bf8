import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { expectProblem } from "./expect-problem.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, SseClient, until } from "./sse-client.ts";

/* The HTTP contract, against the server as a process of its own; and against the handler in other runtimes. */

let server: ServerProcess;
let url: string;

beforeAll(async () => {
  const origins = ["--cors-origins", "https://app.example", "--cors-headers", "X-User,traceparent"];
  server = await ServerProcess.start(...origins, "--log-level", "debug");
  ({ url } = server);
});
afterAll(() => server[Symbol.asyncDispose]());

let topics = 0;
const newTopic = (): string => `test/${++topics}`;
const events = (topic: string, query = ""): string =>
  `${url}/events?topic=${encodeURIComponent(topic)}${query}`;

/** Bytes over a socket of our own, for what fetch would not send; answers what comes back until it ends, or is as awaited. */
function raw(request: string, awaited?: RegExp): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(server.port, "127.0.0.1", () => void socket.write(request));
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
    if (awaited?.test(text)) socket.destroy();
  });
  socket.on("close", () => resolve(text));
  socket.on("error", (error) => (text === "" ? reject(error) : resolve(text)));
  return promise;
}

describe("GET /events", () => {
  test("answers with the stream's headers and sse:ready at once", async () => {
    await using client = await SseClient.open(events(newTopic()));
    expect(client.response.status).toBe(200);
    expect(client.response.headers.get("content-type")).toBe("text/event-stream");
    expect(client.response.headers.get("cache-control")).toBe("no-cache, no-transform");
    expect(client.response.headers.get("x-accel-buffering")).toBe("no");
    await until(() => client.events.length > 0);
    expect(client.events[0]).toMatchObject({ type: "sse:ready", data: '{"resume":"fresh","replayed":0}' });
    expect(client.lastEventId).toMatch(/^[A-Za-z0-9._-]{1,128}$/);
  });

  test("is of the topic `default` when none is asked for", async () => {
    await using client = await SseClient.open(`${url}/events`);
    await until(() => client.events.length > 0);
    await publish(url, { topic: "default", data: "to default" });
    expect(await client.receive(1)).toEqual(["to default"]);
  });

  test("gives what matches any of its selectors, in order", async () => {
    const topic = newTopic();
    await using client = await SseClient.open(`${events(topic)}&topic=${topic}/a/*`);
    await until(() => client.events.length > 0);
    await publish(url, [
      { topic, data: "1" },
      { topic: `${topic}/b/c`, data: "2" },
      { topic: `${topic}/a/x`, data: "3" },
      { topic: `${topic}/a/x/y`, data: "4" },
    ]);
    expect(await client.receive(2)).toEqual(["1", "3"]);
  });

  test.each([
    ["the header", (id: string) => ["", { "last-event-id": id }] as const],
    ["the query", (id: string) => [`&lastEventId=${id}`, {}] as const],
    [
      "the last of two in the query, as wrappers append it",
      (id: string) => [`&lastEventId=garbage&lastEventId=${id}`, {}] as const,
    ],
    [
      "both, when the header wins",
      (id: string) => ["&lastEventId=garbage", { "last-event-id": id }] as const,
    ],
  ])("resumes by %s", async (_, request) => {
    const topic = newTopic();
    const { ids } = await publish(
      url,
      ["1", "2", "3"].map((data) => ({ topic, data })),
    );
    const [query, headers] = request((ids as string[])[0]!);
    await using client = await SseClient.open(events(topic, query), headers);
    expect(await client.receive(2)).toEqual(["2", "3"]);
    expect(client.control("sse:ready")).toEqual([{ resume: "resumed", replayed: 2 }]);
    await publish(url, { topic, data: "4" });
    expect(await client.receive(3)).toEqual(["2", "3", "4"]);
  });

  test("resumes by the last of two headers", async () => {
    const topic = newTopic();
    const { ids } = await publish(
      url,
      ["1", "2"].map((data) => ({ topic, data })),
    );
    const headers = `last-event-id: garbage\r\nLast-Event-ID: ${(ids as string[])[0]}`;
    const request = `GET /events?topic=${topic} HTTP/1.0\r\n${headers}\r\n\r\n`;
    expect(await raw(request, /sse:ready\n.*\n/)).toContain('{"resume":"resumed","replayed":1}');
  });

  test("ignores parameters that proxies and libraries add", async () => {
    const topic = newTopic();
    const { ids } = await publish(url, [{ topic, data: "1" }]);
    const added = `&_=1&utm_source=a&datastar=%7B%7D&access_key=b&lastEventId=${(ids as string[])[0]}`;
    await using client = await SseClient.open(events(topic, added));
    await until(() => client.events.length > 0);
    expect(client.control("sse:ready")).toEqual([{ resume: "resumed", replayed: 0 }]);
  });

  test.each([
    ["all", ["1", "2", "3"]],
    ["2", ["2", "3"]],
    ["0", []],
  ])("replays %s to a client without a cursor", async (replay, expected) => {
    const topic = newTopic();
    await publish(
      url,
      ["1", "2", "3"].map((data) => ({ topic, data })),
    );
    await using client = await SseClient.open(events(topic, `&replay=${replay}`));
    await publish(url, { topic, data: "live" });
    expect(await client.receive(expected.length + 1)).toEqual([...expected, "live"]);
    expect(client.control("sse:ready")).toEqual([{ resume: "fresh", replayed: expected.length }]);
  });

  test("with lag=latest, gives the newest of each key of what was missed, and says so", async () => {
    const topic = newTopic();
    const { ids } = await publish(
      url,
      ["a1", "b1", "a2", "a3"].map((data) => ({ topic, data, key: data[0] })),
    );
    const [first, , third] = ids as string[];
    await using client = await SseClient.open(events(topic, "&lag=latest"), { "last-event-id": first! });
    expect(await client.receive(2)).toEqual(["b1", "a3"]);
    expect(client.control("sse:gap")).toEqual([{ reason: "lag", from: (ids as string[])[1], to: third }]);
  });

  test("with envelope=json, tells of each event its topic, its key, and its data as it was published", async () => {
    const topic = newTopic();
    const values = ["two\nlines", '{"a":1}', { a: 1 }, [1, "2"], 3, true, null, ""];
    const expected = values.map((data, at) => {
      const event = { topic: `${topic}/${at}`, data };
      return at % 2 === 0 ? event : Object.assign(event, { key: `k${at}` });
    });
    const before = await publish(url, expected.slice(0, 4));
    await using client = await SseClient.open(events(`${topic}/*`, "&envelope=json&replay=all"));
    await until(() => client.data.length === 4);
    await publish(url, expected.slice(4));
    const text = await fetch(`${url}/publish?topic=${topic}/8`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: "[]",
    });
    expect(text.status).toBe(200);
    await client.receive(expected.length + 1);
    expect(client.data.map((data) => JSON.parse(data) as unknown)).toEqual([
      ...expected,
      { topic: `${topic}/8`, data: "[]" },
    ]);
    expect(client.control("sse:ready")).toEqual([{ resume: "fresh", replayed: 4 }]);
    expect(client.events[1]!.lastEventId).toBe((before["ids"] as string[])[0]!);
  });

  test("with control=comment, dispatches only what was published, and keeps the cursor", async () => {
    const topic = newTopic();
    const { ids } = await publish(
      url,
      ["a1", "b1", "a2", "a3"].map((data) => ({ topic, data, key: data[0] })),
    );
    const [first, second, third] = ids as string[];
    const fresh = await SseClient.open(events(topic, "&control=comment"));
    await until(() => fresh.lastEventId !== "");
    fresh.close();
    expect(fresh.events).toEqual([]);

    const resumed = events(topic, "&control=comment&lag=latest");
    await using client = await SseClient.open(resumed, { "last-event-id": first! });
    await client.receive(2);
    const { id: last } = await publish(url, { topic, data: "last", end: true });
    await until(() => client.ended);
    expect(client.events.map(({ data }) => data)).toEqual(["b1", "a3", "last"]);
    expect(client.comments).toBe(3); // sse:ready, sse:gap, sse:end
    expect(client.lastEventId).not.toBe(last as string);
    const again = await fetch(resumed, { headers: { "last-event-id": client.lastEventId } });
    expect(again.status).toBe(204);

    const answer = await fetch(resumed, { headers: { "last-event-id": first! } });
    expect(await answer.text()).toContain(
      `\n\n: sse:gap {"reason":"lag","from":"${second}","to":"${third}"}\nid: ${third}\n\n`,
    );
    await using behind = await SseClient.open(events(topic, "&replay=all"), {
      "last-event-id": fresh.lastEventId,
    });
    expect(await behind.receive(1)).toEqual(["last"]);
  });

  test.each([
    ["garbage", "garbage"],
    ["another epoch", "zzzzzzzzzz-12"],
    ["the future", "EPOCH-999999999"],
    ["bytes that are no text", "\xff\xfe"],
  ])("an id that is %s is told a gap, and goes on", async (kind, id) => {
    const topic = newTopic();
    const { id: now } = await publish(url, { topic, data: "before" });
    const lastEventId = id.replace("EPOCH", String(now).split("-")[0]!);
    await using client = await SseClient.open(events(topic), { "last-event-id": lastEventId });
    await until(() => client.events.length > 1);
    const reason = kind === "another epoch" ? "epoch" : "unknown-id";
    expect(client.control("sse:ready")).toMatchObject([{ resume: "reset", reason }]);
    expect(client.control("sse:gap")).toMatchObject([
      { reason, from: reason === "epoch" ? lastEventId : null },
    ]);
    const [ready, gap] = client.events;
    expect(gap!.lastEventId).toBe(client.control("sse:gap")[0]!.to as string);
    expect(ready!.lastEventId).toBe(gap!.lastEventId);
    await publish(url, { topic, data: "after" });
    await until(() => client.data.includes("after"));
  });

  test("an id of a megabyte is refused without harm", async () => {
    const answer = await raw(
      `GET /events HTTP/1.1\r\nhost: localhost\r\nlast-event-id: ${"x".repeat(1 << 20)}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 4(31|00) /); // who parses the header answers
    const { status } = await fetch(`${url}/events?lastEventId=${"x".repeat(1 << 20)}`);
    expect([400, 414, 431]).toContain(status);
  });

  test("speaks HTTP/1.0", async () => {
    const topic = newTopic();
    await publish(url, { topic, data: "hello" });
    const request = `GET /events?topic=${topic}&replay=all HTTP/1.0\r\n\r\n`;
    const answer = await raw(request, /\n\ndata: hello\nid: [^\n]+\n\n$/);
    expect(answer).toMatch(/^HTTP\/1\.[01] 200 OK\r\n/);
    expect(answer.toLowerCase()).not.toContain("transfer-encoding");
  });

  test("HEAD has the headers, and opens no stream", async () => {
    const opened = async (): Promise<unknown> => {
      const { resumes } = (await (await fetch(`${url}/stats`)).json()) as { resumes: object };
      return resumes;
    };
    const before = await opened();
    const answer = await raw("HEAD /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    expect(answer).toStartWith("HTTP/1.1 200 OK\r\n");
    expect(answer.toLowerCase()).toContain("content-type: text/event-stream");
    expect(answer.split("\r\n\r\n")[1]).toBe("");
    expect(await opened()).toEqual(before);
  });

  test.each([
    ["?topic=", "is empty"],
    ["?topic=a%20b", "a space"],
    ["?topic=a*", "no pattern"],
    ["?topic=**/a", "no pattern"],
    ["?topic=a%00b", "does not print"],
    [`?topic=${"x".repeat(1025)}`, "longer than 1024 bytes"],
    [`?${Array.from({ length: 101 }, (_, at) => `topic=${at}`).join("&")}`, "more than the limit of 100"],
    ["?replay=some", "replay is"],
    ["?replay=-1", "replay is"],
    ["?lag=whatever", "lag must be one of"],
    ["?lag=latest&lag=whatever", "lag must be one of"],
    ["?envelope=xml", "envelope must be json"],
    ["?envelope=", "envelope must be json"],
    ["?envelope=json&envelope=", "envelope must be json"],
    ["?control=none", "control must be event or comment"],
    ["?control=", "control must be event or comment"],
    ["?envelop=json", "did you mean envelope?"],
    ["?controls=comment", "did you mean control?"],
    ["?topics=a", "did you mean topic?"],
    ["?lasteventid=a", "did you mean lastEventId?"],
  ])("refuses %s", async (query, detail) => {
    await expectProblem(await fetch(`${url}/events${query}`), 400, detail);
  });

  test("a topic that has ended tells its clients to stay away", async () => {
    const topic = newTopic();
    await using client = await SseClient.open(events(topic));
    await until(() => client.events.length > 0);
    await publish(url, { topic, data: "last", end: true });
    await until(() => client.ended);
    expect(client.data).toEqual(["last"]);
    expect(client.control("sse:end")).toEqual([{ topic }]);
    const again = await fetch(events(topic), { headers: { "last-event-id": client.lastEventId } });
    expect(again.status).toBe(204);
  });
});

describe("POST /publish", () => {
  const post = (
    body: string | Uint8Array<ArrayBuffer> | ReadableStream,
    type: string | null = "application/json",
    path = "/publish",
  ): Promise<Response> =>
    fetch(`${url}${path}`, { method: "POST", body, headers: type === null ? {} : { "content-type": type } });

  test("takes text, JSON values, arrays and NDJSON", async () => {
    const topic = newTopic();
    await using client = await SseClient.open(events(topic));
    await until(() => client.events.length > 0);
    const answers = [
      await post(
        "plain\ntext",
        "text/plain; charset=utf-8",
        `/publish?topic=other&topic=${topic}&event=kind&id=i&key=k&access_key=x`,
      ),
      await post(JSON.stringify({ topic, data: { a: 1 }, event: "kind" }), "application/json;charset=utf-8"),
      await post(
        JSON.stringify([
          { topic, data: "x" },
          { topic, data: 3 },
        ]),
      ),
      await post(
        `{"topic":"${topic}","data":"y"}\n\n{"topic":"${topic}","data":[]}\r\n`,
        "application/x-ndjson",
      ),
      await post("[]"),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    const bodies = (await Promise.all(answers.map((answer) => answer.json()))) as {
      id?: string;
      ids?: string[];
    }[];
    expect(await client.receive(6)).toEqual(["plain\ntext", '{"a":1}', "x", "3", "y", "[]"]);
    const sent = client.events.slice(1).map(({ lastEventId }) => lastEventId);
    expect(bodies.flatMap(({ id, ids }) => ids ?? [id!])).toEqual(sent);
    expect(client.events.map(({ type }) => type).slice(1, 3)).toEqual(["kind", "kind"]);
  });

  test("the same id again answers as before, and publishes nothing", async () => {
    const topic = newTopic();
    const first = await publish(url, { topic, data: "1", id: `${topic}-p` });
    expect(await publish(url, { topic, data: "1", id: `${topic}-p` })).toEqual(first);
    await publish(url, { topic, data: "2", end: true, id: `${topic}-q` });
    await publish(url, { topic, data: "2", end: true, id: `${topic}-q` });
    await using client = await SseClient.open(events(topic, "&replay=all"));
    await until(() => client.ended);
    expect(client.data).toEqual(["1", "2"]);
    expect(client.control("sse:end").length).toBe(1);
  });

  test("an array is all or nothing", async () => {
    const topic = newTopic();
    await expectProblem(
      await post(
        JSON.stringify([
          { topic, data: "1" },
          { topic, data: "2", event: "a\nb" },
        ]),
      ),
      400,
      "event 1",
    );
    await using client = await SseClient.open(events(topic, "&replay=all"));
    await publish(url, { topic, data: "3" });
    expect(await client.receive(1)).toEqual(["3"]);
  });

  test.each([
    ["{", 400, "is not JSON"],
    ["", 400, "is not JSON"],
    ["3", 400, "must be a JSON object"],
    ["null", 400, "must be a JSON object"],
    ["[[]]", 400, "event 0 must be a JSON object"],
    ['{"data":"x"}', 400, "has no topic"],
    ['{"topic":"a"}', 400, "data is missing"],
    ['{"topic":"a","data":"x","extra":1}', 400, 'unknown field "extra"'],
    ['{"topic":"a","data":"x","__proto__":{"end":true}}', 400, 'unknown field "__proto__"'],
    ['{"topic":"a b","data":"x"}', 400, "a space"],
    ['{"topic":"a/*","data":"x"}', 400, "is a pattern"],
    ['{"topic":7,"data":"x"}', 400, "topic must be a string"],
    ['{"topic":"a","data":"x","event":"a\\rb"}', 400, "event must not hold CR, LF or NUL"],
    ['{"topic":"a","data":"x","event":"sse:gap"}', 400, "the hub's own"],
    ['{"topic":"a","data":"x","id":"a\\u0000b"}', 400, "id must not hold CR, LF or NUL"],
    ['{"topic":"a","data":"x","id":"a\\nb"}', 400, "id must not hold CR, LF or NUL"],
    ['{"topic":"a","data":"x","key":1}', 400, "key must be a string"],
    ['{"topic":"a","data":"x","end":1}', 400, "end must be true or false"],
  ])("refuses %s", async (body, status, detail) => {
    await expectProblem(await post(body), status, detail);
  });

  test("refuses bodies of another type, not in UTF-8, or without a topic", async () => {
    await expectProblem(await post("hello", "application/x-www-form-urlencoded"), 415, "is not understood");
    await expectProblem(await post(new Uint8Array([120]), null), 415, "there is no content-type");
    await expectProblem(
      await post(new Uint8Array([0xff]), "text/plain", "/publish?topic=a"),
      400,
      "not UTF-8",
    );
    await expectProblem(await post("x", "text/plain"), 400, "needs its topic");
    await expectProblem(
      await post("x", "text/plain", "/publish?topic=a&topics=b"),
      400,
      "did you mean topic?",
    );
    await expectProblem(
      await post("x", "text/plain", "/publish?topic=a&data=b"),
      400,
      "data is not for the query",
    );
    await expectProblem(
      await post('{"topic":"a","data":"x"}\n{', "application/x-ndjson"),
      400,
      "line 2 is not JSON",
    );
  });

  test("refuses what it would take for something else: charsets, codings, parameters, deep JSON", async () => {
    await expectProblem(
      await post("x", "text/plain;charset=utf-16", "/publish?topic=a"),
      415,
      "charset=utf-16",
    );
    const zipped = await fetch(`${url}/publish?topic=a`, {
      method: "POST",
      headers: { "content-type": "text/plain", "content-encoding": "gzip" },
      body: Bun.gzipSync("x"),
    });
    await expectProblem(zipped, 415, "content-encoding gzip");
    await expectProblem(
      await post('{"topic":"a","data":"x"}', undefined, "/publish?topic=b"),
      400,
      "topic is not for the query",
    );
    for (const query of ["topic=%ff", "topic=a%zz", "topic=a%", "topic=a%ed%a0%80", "topic=a&id=%fe"]) {
      await expectProblem(await post("x", "text/plain", `/publish?${query}`), 400, "not UTF-8");
      await expectProblem(
        await fetch(`${url}/events?${query.replace("&id", "&lastEventId")}`),
        400,
        "not UTF-8",
      );
    }
    const nested = (depth: number) => `{"topic":"a","data":${"[".repeat(depth)}${"]".repeat(depth)}}`;
    for (const depth of [500_000, 30_000, 10_001])
      await expectProblem(await post(nested(depth)), 400, "nested more than 10000 deep");
    expect((await post(nested(3000))).status).toBe(200); // V8 writes not much deeper JSON
    const brackets = JSON.stringify({ topic: "a", data: `\\"${"[".repeat(100_000)}"` });
    expect((await post(brackets)).status).toBe(200);
  });

  test("keeps a byte order mark that is data", async () => {
    const topic = newTopic();
    await post("\ufeffx", "text/plain;charset=UTF-8", `/publish?topic=${topic}`);
    await using client = await SseClient.open(events(topic, "&replay=all"));
    expect(await client.receive(1)).toEqual(["\ufeffx"]);
  });

  test("refuses a body of 10 MB, with and without a length, and an event of 2 MB", async () => {
    const big = JSON.stringify({ topic: "big", data: "x".repeat(10_000_000) });
    await expectProblem(await post(big), 413, "the body is over the limit");
    const chunks = new ReadableStream({
      start(controller) {
        for (let at = 0; at < 10; at++) controller.enqueue(new Uint8Array(1_000_000));
        controller.close();
      },
    });
    await expectProblem(await post(chunks), 413, "the body is over the limit");
    await expectProblem(
      await post(JSON.stringify({ topic: "big", data: "x".repeat(2_000_000) })),
      413,
      "data is over the limit",
    );
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});

describe("other requests", () => {
  test.each([
    ["DELETE", "/events", "GET, HEAD, OPTIONS"],
    ["POST", "/events", "GET, HEAD, OPTIONS"],
    ["GET", "/publish", "POST, OPTIONS"],
    ["PUT", "/publish", "POST, OPTIONS"],
    ["PATCH", "/stats", "GET, HEAD, OPTIONS"],
    ["GET", "/drain", "POST, OPTIONS"],
  ])("%s %s is answered with the methods that are known", async (method, path, allow) => {
    const response = await fetch(`${url}${path}`, { method });
    expect(response.headers.get("allow")).toBe(allow);
    await expectProblem(response, 405, allow);
  });

  test("an unknown path is a problem", async () => {
    await expectProblem(await fetch(`${url}/nowhere`), 404, "/nowhere");
  });

  test("the hub's state", async () => {
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: "up" });
    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: "ready" });
    expect(await (await fetch(`${url}/stats`)).json()).toMatchObject({
      streams: expect.any(Number),
      log: expect.any(Object),
    });
  });

  test("POST /drain sends streams away, and they resume without a hole while the server goes on", async () => {
    const topic = newTopic();
    await using client = await SseClient.open(events(topic));
    await using other = await SseClient.open(events(newTopic()));
    await until(() => client.events.length > 0 && other.events.length > 0);
    await publish(url, { topic, data: "1" });
    await client.receive(1);
    const drain = (body: string | null, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${url}/drain`, { method: "POST", headers, body });
    expect(await (await drain(JSON.stringify({ topics: [topic], within: 0 }))).json()).toEqual({
      streams: 1,
    });
    await until(() => client.ended);
    expect(client.control("sse:closing")).toEqual([{ reason: "drain", retry: expect.any(Number) }]);
    await publish(url, { topic, data: "2" });
    await using back = await SseClient.open(`${events(topic)}&lastEventId=${client.lastEventId}`);
    expect(await back.receive(1)).toEqual(["2"]);
    expect(other.events.map(({ type }) => type)).toEqual(["sse:ready"]);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);

    await expectProblem(await drain("[]"), 400, "must be a JSON object with topics, within");
    await expectProblem(await drain('{"topics":"a"}'), 400, "topics must be a list");
    await expectProblem(await drain('{"topics":["a b"]}'), 400, "holds a space");
    await expectProblem(await drain('{"within":"5s"}'), 400, "within must be a number");
    await expectProblem(await drain('{"within":-5}'), 400, "within must be a whole number");
    await expectProblem(await drain('{"all":true}'), 400, "unknown field");
    await expectProblem(await drain(null, { origin: "https://evil.example" }), 403, "evil.example");
    expect(back.control("sse:closing")).toEqual([]);
  });

  test("cross-origin requests are for the origins listed only", async () => {
    const from = (origin: string, method = "GET", path = "/stats"): Promise<Response> => {
      const asked = {
        "access-control-request-method": "GET",
        "access-control-request-headers": "last-event-id",
      };
      return fetch(`${url}${path}`, {
        method,
        headers: method === "OPTIONS" ? { origin, ...asked } : { origin },
      });
    };
    expect((await from("https://app.example")).headers.get("access-control-allow-origin")).toBe(
      "https://app.example",
    );
    expect((await from("https://evil.example")).headers.get("access-control-allow-origin")).toBeNull();
    const preflight = await from("https://app.example", "OPTIONS", "/events");
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")).toBe(
      "Content-Type, Last-Event-ID, Authorization, X-User, traceparent",
    );
    await using client = await SseClient.open(events(newTopic()), { origin: "https://app.example" });
    expect(client.response.headers.get("access-control-allow-origin")).toBe("https://app.example");
    await until(() => client.events.length > 0);
  });
});

test("pages of other origins may not publish, unless they are listed", async () => {
  const from = (origin: string): Promise<Response> =>
    fetch(`${url}/publish?topic=a`, {
      method: "POST",
      headers: { origin, "content-type": "text/plain" },
      body: "x",
    });
  for (const origin of ["https://evil.example", "null", "http://localhost:1"]) {
    await expectProblem(await from(origin), 403, "are not allowed here");
  }
  for (const origin of [url, "https://app.example"]) expect((await from(origin)).status).toBe(200);
});

test("a line is logged for each stream that closes", async () => {
  const topic = newTopic();
  const client = await SseClient.open(events(topic));
  await publish(url, { topic, data: "x" });
  await client.receive(1);
  client.close();
  await until(() => server.lines.some((line) => line.includes(topic)));
  expect(JSON.parse(server.lines.find((line) => line.includes(topic))!)).toMatchObject({
    level: "debug",
    message: "stream closed",
    reason: "client",
    topics: topic,
    events: 1,
    bytes: expect.any(Number),
    seconds: expect.any(Number),
  });
});
