import { describe, expect, test } from "bun:test";
import { type Attempt, CLIENT_DEFAULTS, EventSource } from "../src/index.ts";
import { ManualClock } from "./manual-clock.ts";
import { Recorder } from "./recorder.ts";
import { until, WireServer } from "./wire-server.ts";

/* What the client does where a native EventSource gives up, waits for ever, or has no say. */

describe("attempts that fail", () => {
  test("are made ever more rarely, up to the cap, and as before once something came", async () => {
    await using server = await WireServer.start((exchange, number) => {
      if (number === 7) exchange.stream(":\n").finish();
      else exchange.cut();
    });
    using recorder = new Recorder(server.url, { retry: 1000, maxRetry: 10_000 });
    for (let count = 1; count <= 8; count++) await recorder.retry(count);
    const waits = recorder.errors.slice(0, 8).map(({ retryIn }) => retryIn);
    expect(waits).toEqual([1000, 2000, 4000, 8000, 10_000, 10_000, 1000, 2000]);
    expect(recorder.errors.map(({ code }) => code).slice(0, 7)).toEqual([
      ...Array<"network">(6).fill("network"),
      "ended",
    ]);
  });

  test("are spread by chance, and never earlier than the server wants, whatever the cap", async () => {
    await using server = await WireServer.start((exchange) => exchange.stream("retry: 60000\n").finish());
    for (const [random, jitter, wait] of [
      [0.5, undefined, 75_000],
      [1, 0.1, 66_000],
      [1, null, 60_000],
    ] as const) {
      using recorder = new Recorder(server.url, { random: () => random, jitter });
      await recorder.logged(2);
      expect(recorder.errors[0]!.retryIn).toBeCloseTo(wait);
    }
  });

  test("are told of a server that is not there", async () => {
    const gone = await WireServer.start(() => {});
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    using recorder = new Recorder(url);
    expect(await recorder.logged(1)).toEqual(["error:network:0"]);
    const [error] = recorder.errors;
    expect(error).toBeInstanceOf(Event);
    expect(error).toMatchObject({ type: "error", status: null, retryIn: 3000 });
    expect(error!.cause).toBeInstanceOf(Error);
  });
});

describe("a status that may pass", () => {
  test.each([...CLIENT_DEFAULTS.retryStatuses])("%p is tried again", async (status) => {
    await using server = await WireServer.start((exchange, number) => {
      if (number === 1) exchange.head(status, { "content-length": "0" }).cut();
      else exchange.stream("data: a\n\n");
    });
    using recorder = new Recorder(server.url);
    await recorder.retry(1);
    expect(await recorder.logged(3)).toEqual(["error:status:0", "open", "message:a"]);
    expect(recorder.errors[0]).toMatchObject({ status, retryIn: 3000 });
  });

  test("204 is never tried again, whatever is asked for", async () => {
    await using server = await WireServer.start((exchange) => exchange.head(204).cut());
    using recorder = new Recorder(server.url, { retryStatuses: [204] });
    expect(await recorder.logged(1)).toEqual(["error:status:2"]);
  });

  test("is not tried again before Retry-After, in seconds or as a date", async () => {
    const now = new ManualClock().now();
    for (const [value, wait] of [
      ["120", 120_000],
      ["0", 3000],
      [new Date(now + 90_000).toUTCString(), 90_000],
      [new Date(now - 90_000).toUTCString(), 3000],
      ["soon", 3000],
      ["-5", 3000],
      ["1.5", 3000],
      ["99999999999", 2 ** 31 - 1],
    ] as const) {
      await using server = await WireServer.start((exchange) =>
        exchange.head(429, { "retry-after": value, "content-length": "0" }).cut(),
      );
      using recorder = new Recorder(server.url);
      await recorder.logged(1);
      expect([value, recorder.errors[0]!.retryIn]).toEqual([value, wait]);
    }
  });
});

describe("headers", () => {
  test("are sent, also in place of the client's own; null leaves one out", async () => {
    await using server = await WireServer.start((exchange) => exchange.stream("data: a\n\n"));
    const headers = { authorization: "Bearer x", Accept: "text/event-stream, */*", "x-none": null };
    using recorder = new Recorder(server.url, { headers });
    await recorder.logged(2);
    expect(server.requests[0]!.headers).toMatchObject({
      authorization: "Bearer x",
      accept: "text/event-stream, */*",
    });
    expect(server.requests[0]!.headers).not.toHaveProperty("x-none");
  });

  test("of a function are asked for at each attempt; the first 401 in a row makes it renew at once, the second is the end", async () => {
    await using server = await WireServer.start((exchange) => {
      if (exchange.request.headers["authorization"] === "new") exchange.stream("data: a\n\n").finish();
      else exchange.head(401, { "content-length": "0" }).cut();
    });
    const asked: Attempt[] = [];
    let token = "old";
    using recorder = new Recorder(server.url, {
      headers: async (attempt) => {
        asked.push(attempt);
        if (attempt.refusedWith === 401 && asked.length < 3) token = "new";
        return { authorization: token };
      },
    });
    await recorder.retry(1);
    await recorder.logged(4);
    token = "revoked";
    await recorder.retry(2);
    await recorder.retry(3);
    await recorder.logged(6);
    expect(recorder.log).toEqual([
      "error:status:0",
      "open",
      "message:a",
      "error:ended:0",
      "error:status:0",
      "error:status:2",
    ]);
    expect(recorder.errors.map(({ retryIn }) => retryIn)).toEqual([0, 3000, 0, null]);
    expect(asked).toEqual([
      { failures: 0, refusedWith: null },
      { failures: 1, refusedWith: 401 },
      { failures: 1, refusedWith: null },
      { failures: 2, refusedWith: 401 },
    ]);
  });

  test("that cannot be had are an error that passes; a 401 without a function is not", async () => {
    await using server = await WireServer.start((exchange) => exchange.head(401).cut());
    const cause = new Error("no token");
    using recorder = new Recorder(server.url, { headers: () => Promise.reject(cause) });
    await recorder.retry(1);
    await recorder.logged(2);
    expect(recorder.log).toEqual(["error:headers:0", "error:headers:0"]);
    expect(recorder.errors[0]!.cause).toBe(cause);
    expect(server.requests).toEqual([]);
    using fixed = new Recorder(server.url, { headers: { authorization: "x" } });
    expect(await fixed.logged(1)).toEqual(["error:status:2"]);
  });
});

test("a method and a body are sent each time, a body's function is asked each time", async () => {
  await using server = await WireServer.start((exchange) => exchange.stream("data: a\n\n").finish());
  let count = 0;
  using fixed = new Recorder(server.url, { method: "POST", body: "prompt" });
  await fixed.retry(1);
  await until(() => server.requests.length === 2);
  fixed.source.close();
  using asked = new Recorder(server.url, { method: "REPORT", body: async () => `prompt ${++count}` });
  await asked.retry(1);
  await until(() => server.requests.length === 4);
  expect(server.requests.map(({ method, body }) => `${method} ${body}`)).toEqual([
    "POST prompt",
    "POST prompt",
    "REPORT prompt 1",
    "REPORT prompt 2",
  ]);
});

describe("silence", () => {
  test("before and in a stream is ended by a new connection; a comment is life", async () => {
    await using server = await WireServer.start((exchange, number) => {
      if (number === 2) exchange.stream("data: a\n\n");
      if (number === 3) exchange.stream("data: b\n\n");
    });
    using recorder = new Recorder(server.url);
    const { clock } = recorder;
    await until(() => server.exchanges.length === 1);
    clock.pass(44_999);
    expect(recorder.log).toEqual([]);
    clock.pass(1);
    expect(recorder.log).toEqual(["error:silent:0"]);
    await until(() => server.exchanges[0]!.gone);
    await recorder.retry(1);
    await recorder.logged(3);
    const bytes = (): Promise<void> => until(() => clock.waits[0] === 45_000);
    await bytes();
    clock.pass(40_000);
    server.exchanges[1]!.send(":\n");
    await bytes();
    clock.pass(44_999);
    expect(recorder.log.length).toBe(3);
    clock.pass(1);
    expect(recorder.log.at(-1)).toBe("error:silent:0");
    await until(() => server.exchanges[1]!.gone);
    await recorder.retry(2);
    await recorder.logged(6);
    expect(recorder.log.at(-1)).toBe("message:b");
  });

  test("ends an attempt also when fetch does not obey", async () => {
    using recorder = new Recorder("http://localhost", { fetch: () => new Promise(() => {}) });
    await until(() => recorder.clock.waits.length === 1);
    recorder.clock.pass(45_000);
    expect(recorder.log).toEqual(["error:silent:0"]);
    expect(recorder.clock.waits).toEqual([3000]);
  });

  test("is nobody's business when it is turned off", async () => {
    await using server = await WireServer.start((exchange) => exchange.stream("data: a\n\n"));
    using recorder = new Recorder(server.url, { maxSilence: null });
    await recorder.logged(2);
    expect(recorder.clock.waits).toEqual([]);
  });
});

describe("an end", () => {
  test("by a signal comes at once at every stage, and leaves no timer and no connection", async () => {
    await using server = await WireServer.start((exchange, number) => {
      if (exchange.request.target === "/head") exchange.write("HTTP/1.1 200 OK\r\ncontent-type: text/ev");
      if (exchange.request.target === "/body") exchange.stream("data: a\n\nda");
      if (exchange.request.target === "/wait" && number > 0) exchange.cut();
    });
    const stages: Record<string, (recorder: Recorder) => unknown> = {
      "/asking": () => true,
      "/request": () => server.exchanges.some(({ request }) => request.target === "/request"),
      "/head": () => server.exchanges.some(({ request }) => request.target === "/head"),
      "/body": ({ log }) => log.length === 2,
      "/wait": ({ log }) => log.length === 1,
    };
    for (const [path, reached] of Object.entries(stages)) {
      const abort = new AbortController();
      const headers = path === "/asking" ? () => new Promise<never>(() => {}) : {};
      using recorder = new Recorder(`${server.url}${path}`, { signal: abort.signal, headers });
      await until(() => reached(recorder));
      const before = [...recorder.log];
      abort.abort();
      expect(recorder.source.readyState).toBe(2);
      expect(recorder.clock.waits).toEqual([]);
      await until(() => server.exchanges.every(({ gone }) => gone));
      expect(recorder.log).toEqual(before);
    }
  });

  test("that has come before the beginning lets nothing begin", async () => {
    let fetched = 0;
    const fetch = (): Promise<Response> => {
      fetched++;
      return Promise.reject(new Error("not to be called"));
    };
    using aborted = new Recorder("http://localhost", { signal: AbortSignal.abort(), fetch });
    using closed = new Recorder("http://localhost", { fetch });
    closed.source.close();
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    expect([aborted.source.readyState, closed.source.readyState, fetched]).toEqual([2, 2, 0]);
  });

  test("comes for good with an event that is too large: it would come again", async () => {
    await using server = await WireServer.start((exchange) =>
      exchange.stream(`data: ok\n\ndata: ${"x".repeat(200)}\n\ndata: after\n\n`),
    );
    using recorder = new Recorder(server.url, { maxEventBytes: 100 });
    expect(await recorder.logged(3)).toEqual(["open", "message:ok", "error:event-too-large:2"]);
    expect(recorder.errors[0]!.cause).toMatchObject({ code: "event-too-large" });
    await until(() => server.exchanges[0]!.gone);
  });
});

test("comments are told to who asks", async () => {
  await using server = await WireServer.start((exchange) => exchange.stream(": hi\n:\n"));
  const comments: string[] = [];
  using _ = new Recorder(server.url, { onComment: (text) => comments.push(text) });
  await until(() => comments.length === 2);
  expect(comments).toEqual(["hi", ""]);
});

test("options out of range are refused, and named", () => {
  for (const name of ["retry", "maxRetry", "jitter", "maxSilence"]) {
    for (const value of [-1, Number.NaN, Infinity, "5"]) {
      expect(() => new EventSource("http://localhost", { [name]: value })).toThrow(name);
    }
  }
  expect(() => new EventSource("http://localhost", { maxEventBytes: 0 })).toThrow("maxEventBytes");
});
