import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { freePort } from "@sse/hub/test/broker-process.ts";
import type { Browser, BrowserContext, BrowserContextOptions } from "playwright-core";
import { CHROMIUM, type FeedName, launchChromium, Tab } from "./browser.ts";
import { CuttingProxy } from "./cutting-proxy.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, until } from "./sse-client.ts";

/* The page in a real browser, against the server as a process of its own. */

const name = CHROMIUM === null ? "the page (no Chromium found: set CHROMIUM_PATH)" : "the page";

/** Short, so that nobody waits for reconnects; a server spreads it from half to one and a half times this. */
const RETRY = ["--retry", "200ms"];

const FEEDS = ["demos", "board", "stats"] as const satisfies FeedName[];

describe.skipIf(CHROMIUM === null)(name, () => {
  let browser: Browser;
  const contexts: BrowserContext[] = [];
  const tabs: Tab[] = [];

  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());
  afterEach(async () => {
    const troubles = tabs.splice(0).flatMap((tab) => tab.troubles);
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    expect(troubles).toEqual([]);
  });

  /** A browser that nobody has used yet. */
  async function newContext(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await browser.newContext(options);
    contexts.push(context);
    return context;
  }

  async function open(url: string, context?: BrowserContext): Promise<Tab> {
    const tab = await Tab.open(context ?? (await newContext()), url);
    tabs.push(tab);
    return tab;
  }

  async function hasStreams(server: ServerProcess, count: number): Promise<void> {
    await until(async () => {
      const { streams } = (await (await fetch(`${server.url}/stats`)).json()) as { streams: number };
      return streams === count;
    });
  }

  test("shows the demo topics, a message board and the hub's own state, which go on by themselves", async () => {
    await using server = await ServerProcess.start();
    const tab = await open(server.url);
    await tab.sums("All 3 feeds open");
    for (const feed of FEEDS) await tab.sees(feed, "open");
    await tab.post("hello");
    await until(async () => (await tab.rows("board")).includes("hello"));
    await until(async () => {
      const rows = await tab.rows("demos");
      const count = (pattern: RegExp) => rows.filter((row) => pattern.test(row)).length;
      return (
        count(/^[0-9]+$/) >= 2 && count(/^The time is .* UTC [0-9]{4}$/) >= 3 && count(/^some data$/) >= 2
      );
    });
    const figure = (demo: string) => tab.page.locator(`[data-demo="${demo}"] .figure`).textContent();
    expect(await figure("random")).toMatch(/^[0-9]+$/);
    expect(await figure("clock")).toMatch(/^[0-9:]{8}$/);
    expect(await figure("ticker")).toBe("some data");

    const value = async (metric: string) =>
      Number(await tab.page.locator(`[data-metric="${metric}"] .value`).textContent());
    // The feed of the hub's state is a stream like the others.
    await until(async () => (await value("streams")) === 3);
    for (const metric of ["events", "deliveries", "latency", "memory"])
      await until(async () => (await value(metric)) > 0);
    expect(await value("lag")).toBe(0);
    expect(await tab.page.locator("#told-resumes").textContent()).toContain("fresh3");
  });

  test("publishes nothing of its own into the log of who only looks at it", async () => {
    await using server = await ServerProcess.start("--no-demos");
    const tab = await open(server.url);
    await tab.sums("All 3 feeds open");
    // What it measures has come and gone more than once.
    await tab.says('[data-metric="latency"] .value', /[0-9]/);
    await tab.says('[data-metric="latency"] .aside', /^p99 [0-9.]+; server –$/);
    await tab.says('[data-metric="events"] .aside', "0 since the start");
    const { published } = (await (await fetch(`${server.url}/stats`)).json()) as { published: number };
    expect(published).toBe(0);
  });

  test("shares three connections between its tabs, shows who leads, and hands them over", async () => {
    await using server = await ServerProcess.start();
    const context = await newContext();
    const one = await open(server.url, context);
    await one.sums("All 3 feeds open");
    const two = await open(server.url, context);
    await two.sums("All 3 feeds open");
    await one.says("#tabs", "2 tabs share 3 connections: this one leads");
    await two.says("#tabs", "2 tabs share 3 connections: another one leads");
    await one.post("from one");
    await until(async () => (await two.rows("board")).includes("from one"));
    await two.post("from two");
    for (const tab of [one, two]) {
      await until(async () => (await tab.rows("board")).includes("from two"));
      expect(await tab.rows("board")).toEqual(["from one", "from two"]);
    }
    await hasStreams(server, 3);

    await one.page.close();
    await two.says("#tabs", /^$/);
    await two.post("alone");
    await until(async () => (await two.rows("board")).includes("alone"));
    expect(await two.rows("board")).toEqual(["from one", "from two", "alone"]);
    await hasStreams(server, 3);
  });

  test("comes back when the server was killed, and shows that events are missing", async () => {
    await using killed = await ServerProcess.start("--port", String(await freePort()), ...RETRY);
    const tab = await open(killed.url);
    await tab.sums("All 3 feeds open");
    await tab.post("before");
    await until(async () => (await tab.rows("board")).length === 1);
    await killed.kill();
    await tab.sums("No connection");
    for (const feed of FEEDS) await tab.sees(feed, "retrying", "connection lost");
    await tab.post("into the void");
    await tab.page.locator("#message-problem").filter({ hasText: "The server cannot be reached" }).waitFor();
    expect(await tab.page.inputValue("#message")).toBe("into the void");

    await using server = await ServerProcess.start("--port", String(killed.port), ...RETRY);
    await publish(server.url, { topic: "default", data: "perhaps before the page is back" });
    for (const feed of FEEDS) await tab.sees(feed, "gap", "the server has restarted");
    await tab.sums("All 3 feeds open");
    await tab.page.press("#message", "Enter");
    await until(async () => (await tab.rows("board")).includes("into the void"));
    expect(await tab.rows("board")).toEqual([
      "before",
      expect.stringMatching(/^epoch: [\w-]+ – [\w-]+$/),
      "perhaps before the page is back",
      "into the void",
    ]);
    const demos = (await tab.rows("demos")).length;
    await until(async () => (await tab.rows("demos")).length > demos);
  });

  test("resumes a connection that is cut in the middle of an event, without a loss or a double", async () => {
    await using server = await ServerProcess.start("--retry", "50ms");
    // Behind the head of the answer and `sse:ready`, this is a few events and a part of one.
    const budgets = [450, 523, 487, 601, 559, 702];
    let cuts = 0;
    await using proxy = await CuttingProxy.start(server.port, ({ target }) =>
      target.includes("topic=default") ? budgets[cuts++ % budgets.length]! : Infinity,
    );
    const tab = await open(proxy.url);
    await tab.sums("All 3 feeds open");
    // As many as the page keeps.
    const messages = Array.from({ length: 50 }, (_, at) => `message ${at}`);
    for (const data of messages) {
      await publish(server.url, { topic: "default", data });
      await Bun.sleep(15); // their pace: there are some for every connection, and some for the time between two
    }
    await until(async () => (await tab.rows("board")).includes(messages.at(-1)!));
    expect(await tab.rows("board")).toEqual(messages);
    await tab.sees("board", "resumed");

    const [first, ...later] = proxy.streams("default");
    expect(first).toMatchObject({ lastEventId: null, cut: true });
    expect(later.length).toBeGreaterThanOrEqual(5);
    for (const { lastEventId } of later) expect(lastEventId).toMatch(/^[\w-]+$/);
    // Only what was cut came back.
    expect(proxy.streams("demo/clock").map(({ cut }) => cut)).toEqual([false]);
  });

  test("follows a job to its end, and stays away from it afterwards", async () => {
    await using server = await ServerProcess.start(...RETRY);
    await using proxy = await CuttingProxy.start(server.port);
    const tab = await open(proxy.url);
    await tab.sums("All 3 feeds open");
    await tab.page.click("#start-job");
    const bar = tab.page.getByRole("progressbar", { name: "Completion of the job" });
    await tab.page.evaluate(RECORD_PROGRESS);
    await tab.tile("job").locator(".figure").filter({ hasText: "Done" }).waitFor();
    const filled = await tab.page.evaluate<number[]>("filled");
    expect(new Set(filled).size).toBeGreaterThan(5);
    expect(filled).toEqual(filled.toSorted((a, b) => a - b));
    await tab.sees("job", "ended");
    expect(await bar.getAttribute("value")).toBe("100");
    expect((await tab.rows("job")).at(-1)).toBe("Done");
    expect(await tab.page.locator("#start-job").textContent()).toBe("Start a job");

    const asked = [
      { status: 200, lastEventId: null },
      { status: 204, lastEventId: expect.stringMatching(/^[\w-]+$/) as unknown },
    ];
    await until(() => proxy.streams("demo/jobs/").at(-1)?.status === 204);
    // Two ticks are several times the reconnection time.
    const ticks = (await tab.rows("demos")).length;
    await until(async () => (await tab.rows("demos")).length >= ticks + 4);
    expect(proxy.streams("demo/jobs/")).toMatchObject(asked);
    await hasStreams(server, 3);

    await tab.page.click("#start-job");
    await tab.sees("job", "open");
    expect(proxy.streams("demo/jobs/").map(({ status }) => status)).toEqual([200, 204, 200]);
  });

  test("is told when the server shuts down, and comes back to the next", async () => {
    await using stopped = await ServerProcess.start("--port", String(await freePort()), ...RETRY);
    const tab = await open(stopped.url);
    await tab.sums("All 3 feeds open");
    stopped.process.kill("SIGTERM");
    for (const feed of FEEDS) await tab.sees(feed, "retrying", "the server sends streams away");
    expect(await stopped.process.exited).toBe(0);
    await tab.sums("No connection");

    await using server = await ServerProcess.start("--port", String(stopped.port), ...RETRY);
    for (const feed of FEEDS) await tab.sees(feed, "gap", "the server has restarted");
    await tab.sums("All 3 feeds open");
    await publish(server.url, { topic: "default", data: "back" });
    await until(async () => (await tab.rows("board")).at(-1) === "back");
  });

  test("says that the server is full, and has its feed once there is room", async () => {
    await using server = await ServerProcess.start("--max-streams", "2", "--return-window", "1ms", ...RETRY);
    const tab = await open(server.url);
    await tab.sums("The server is full: 2 feeds open, 1 waiting for room");
    const isOpen = (feed: FeedName) =>
      tab.tile(feed).evaluate((tile) => tile.getAttribute("data-state") === "open");
    const isOpenAt = new Map<FeedName, boolean>();
    for (const feed of FEEDS) isOpenAt.set(feed, await isOpen(feed));
    const waiting = FEEDS.find((feed) => isOpenAt.get(feed) === false)!;
    await tab.sees(waiting, "retrying", "the server is full");
    await tab
      .tile(waiting === "demos" ? "board" : "demos")
      .getByRole("button", { name: "Pause" })
      .click();
    await tab.sees(waiting, "open");
    await tab.sums("2 feeds open, 1 paused");
  });

  test("pauses a topic, and goes on where it was", async () => {
    await using server = await ServerProcess.start();
    const tab = await open(server.url);
    await tab.sums("All 3 feeds open");
    await tab.post("before");
    await until(async () => (await tab.rows("board")).length === 1);
    await tab.page.getByRole("button", { name: "Pause Message board" }).click();
    await tab.sums("2 feeds open, 1 paused");
    await hasStreams(server, 2);
    await publish(server.url, { topic: "default", data: "meanwhile" });
    await tab.page.getByRole("button", { name: "Resume Message board" }).click();
    await tab.sees("board", "resumed", "1 replayed");
    await tab.post("after");
    await until(async () => (await tab.rows("board")).includes("after"));
    expect(await tab.rows("board")).toEqual(["before", "meanwhile", "after"]);
  });

  test("works where tabs cannot share connections, and says so", async () => {
    await using server = await ServerProcess.start();
    const context = await newContext();
    await context.addInitScript("delete Navigator.prototype.locks");
    const tab = await open(server.url, context);
    await tab.sums("All 3 feeds open");
    await tab.page.getByText("This browser cannot share connections between tabs").waitFor();
    await tab.post("alone");
    await until(async () => (await tab.rows("board")).includes("alone"));
    await hasStreams(server, 3);
  });

  describe.each(["light", "dark"] as const)("in %s colours", (colorScheme) => {
    test("fits small and large windows, names its controls and is used without a mouse", async () => {
      await using server = await ServerProcess.start();
      const context = await newContext({ colorScheme, viewport: { width: 1600, height: 1000 } });
      const tab = await open(server.url, context);
      const { page } = tab;
      await tab.sums("All 3 feeds open");

      await tabTo(tab, "message");
      await page.keyboard.type("typed");
      await page.keyboard.press("Enter");
      await until(async () => (await tab.rows("board")).includes("typed"));
      // The event may be here before the answer to its post.
      await until(async () => (await page.inputValue("#message")) === "");
      await page.keyboard.insertText("unbroken".repeat(100));
      await page.keyboard.press("Enter");
      await until(async () => (await tab.rows("board")).length === 2);
      await tabTo(tab, "start-job");
      await page.keyboard.press("Space");
      await tab.sees("job", "open");

      const tree = await (await context.newCDPSession(page)).send("Accessibility.getFullAXTree");
      const controls = tree.nodes.filter(
        ({ ignored, role, properties }) =>
          !ignored &&
          role?.value !== "RootWebArea" &&
          properties?.some((property) => property.name === "focusable" && property.value.value === true),
      );
      expect(controls.length).toBeGreaterThan(12);
      expect(controls.filter((control) => !control.name?.value)).toEqual([]);
      // A placeholder would count as a name; it is gone as soon as there is text.
      expect(await page.getByLabel("Message to every open tab").getAttribute("id")).toBe("message");

      for (const width of [1600, 360]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBeLessThanOrEqual(
          width,
        );
        expect(await page.evaluate<string[]>(CUT_OFF)).toEqual([]);
      }
    });
  });
});

/** Presses Tab until the element has the focus. */
async function tabTo({ page }: Tab, id: string): Promise<void> {
  await until(async () => {
    await page.keyboard.press("Tab");
    return (await page.evaluate<string>("document.activeElement.id")) === id;
  });
}

/** Runs in the page: keeps every value that the job's progress bar is given. */
const RECORD_PROGRESS = `(() => {
  window.filled = [];
  const bar = document.querySelector('[data-feed="job"] progress');
  new MutationObserver(() => filled.push(Number(bar.getAttribute("value")))).observe(bar, { attributeFilter: ["value"] });
})()`;

/** Runs in the page: what lies outside of the window, or is wider than its box. */
const CUT_OFF = `[...document.querySelectorAll("button, input, h1, h2, p, progress, .log")]
  .filter((element) => !element.matches(".spoken"))
  .filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return left < 0 || right > innerWidth || (element.matches(".log") && element.scrollWidth > element.clientWidth);
  })
  .map((element) => element.outerHTML)`;
