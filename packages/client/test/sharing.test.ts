import { describe, expect, test } from "bun:test";
import { Browser, type Tab } from "./tabs.ts";
import { type Exchange, until, WireServer } from "./wire-server.ts";

/* The hand-over, with a browser that delivers messages as late as can be. Real tabs are in apps/server/e2e. */

/** A log of events 1, 2, 3, ..., of which each stream begins after its cursor, as the hub's do. */
class NumbersServer implements AsyncDisposable {
  last = 0;
  readonly wire: WireServer;

  private constructor(wire: WireServer) {
    this.wire = wire;
  }

  static async start(): Promise<NumbersServer> {
    const begin = (exchange: Exchange): void => {
      const given = exchange.request.headers["last-event-id"];
      const all = exchange.request.target.includes("replay=all");
      const cursor = given === undefined ? (all ? 0 : server.last) : Number(given);
      exchange.stream(`event: sse:ready\ndata: {}\nid: ${cursor}\n\n`);
      for (let id = cursor + 1; id <= server.last; id++) exchange.send(event(id));
    };
    const server: NumbersServer = new NumbersServer(await WireServer.start(begin));
    return server;
  }

  get streams(): Exchange[] {
    return this.wire.exchanges.filter(({ gone }) => !gone);
  }

  publish(count = 1): void {
    for (let at = 0; at < count; at++) {
      const id = ++this.last;
      for (const stream of this.streams) stream.send(event(id));
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.wire[Symbol.asyncDispose]();
  }
}

const event = (id: number): string => `data: ${id}\nid: ${id}\n\n`;
const numbers = (to: number, from = 1): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => String(from + at));

/** Waits until the tab has the event, with all messages delivered. */
async function has(browser: Browser, tab: Tab, id: number): Promise<void> {
  await until(() => {
    browser.deliver();
    return tab.data.includes(String(id));
  });
}

async function three(server: NumbersServer): Promise<[Browser, Tab, Tab, Tab]> {
  const browser = new Browser();
  const tabs = [browser.open(server.wire.url), browser.open(server.wire.url), browser.open(server.wire.url)];
  await until(() => {
    browser.deliver();
    return tabs.every(({ states }) => states.length > 0);
  });
  return [browser, ...(tabs as [Tab, Tab, Tab])];
}

describe("tabs that share", () => {
  test("have one connection, and all of its events", async () => {
    await using server = await NumbersServer.start();
    const [browser, ...tabs] = await three(server);
    server.publish(10);
    for (const tab of tabs) {
      await has(browser, tab, 10);
      expect(tab.data).toEqual(numbers(10));
      expect(tab.states).toEqual(["open"]);
    }
    expect(server.wire.exchanges.length).toBe(1);
    for (const tab of tabs) tab.member.close();
    await until(() => server.streams.length === 0);
  });

  test.each([0, 1, 2, 3, 4, 5])(
    "lose and repeat nothing when the next leader has heard of %p events, and another of more",
    async (heard) => {
      await using server = await NumbersServer.start();
      const [browser, leader, next, other] = await three(server);
      server.publish(5);
      await until(() => leader.data.length === 5);
      // The next leader's messages are still on their way when it has the lock; the other's are not.
      for (let at = 0; at < heard; at++) next.deliverOne();
      for (let at = 0; at < 4; at++) other.deliverOne();
      leader.crash();
      await until(() => server.wire.exchanges.length === 2);
      server.publish(5);
      await has(browser, next, 10);
      await has(browser, other, 10);
      server.publish(2);
      for (const tab of [next, other]) {
        await has(browser, tab, 12);
        expect(tab.data).toEqual(numbers(12));
      }
      next.member.close();
      other.member.close();
    },
  );

  test("see that a message never came, and ask for what it held", async () => {
    await using server = await NumbersServer.start();
    const [browser, leader, other] = await three(server);
    server.publish(3);
    await until(() => leader.data.length === 3);
    other.lose();
    server.publish(2);
    await has(browser, other, 5);
    expect(other.data).toEqual(numbers(5));
    for (const tab of browser.tabs) tab.member.close();
  });

  test("take the lock from a leader that hangs, which follows when it wakes", async () => {
    await using server = await NumbersServer.start();
    const [browser, leader, next, other] = await three(server);
    server.publish(3);
    for (const tab of [leader, next, other]) await has(browser, tab, 3);
    leader.hung = true;
    browser.clock.pass(45_000);
    browser.deliver();
    browser.clock.pass(10_000);
    await until(() => server.wire.exchanges.length > 1);
    server.publish(3);
    for (const tab of [next, other]) await has(browser, tab, 6);
    leader.hung = false;
    server.publish(3);
    for (const tab of [leader, next, other]) {
      await has(browser, tab, 9);
      expect(tab.data).toEqual(numbers(9));
    }
    for (const tab of browser.tabs) tab.member.close();
    await until(() => server.streams.length === 0);
  });

  test("do not wait for one whose consumer is slow, which gets a connection of its own until it has caught up", async () => {
    await using server = await NumbersServer.start();
    const [browser, , slow, other] = await three(server);
    let done = (): void => {};
    slow.busy = new Promise((resolve) => (done = resolve));
    server.publish(1500);
    await has(browser, other, 1500);
    await until(() => server.streams.length === 2);
    expect(slow.data).toEqual(numbers(1001));
    slow.busy = undefined;
    done();
    await has(browser, slow, 1500);
    expect(slow.data).toEqual(numbers(1500));
    for (let more = 0; server.streams.length > 1; more++) {
      server.publish();
      await has(browser, slow, 1501 + more);
    }
    server.publish(5);
    for (const tab of [slow, other]) {
      await has(browser, tab, server.last);
      expect(tab.data).toEqual(numbers(server.last));
    }
    for (const tab of browser.tabs) tab.member.close();
  });

  test("begin at the present when they come late, or at the beginning where the URL asks for it", async () => {
    await using server = await NumbersServer.start();
    for (const [query, from] of [
      ["", server.last + 3],
      ["/?replay=all", 1],
    ] as const) {
      const browser = new Browser();
      const early = browser.open(server.wire.url + query);
      await until(() => early.states.length === 1);
      server.publish(2);
      await until(() => early.data.includes(String(server.last)));
      const late = browser.open(server.wire.url + query);
      await until(() => {
        browser.deliver();
        return late.states.length === 1;
      });
      server.publish(2);
      await has(browser, late, server.last);
      expect(late.data).toEqual(numbers(server.last, from));
      expect(server.streams.length).toBe(1);
      for (const tab of browser.tabs) tab.member.close();
      await until(() => server.streams.length === 0);
    }
  });

  test("go their own way for what nobody remembers", async () => {
    await using server = await NumbersServer.start();
    server.publish(10);
    const browser = new Browser();
    const leader = browser.open(server.wire.url);
    await until(() => leader.states.length === 1);
    const late = browser.open(server.wire.url, { lastEventId: "4" });
    await has(browser, late, 10);
    expect(late.data).toEqual(numbers(10, 5));
    server.publish(1);
    await has(browser, late, 11);
    await has(browser, leader, 11);
    server.publish(1);
    for (const tab of [late, leader]) await has(browser, tab, 12);
    await until(() => server.streams.length === 1);
    expect(late.data).toEqual(numbers(12, 5));
    for (const tab of browser.tabs) tab.member.close();
  });

  test("are all told of failures, and closed by the one that is for good", async () => {
    await using server = await WireServer.start((exchange, number) => {
      if (number > 1) exchange.head(204).cut();
      else exchange.stream("data: a\n\n");
    });
    const browser = new Browser();
    const tabs = [browser.open(server.url), browser.open(server.url)];
    await until(() => {
      browser.deliver();
      return tabs.every(({ states }) => states.length === 1);
    });
    server.exchanges[0]!.finish();
    await until(() => tabs[0]!.states.length === 2);
    browser.deliver();
    browser.clock.pass(3000);
    // Who is given the lock before it is told asks, and is refused too.
    await until(() => {
      browser.deliver();
      return tabs.every(({ states }) => states.length === 3);
    });
    for (const { states } of tabs) expect(states).toEqual(["open", "ended", "status"]);
    expect(browser.clock.waits).toEqual([]);
  });
});
