import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { EventSource, subscribe } from "../src/index.ts";
import { Browser } from "./tabs.ts";
import { until, WireServer } from "./wire-server.ts";

/* `shared`, as it is asked for. Here are no locks: where there shall be, they are those of a pretended browser. */

const stream = () => WireServer.start((exchange) => exchange.stream("id: 1\ndata: 1\n\n"));

test("without locks each has a connection of its own", async () => {
  expect("locks" in navigator).toBeFalse();
  await using server = await stream();
  const sources = [1, 2].map(() => new EventSource(server.url, { shared: true }));
  await until(() => sources.every(({ readyState }) => readyState === EventSource.OPEN));
  expect(server.exchanges.length).toBe(2);
  for (const source of sources) source.close();
});

describe("with locks", () => {
  let requests = 0;
  beforeAll(() => {
    const byName = new Map<string, Browser>();
    const request: Browser["locks"]["request"] = (name, ...given) => {
      requests++;
      if (!byName.has(name)) byName.set(name, new Browser());
      return byName.get(name)!.locks.request(name, ...given);
    };
    Object.defineProperty(navigator, "locks", { value: { request }, configurable: true });
  });
  afterAll(() => void Reflect.deleteProperty(navigator, "locks"));

  test("those share who ask for it, with the same identity", async () => {
    await using server = await stream();
    const open = (shared: boolean | string | null) => new EventSource(server.url, { shared });
    const sources = [open(true), open(true), open("ada"), open("ada"), open(false), open(null)];
    for (const { readyState } of sources) expect(readyState).toBe(EventSource.CONNECTING);
    await until(() => server.exchanges.length === 4 && sources.every(({ readyState }) => readyState === 1));
    for (const source of sources) source.close();
    await until(() => server.exchanges.every(({ gone }) => gone));
  });

  test("who closes before it has begun leaves nothing behind", async () => {
    await using server = await stream();
    requests = 0;
    const abort = new AbortController();
    const closed = new EventSource(server.url, { shared: true });
    const aborted = new EventSource(server.url, { shared: true, signal: abort.signal });
    const loop = subscribe(server.url, { shared: true });
    closed.close();
    abort.abort();
    loop.close();
    // Who comes after them has nobody to wait for.
    const last = new EventSource(server.url, { shared: true });
    await until(() => last.readyState === EventSource.OPEN);
    expect([closed.readyState, aborted.readyState]).toEqual([2, 2]);
    expect(await loop.next()).toEqual({ done: true, value: undefined });
    expect([requests, server.exchanges.length]).toEqual([1, 1]);
    last.close();
  });

  test("a wrong option is thrown at once", () => {
    expect(() => new EventSource("http://localhost", { shared: true, retry: -1 })).toThrow(RangeError);
  });
});
