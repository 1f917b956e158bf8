import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { CHROMIUM } from "./browser.ts";
import { logOf, openClientPage } from "./client-page.ts";
import { CuttingProxy } from "./cutting-proxy.ts";
import { DevToolsBrowser, type DevToolsTab } from "./devtools.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, until } from "./sse-client.ts";

/* One connection for all tabs, in real tabs that close, crash, freeze and come late. */

const name = CHROMIUM === null ? "sharing (no Chromium found: set CHROMIUM_PATH)" : "sharing";
const FOLLOW = "sse.follow('/events?topic=t', { shared: true })";

describe.skipIf(CHROMIUM === null)(name, () => {
  let browser: DevToolsBrowser;
  let server: ServerProcess;
  const pages: DevToolsTab[] = [];
  let published = 0;

  beforeAll(async () => {
    browser = await DevToolsBrowser.launch();
    server = await ServerProcess.start("--retry", "200ms");
  });
  afterAll(async () => {
    await browser[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await Promise.all(pages.splice(0).map((page) => page.close()));
    await hasStreams(0);
  });

  async function open(count: number): Promise<void> {
    published = 0;
    for (let at = 0; at < count; at++) await add();
  }

  async function add(origin = server.url): Promise<DevToolsTab> {
    const page = await openClientPage(browser, origin);
    pages.push(page);
    await page.evaluate(FOLLOW);
    await page.waitFor("log.includes('open')");
    return page;
  }

  async function streams(): Promise<number> {
    return ((await (await fetch(`${server.url}/stats`)).json()) as { streams: number }).streams;
  }

  async function hasStreams(count: number): Promise<void> {
    await until(async () => (await streams()) === count);
  }

  /** Publishes so many, one after another, as something happens. */
  async function publishSome(count: number, meanwhile?: () => Promise<unknown>): Promise<void> {
    const done = meanwhile?.();
    for (let at = 0; at < count; at++) {
      await publish(server.url, { topic: "t", data: `m${published++}` });
      if (meanwhile !== undefined) await Bun.sleep(2);
    }
    await done;
  }

  /** Every tab has got every message since its beginning, once and in order. */
  async function haveAll(tabs: readonly DevToolsTab[] = pages, from = 0): Promise<void> {
    const all = Array.from({ length: published - from }, (_, at) => `m${from + at}`);
    for (const page of tabs) {
      await until(async () => (await logOf(page)).includes(`m${published - 1}`));
      expect((await logOf(page)).filter((each) => /^m\d/.test(each))).toEqual(all);
    }
  }

  test("thirty tabs on HTTP/1.1 are all live, over one connection", async () => {
    await open(30);
    await publishSome(20);
    await haveAll();
    expect(await streams()).toBe(1);
  });

  test("goes on without a loss or a double when the leader's tab is closed", async () => {
    await open(4);
    await publishSome(10);
    for (let closed = 0; closed < 3; closed++) {
      await publishSome(30, () => pages.shift()!.close());
      await publishSome(5);
      await haveAll();
      expect(await streams()).toBe(1);
    }
  });

  test("goes on without a loss or a double when the leader's tab crashes", async () => {
    await open(4);
    await publishSome(10);
    for (let crashed = 0; crashed < 2; crashed++) {
      const leader = pages.shift()!;
      await publishSome(30, async () => leader.crash());
      await publishSome(5);
      await haveAll();
      expect(await streams()).toBe(1);
    }
  });

  test("goes on while tabs are frozen, the leader among them, and they have everything once they wake", async () => {
    await open(4);
    await publishSome(10);
    const [leader, next, , follower] = pages as [DevToolsTab, DevToolsTab, DevToolsTab, DevToolsTab];
    const frozen = [leader, follower, next];
    const set = (at: number, state: "frozen" | "active"): Promise<void> => frozen[at]!.setLifecycle(state);
    for (const at of [0, 1]) await publishSome(30, () => set(at, "frozen"));
    await haveAll([pages[1]!, pages[2]!]);
    await publishSome(30, () => set(2, "frozen"));
    await haveAll([pages[2]!]);
    for (const at of [1, 0, 2]) await publishSome(30, () => set(at, "active"));
    await publishSome(5);
    await haveAll();
    for (const page of frozen) expect(await logOf(page)).toContain("frozen");
    await hasStreams(1);
  });

  test("gives a tab that slept for longer than others remember what it missed, and takes it back", async () => {
    await open(2);
    await publishSome(5);
    await pages[1]!.setLifecycle("frozen");
    const batch = Array.from({ length: 1500 }, () => ({ topic: "t", data: `m${published++}` }));
    await publish(server.url, batch);
    await haveAll([pages[0]!]);
    expect((await logOf(pages[1]!)).at(-1)).toBe("frozen");
    await pages[1]!.setLifecycle("active");
    await until(async () => (await logOf(pages[1]!)).includes(`m${published - 1}`));
    await publishSome(3);
    await haveAll();
    await hasStreams(1);
  });

  test("a tab that comes later begins with what comes next", async () => {
    await open(1);
    await publishSome(5);
    await haveAll();
    const late = await add();
    const from = published;
    await publishSome(5);
    await haveAll([late], from);
    await haveAll([pages[0]!]);
    expect(await streams()).toBe(1);
  });

  test("tells all tabs of a lost connection, and that it is back", async () => {
    await using proxy = await CuttingProxy.start(server.port, ({ target, lastEventId }) =>
      target.startsWith("/events") && lastEventId === null ? 2_000 : Infinity,
    );
    published = 0;
    for (let at = 0; at < 3; at++) await add(proxy.url);
    await publishSome(100);
    await haveAll();
    for (const page of pages) {
      const log = await logOf(page);
      expect(log.filter((each) => /^(open|error)/.test(each))).toEqual([
        "open",
        log.find((each) => each.startsWith("error "))!,
        "open",
      ]);
    }
  });
});
