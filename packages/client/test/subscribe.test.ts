import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { InvalidEventError, isFrom, SubscribeError, subscribe } from "../src/index.ts";
import { ManualClock } from "./manual-clock.ts";
import { Flood, until, WireServer } from "./wire-server.ts";

interface Order {
  total: number;
}

const READY = 'event: sse:ready\ndata: {"resume":"fresh","replayed":0}\nid: 0\n\n';
const GAP = 'event: sse:gap\ndata: {"reason":"evicted","from":"1","to":"5"}\nid: 5\n\n';
const event = (id: number): string => `event: paid\ndata: {"total":${id}}\nid: ${id}\n\n`;

describe("a subscription", () => {
  test("asks for its topics, and hands out typed events, with what the hub says in its place", async () => {
    await using server = await WireServer.start((exchange) =>
      exchange.stream(`${READY}${event(1)}${GAP}${event(6)}event: sse:later\ndata: x\n\n${event(7)}`),
    );
    const log: unknown[] = [];
    const orders = subscribe<{ "orders/*": Order }>(`${server.url}/events?x=1`, {
      topics: ["orders/42", "orders/*"],
      replay: 5,
      lag: "latest",
      onReady: (ready) => log.push(ready),
      onGap: (gap) => log.push(gap),
    });
    for await (const { type, data, id } of orders) {
      log.push([type, data.total, id]);
      if (id === "7") break;
    }
    expect(server.requests[0]!.target).toBe(
      "/events?x=1&topic=orders%2F42&topic=orders%2F*&replay=5&lag=latest",
    );
    expect(log).toEqual([
      { resume: "fresh", replayed: 0 },
      ["paid", 1, "1"],
      { reason: "evicted", from: "1", to: "5" },
      ["paid", 6, "6"],
      ["paid", 7, "7"],
    ]);
    await until(() => server.exchanges[0]!.gone);
    expect(orders.lastEventId).toBe("7");
    expect(await orders.next()).toEqual({ done: true, value: undefined });
  });

  test("goes on over a lost connection, without a word in the loop", async () => {
    await using server = await WireServer.start((exchange, number) => {
      if (number === 1) exchange.stream(event(1)).finish();
      else exchange.stream(event(2));
    });
    const errors: string[] = [];
    const orders = subscribe<{ o: Order }>(server.url, {
      retry: 0,
      onError: ({ code }) => errors.push(code),
    });
    expect((await orders.next()).value?.id).toBe("1");
    expect((await orders.next()).value?.id).toBe("2");
    expect(errors).toEqual(["ended"]);
    expect(server.requests[1]!.headers["last-event-id"]).toBe("1");
    await orders.return();
    await until(() => server.exchanges[1]!.gone);
  });

  test("ends with 204, and with the end of all its topics", async () => {
    const end = (topic: string): string => `event: sse:end\ndata: {"topic":"${topic}"}\n\n`;
    await using server = await WireServer.start((exchange, number) => {
      if (exchange.request.target.includes("both"))
        exchange.stream(`${event(1)}${end("one")}${end("both")}`).finish();
      else if (number > 2) exchange.head(204).cut();
      else exchange.stream(event(1)).finish();
    });
    const ended: string[] = [];
    const clock = new ManualClock();
    const both = subscribe<{ [topic: string]: Order }>(server.url, {
      topics: ["one", "both"],
      clock,
      onEnd: ({ topic }) => ended.push(topic),
    });
    const ids: string[] = [];
    for await (const { id } of both) ids.push(id);
    expect([ids, ended, clock.waits]).toEqual([["1"], ["one", "both"], []]);
    for await (const { id } of subscribe<{ t: Order }>(server.url, { topics: ["t"], retry: 0 })) ids.push(id);
    expect(ids).toEqual(["1", "1"]);
    expect(server.requests.length).toBe(3);
  });

  test("throws what the server refuses for good, after the events before it", async () => {
    await using server = await WireServer.start((exchange, number) => {
      if (number === 1) exchange.stream(event(1)).finish();
      else exchange.head(403).cut();
    });
    const orders = subscribe<{ o: Order }>(server.url, { retry: 0 });
    expect((await orders.next()).value?.id).toBe("1");
    const error = await orders.next().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SubscribeError);
    expect(error).toMatchObject({ code: "status", status: 403 });
    expect((await orders.next()).done).toBe(true);
  });

  test("throws data that is not valid, or hands it to who asks for it", async () => {
    await using server = await WireServer.start((exchange) =>
      exchange.stream("id: 1\ndata: {\n\n", event(2)),
    );
    const orders = subscribe<{ o: Order }>(server.url);
    const error = await orders.next().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidEventError);
    expect(error).toMatchObject({ code: "invalid-event", event: { data: "{" }, issues: [] });
    await until(() => server.exchanges[0]!.gone);
    const refused: string[] = [];
    const lenient = subscribe<{ o: Order }>(server.url, {
      onInvalid: (each) => refused.push(each.event.data),
    });
    expect((await lenient.next()).value?.data).toEqual({ total: 2 });
    expect(refused).toEqual(["{"]);
    lenient.close();
  });

  test("with envelopes, tells of each event where it comes from, and reads data as it was published", async () => {
    await using server = await WireServer.start((exchange) =>
      exchange.stream(
        READY,
        'event: paid\ndata: {"topic":"orders/42","key":"k","data":{"total":1}}\nid: 1\n\n',
        'data: {"topic":"news/a","data":"{\\"text\\":1}"}\nid: 2\n\n',
        'data: {"topic":"orders/7","data":null,"type":"x","id":"x"}\nid: 3\n\n',
        'data: {"total":1}\nid: 4\n\ndata: null\nid: 5\n\ndata: {\nid: 6\n\ndata: "topic"\nid: 7\n\n',
        'data: {"topic":"news/b","data":"last"}\nid: 8\n\n',
      ),
    );
    const refused: string[] = [];
    const events = subscribe<{ "orders/*": Order; "news/**": string }>(server.url, {
      topics: ["orders/*", "news/**"],
      envelope: true,
      onInvalid: ({ event: { lastEventId } }) => refused.push(lastEventId),
    });
    const seen: unknown[] = [];
    for await (const each of events) {
      seen.push(each);
      if (each.topic === "news/b") break;
    }
    expect(server.requests[0]!.target).toBe("/?topic=orders%2F*&topic=news%2F**&envelope=json");
    expect(seen).toEqual([
      { topic: "orders/42", key: "k", type: "paid", data: { total: 1 }, id: "1" },
      { topic: "news/a", type: "message", data: '{"text":1}', id: "2" },
      { topic: "orders/7", type: "message", data: null, id: "3" },
      { topic: "news/b", type: "message", data: "last", id: "8" },
    ]);
    expect(refused).toEqual(["4", "5", "6", "7"]);
  });

  test("with envelopes, a schema is of the data, and parse reads all", async () => {
    await using server = await WireServer.start((exchange) =>
      exchange.stream('data: {"topic":"a","data":{"total":1}}\n\n', 'data: {"topic":"b","data":{}}\n\n'),
    );
    const refused: string[] = [];
    const events = subscribe(server.url, {
      envelope: true,
      schema: v.object({ total: v.number() }),
      parse: (text) => JSON.parse(text.replace("1", "2")) as unknown,
      onInvalid: ({ issues }) => refused.push(issues[0]!.message),
    });
    expect((await events.next()).value).toEqual({ topic: "a", type: "message", data: { total: 2 }, id: "" });
    const next = events.next();
    await until(() => refused.length === 1);
    events.close();
    expect((await next).done).toBe(true);
  });

  test.each([
    ["a", "a", true],
    ["a", "b", false],
    ["a", "a/b", false],
    ["a/*", "a/b", true],
    ["a/*", "a/", true],
    ["a/*", "a", false],
    ["a/*", "a/b/c", false],
    ["*/b", "a/b", true],
    ["a/**", "a/b", true],
    ["a/**", "a/b/c", true],
    ["a/**", "a", false],
    ["a/*/**", "a/b", false],
    ["**", "a", true],
    ["**", "a/b", true],
  ])("%s selects %s: %p", (selector, topic, expected) => {
    expect(isFrom({ topic, data: 0 }, selector)).toBe(expected);
  });

  test("leaves text as it is, if told to", async () => {
    await using server = await WireServer.start((exchange) => exchange.stream("data: 42\n\n"));
    const texts = subscribe<{ t: string }>(server.url, { parse: null });
    expect((await texts.next()).value?.data).toBe("42");
    await texts.return();
  });

  test("can be closed while the consumer waits, and before it has begun", async () => {
    await using server = await WireServer.start((exchange) => exchange.stream(READY));
    const abort = new AbortController();
    const waits = [
      subscribe(server.url),
      subscribe(server.url, { signal: abort.signal }),
      subscribe(server.url),
    ];
    const nexts = waits.map((each) => each.next());
    await until(() => server.exchanges.length === 3);
    waits[0]!.close();
    abort.abort();
    await waits[2]![Symbol.asyncDispose]();
    for (const next of nexts) expect((await next).done).toBe(true);
    await until(() => server.exchanges.every(({ gone }) => gone));
    const unread = subscribe(server.url);
    await until(() => server.exchanges.length === 4);
    expect((await unread.return()).done).toBe(true);
    await until(() => server.exchanges[3]!.gone);
  });

  test("does not read on while the consumer is busy, and takes no silence for the server's then", async () => {
    const flood = new Flood();
    await using server = await WireServer.start((exchange) => flood.answer(exchange));
    const clock = new ManualClock();
    const events = subscribe<{ t: string }>(server.url, { clock });
    expect((await events.next()).value?.id).toBe("1");
    const settled = await flood.settled();
    // Sockets and fetch hold some megabytes; 256 MiB are offered.
    expect(settled).toBeLessThan(1024);
    clock.pass(3_600_000);
    let next = 2;
    for await (const { id } of events) {
      expect(id).toBe(String(next++));
      if (next > settled + 50) break;
    }
    expect(server.requests.length).toBe(1);
  });
});
