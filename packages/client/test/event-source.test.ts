import { describe, expect, test } from "bun:test";
import { EventSource } from "../src/index.ts";
import { Recorder } from "./recorder.ts";
import { until, WireServer } from "./wire-server.ts";

/* What WHATWG HTML 9.2 says of an EventSource, against servers that say exactly these bytes. */

describe("an EventSource", () => {
  test("has the standard's constants, state, URL and handlers", async () => {
    await using server = await WireServer.start((exchange) => exchange.stream("data: a\n\n"));
    const source = new EventSource(`${server.url}/a?b`);
    expect([EventSource.CONNECTING, EventSource.OPEN, EventSource.CLOSED]).toEqual([0, 1, 2]);
    expect([source.CONNECTING, source.OPEN, source.CLOSED]).toEqual([0, 1, 2]);
    expect(source).toBeInstanceOf(EventTarget);
    expect([source.readyState, source.url, source.withCredentials]).toEqual([0, `${server.url}/a?b`, false]);
    expect([source.onopen, source.onmessage, source.onerror]).toEqual([null, null, null]);
    const event = await new Promise<MessageEvent>((resolve) => (source.onmessage = resolve));
    expect(event).toMatchObject({ type: "message", data: "a", lastEventId: "", origin: server.url });
    expect([event.bubbles, event.cancelable]).toEqual([false, false]);
    expect(source.readyState).toBe(1);
    source.close();
    expect(source.readyState).toBe(2);
    await until(() => server.exchanges[0]!.gone);
  });

  test("fires the types that the stream names, and a handler has the place where it was first set", async () => {
    await using server = await WireServer.start((exchange) =>
      exchange.stream("id: 7\nevent: add\ndata: a\n\n", "data: b\n\n"),
    );
    using recorder = new Recorder(server.url);
    const { source } = recorder;
    const log: string[] = [];
    source.addEventListener("add", ({ data, lastEventId }) => log.push(`add ${data} ${lastEventId}`));
    source.addEventListener("message", () => log.push("first"));
    source.onmessage = () => log.push("never");
    source.addEventListener("message", () => log.push("third"));
    source.onmessage = ({ lastEventId }) => log.push(`second ${lastEventId}`);
    await until(() => log.length === 4);
    expect(log).toEqual(["add a 7", "second 7", "first", "third"]);
  });

  test("refuses a URL that does not parse, and fails for good on one that no stream can be had from", async () => {
    for (const url of ["http://[", "/relative", "//", "http://a:b"]) {
      expect(() => new EventSource(url)).toThrow(expect.objectContaining({ name: "SyntaxError" }));
    }
    for (const url of ["ftp://localhost/", "about:blank", "mailto:a@b", "javascript:1"]) {
      using recorder = new Recorder(url);
      expect(await recorder.logged(1)).toEqual(["error:headers:2"]);
    }
  });

  test("asks with GET and the standard's headers, and with cookies only where told", async () => {
    await using server = await WireServer.start((exchange) => exchange.stream());
    using recorder = new Recorder(server.url);
    await recorder.logged(1);
    const [{ method, headers }] = server.requests as [(typeof server.requests)[0]];
    expect(method).toBe("GET");
    expect(headers).toMatchObject({ accept: "text/event-stream", "cache-control": "no-cache" });
    expect(headers).not.toHaveProperty("last-event-id");
    const seen: RequestInit[] = [];
    for (const withCredentials of [false, true]) {
      using _ = new Recorder(server.url, {
        withCredentials,
        fetch: (url, init) => {
          seen.push(init);
          return fetch(url, init);
        },
      });
      await until(() => seen.length === Number(withCredentials) + 1);
    }
    expect(seen.map(({ credentials, cache }) => [credentials, cache])).toEqual([
      ["same-origin", "no-store"],
      ["include", "no-store"],
    ]);
  });

  test.each([
    ["text/event-stream", true],
    ["TEXT/Event-Stream", true],
    ["text/event-stream;", true],
    ["text/event-stream ; charset=windows-1252", true],
    ["text/event-stream;x=bogus", true],
    ["text/x-bogus", false],
    ["x bogus", false],
    ["text/event-stream-not", false],
    ["text/plain, text/event-stream", false],
    ["", false],
  ])("content-type %p is a stream: %p", async (type, opens) => {
    await using server = await WireServer.start((exchange) =>
      exchange.head(200, type === "" ? {} : { "content-type": type }).write("data: ä\n\n"),
    );
    using recorder = new Recorder(server.url);
    expect(await recorder.logged(opens ? 2 : 1)).toEqual(
      opens ? ["open", "message:ä"] : ["error:content-type:2"],
    );
    if (!opens) await until(() => server.exchanges[0]!.gone);
    expect(recorder.errors.map(({ retryIn }) => retryIn)).toEqual(opens ? [] : [null]);
  });

  test("fails for good on any status but 200, if no status is to be retried", async () => {
    const statuses = Array.from({ length: 400 }, (_, at) => 200 + at);
    // A 3xx without a place to go is an answer like any other.
    await using server = await WireServer.start((exchange) => {
      const status = Number(exchange.request.target.slice(1));
      exchange.head(status, { "content-type": "text/event-stream", "content-length": "0" }).cut();
    });
    const outcomes = new Map<number, string>();
    for (let at = 0; at < statuses.length; at += 50) {
      await Promise.all(
        statuses.slice(at, at + 50).map(async (status) => {
          using recorder = new Recorder(`${server.url}/${status}`, { retryStatuses: null });
          outcomes.set(status, (await recorder.logged(1))[0]!);
        }),
      );
    }
    const others = [...outcomes].filter(([, outcome]) => outcome !== "error:status:2");
    expect(others).toEqual([[200, "open"]]);
    expect(outcomes.size).toBe(400);
  });

  test.each([301, 302, 303, 307, 308])(
    "follows %p; the URL stays, the origin is the last one's",
    async (status) => {
      await using target = await WireServer.start((exchange) => exchange.stream("data: there\n\n"));
      await using server = await WireServer.start((exchange) =>
        exchange.head(status, { location: `${target.url}/elsewhere`, "content-length": "0" }).cut(),
      );
      using recorder = new Recorder(server.url);
      const origin = new Promise((resolve) => {
        recorder.source.addEventListener("message", (event) => resolve(event.origin));
      });
      expect(await recorder.logged(2)).toEqual(["open", "message:there"]);
      expect(recorder.source.url).toBe(`${server.url}/`);
      expect(await origin).toBe(target.url);
    },
  );

  test("does not go round in a loop of redirects", async () => {
    await using server = await WireServer.start((exchange) =>
      exchange.head(307, { location: "/", "content-length": "0" }).cut(),
    );
    using recorder = new Recorder(server.url);
    expect(await recorder.logged(1)).toEqual(["error:network:0"]);
    expect(server.requests.length).toBeLessThan(200);
    expect(recorder.errors[0]!.cause).toBeInstanceOf(Error);
  });

  test("hears nothing more once closed, not even what its last bytes had", async () => {
    await using server = await WireServer.start((exchange) =>
      exchange.stream("data: a\n\ndata: b\n\ndata: c\n\n"),
    );
    using recorder = new Recorder(server.url);
    recorder.source.addEventListener("message", () => recorder.source.close());
    await recorder.logged(2);
    await until(() => server.exchanges[0]!.gone);
    expect(recorder.log).toEqual(["open", "message:a"]);
    expect(recorder.clock.waits).toEqual([]);
  });
});
