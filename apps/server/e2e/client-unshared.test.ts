import { afterAll, afterEach, beforeAll, describe, test } from "bun:test";
import type { Browser, BrowserContext } from "playwright-core";
import { CHROMIUM, launchChromium, Tab } from "./browser.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, until } from "./sse-client.ts";

/* Tabs that would share and cannot: each has connections of its own, and everything works. */

const name = CHROMIUM === null ? "tabs (no Chromium found: set CHROMIUM_PATH)" : "tabs";
/** The last is no stream of the hub. */
const FEEDS = ["demos", "board", "stats"] as const;
const SHARING = "**/assets/member-*.js";

describe.skipIf(CHROMIUM === null)(name, () => {
  let browser: Browser;
  let server: ServerProcess;
  beforeAll(async () => {
    browser = await launchChromium();
    server = await ServerProcess.start();
  });
  afterAll(async () => {
    await browser.close();
    await server[Symbol.asyncDispose]();
  });

  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    await until(async () => (await streams()) === 0);
  });

  async function streams(): Promise<number> {
    return ((await (await fetch(`${server.url}/stats`)).json()) as { streams: number }).streams;
  }

  test.each<[string, streams: number, (context: BrowserContext) => Promise<unknown>]>([
    ["share where nothing is amiss", 3, async () => {}],
    [
      "go on without Web Locks",
      6,
      (context) => context.addInitScript(() => void Reflect.deleteProperty(Navigator.prototype, "locks")),
    ],
    [
      "go on without BroadcastChannel",
      6,
      (context) => context.addInitScript(() => void Reflect.deleteProperty(globalThis, "BroadcastChannel")),
    ],
    [
      "go on when the file that shares does not come",
      6,
      (context) => context.route(SHARING, (r) => r.abort()),
    ],
    [
      "go on when the file that shares is gone since a deployment",
      6,
      (context) => context.route(SHARING, (route) => route.fulfill({ status: 404 })),
    ],
  ])("%s", async (what, count, prepare) => {
    const context = await browser.newContext();
    await prepare(context);
    const tabs = [await Tab.open(context, server.url), await Tab.open(context, server.url)];
    for (const tab of tabs) for (const feed of FEEDS) await tab.sees(feed, "open");
    await until(async () => (await streams()) === count);
    await publish(server.url, { topic: "default", data: what });
    for (const tab of tabs) await until(async () => (await tab.rows("board")).includes(what));
  });
});
