import { describe, expect, test } from "bun:test";
import { Recorder } from "./recorder.ts";
import { type Exchange, until, WireServer } from "./wire-server.ts";

/* When an EventSource comes back, with what, and after how long. */

describe("a stream that ends", () => {
  test("is made anew after the reconnection time, with the last id", async () => {
    await using server = await WireServer.start((exchange, number) => {
      if (number === 3) exchange.stream("data: c\n\n");
      else exchange.stream(`id: ${number}\ndata: a\n\n`).finish();
    });
    using recorder = new Recorder(server.url);
    await recorder.retry(1);
    await recorder.retry(2);
    expect(await recorder.logged(8)).toEqual([
      "open",
      "message:a",
      "error:ended:0",
      "open",
      "message:a",
      "error:ended:0",
      "open",
      "message:c",
    ]);
    expect(recorder.errors.map(({ retryIn, status }) => [retryIn, status])).toEqual([
      [3000, 200],
      [3000, 200],
    ]);
    expect(server.requests.map(({ headers }) => headers["last-event-id"])).toEqual([undefined, "1", "2"]);
  });

  test("waits as long as the server says, wherever it says so, and as its own option before", async () => {
    await using server = await WireServer.start((exchange, number) => {
      exchange
        .stream(["data: a\n\n", "retry: 07000\n", "retry: 1x\nretry: -1\nretry:\n"][number - 1]!)
        .finish();
    });
    using recorder = new Recorder(server.url, { retry: 500 });
    for (const count of [1, 2, 3]) await recorder.retry(count);
    expect(recorder.errors.slice(0, 3).map(({ retryIn }) => retryIn)).toEqual([500, 7000, 7000]);
  });

  test("never waits longer than a timer can, whatever the server says", async () => {
    await using server = await WireServer.start((exchange) =>
      exchange.stream("retry: 99999999999999\n").finish(),
    );
    using recorder = new Recorder(server.url);
    await recorder.logged(2);
    expect(recorder.errors[0]!.retryIn).toBe(2 ** 31 - 1);
  });

  test.each([
    ["é…😀", "é…😀"],
    ["a b", "a b"],
    ['a\tb<>"(),:;=?@[]{}', 'a\tb<>"(),:;=?@[]{}'],
    ["x\0y", "before"],
    ["", undefined],
    ["\u0001", undefined],
  ])("sends the id %p back as %p, in UTF-8", async (id, expected) => {
    await using server = await WireServer.start((exchange, number) => {
      if (number === 1) exchange.stream(`id: before\ndata: a\n\nid: ${id}\ndata: b\n\n`).finish();
      else exchange.stream("data: c\n\n");
    });
    using recorder = new Recorder(server.url);
    await recorder.retry(1);
    await until(() => server.requests.length === 2);
    const sent = server.requests[1]!.headers["last-event-id"];
    expect(sent && Buffer.from(sent, "latin1").toString()).toBe(expected);
  });

  test("begins with the id it was given, and keeps it until another comes", async () => {
    await using server = await WireServer.start((exchange) => exchange.stream("data: a\n\n"));
    using recorder = new Recorder(server.url, { lastEventId: "42" });
    const event = await new Promise<MessageEvent>((resolve) => {
      recorder.source.addEventListener("message", resolve);
    });
    expect(event.lastEventId).toBe("42");
    expect(server.requests[0]!.headers["last-event-id"]).toBe("42");
  });
});

describe("a stream that is cut", () => {
  const CUTS: Record<string, (exchange: Exchange) => void> = {
    "in an event": (exchange) => exchange.send("data: whole\n\ndata: l"),
    "in a character": (exchange) =>
      exchange.send("data: whole\n\n", Uint8Array.from(Buffer.from("data: é").subarray(0, 7))),
    "in a chunk": (exchange) => exchange.write("ff\r\n", "data: whole\n\ndata: l"),
    "in a chunk's size": (exchange) => exchange.send("data: whole\n\n").write("1"),
    "after an id without its event": (exchange) => exchange.send("data: whole\n\nid: 9\ndata: lost"),
    "with a line end owed": (exchange) => exchange.send("data: whole\n\ndata: x\r"),
  };
  test.each(Object.entries(CUTS))("%s loses what is not whole, and goes on", async (_, begin) => {
    await using server = await WireServer.start((exchange, number) => {
      if (number > 1) exchange.stream("\ndata: next\n\n");
      else begin(exchange.stream());
    });
    using recorder = new Recorder(server.url);
    // What was not read before a body breaks is gone with it, and asked for again: so this waits for the event.
    await recorder.logged(2);
    server.exchanges[0]!.cut();
    await recorder.retry(1);
    expect(await recorder.logged(5)).toEqual([
      "open",
      "message:whole",
      recorder.log[2]!,
      "open",
      "message:next",
    ]);
    expect(recorder.log[2]).toMatch(/^error:(network|ended):0$/);
    expect(server.requests[1]!.headers).not.toHaveProperty("last-event-id");
  });

  test("strips a byte order mark from each connection", async () => {
    await using server = await WireServer.start((exchange) => exchange.stream("\ufeffdata: a\n\n").finish());
    using recorder = new Recorder(server.url);
    await recorder.retry(1);
    await recorder.logged(5);
    expect(recorder.log.slice(0, 5)).toEqual(["open", "message:a", "error:ended:0", "open", "message:a"]);
  });
});
