import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, BrowserContext, BrowserContextOptions } from "playwright-core";
import { CHROMIUM, type FeedName, launchChromium, Tab } from "./browser.ts";
import { CuttingProxy } from "./cutting-proxy.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, until } from "./sse-client.ts";

/* The page in a real browser, against the server as a process of its own. */

setDefaultTimeout(30_000);

const name = CHROMIUM === null ? "the page (no Chromium found: set CHROMIUM_PATH)" : "the page";

/** Short, so that nobody waits for reconnects; a server spreads it from half to one and a half times this. */
const RETRY = ["--retry", "200ms"];

const DEMOS = ["random", "clock", "ticker", "status", "board"] as const satisfies FeedName[];

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

  test("shows five topics, which go on by themselves", async () => {
    await using server = await ServerProcess.start();
    const tab = await open(server.url);
    await tab.sums("All 5 feeds open");
    for (const demo of DEMOS) await tab.sees(demo, "open");
    await tab.post("hello");
    await until(async () => {
      const counts = await Promise.all(DEMOS.map(async (demo) => (await tab.rows(demo)).length));
      const [random, clock, ticker, status, board] = counts as [number, number, number, number, number];
      return random >= 5 && clock >= 10 && ticker >= 3 && status >= 2 && board === 1;
    }, 15_000);
    const last = async (demo: FeedName): Promise<string | undefined> => (await tab.rows(demo)).at(-1);
    expect(await last("random")).toMatch(/^[0-9]+$/);
    expect(await last("clock")).toMatch(/^The time is .* UTC [0-9]{4}$/);
    expect(await last("ticker")).toBe("some data");
    expect(JSON.parse((await last("status"))!)).toMatchObject({ status: "up", streams: 5 });
    expect(await last("board")).toBe("hello");
    expect(await tab.tile("random").locator(".figure").textContent()).toMatch(/^[0-9]+$/);
    expect(await tab.tile("clock").locator(".figure").textContent()).toMatch(/^[0-9:]{8}$/);
    expect(await tab.tile("status").locator("dt").allTextContents()).toContain("uptime");
  });

  test("shares five connections between its tabs, and never takes the sixth, which a message needs", async () => {
    await using server = await ServerProcess.start();
    const context = await newContext();
    const [one, two] = [await open(server.url, context), await open(server.url, context)];
    for (const tab of [one, two]) {
      await tab.sums("All 5 feeds open");
      await tab.page.locator("#tabs").filter({ hasText: "shared by 2 tabs" }).waitFor();
    }
    await one.post("from one");
    await until(async () => (await two.rows("board")).length > 0);
    await two.post("from two");
    for (const tab of [one, two]) {
      await until(async () => (await tab.rows("board")).includes("from two"));
      expect(await tab.rows("board")).toEqual(["from one", "from two"]);
    }
    await hasStreams(server, 5);

    await one.page.click("#start-job");
    for (const tab of [one, two]) {
      await tab.sees("job", "open");
      await tab.sees("status", "paused", "while the job runs");
    }
    await hasStreams(server, 5);
    await two.post("meanwhile");
    await until(async () => (await one.rows("board")).includes("meanwhile"), 2000);
    expect(await one.page.locator("#start-job").textContent()).toBe("Job is running");

    await two.page.close();
    await one.page.locator("#tabs").filter({ hasText: /^$/ }).waitFor({ state: "attached" });
    await hasStreams(server, 5);
  });

  test("comes back when the server was killed, and shows that events are missing", async () => {
    await using killed = await ServerProcess.start(...RETRY);
    const tab = await open(killed.url);
    await tab.sums("All 5 feeds open");
    await tab.post("before");
    await until(async () => (await tab.rows("board")).length === 1);
    await killed.kill();
    await tab.sums("No connection");
    for (const demo of DEMOS) await tab.sees(demo, "retrying", "connection lost");
    await tab.post("into the void");
    await tab.page.locator("#message-problem").filter({ hasText: "The server cannot be reached" }).waitFor();
    expect(await tab.page.inputValue("#message")).toBe("into the void");

    await using server = await ServerProcess.start("--port", String(killed.port), ...RETRY);
    await publish(server.url, { topic: "default", data: "perhaps before the page is back" });
    for (const demo of DEMOS) await tab.sees(demo, "gap", "the server has restarted");
    await tab.sums("All 5 feeds open");
    await tab.page.press("#message", "Enter");
    await until(async () => (await tab.rows("board")).includes("into the void"));
    expect(await tab.rows("board")).toEqual([
      "before",
      expect.stringMatching(/^epoch: [\w-]+ – [\w-]+$/),
      "perhaps before the page is back",
      "into the void",
    ]);
    const clock = (await tab.rows("clock")).length;
    await until(async () => (await tab.rows("clock")).length > clock);
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
    await tab.sums("All 5 feeds open");
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
    await tab.sums("All 5 feeds open");
    await tab.page.click("#start-job");
    const figure = tab.tile("job").locator(".figure");
    const bar = tab.page.getByRole("progressbar", { name: "Completion of the job" });
    const filled: number[] = [];
    await until(async () => {
      filled.push(Number(await bar.getAttribute("value")));
      return (await figure.textContent()) === "Done";
    });
    expect(new Set(filled).size).toBeGreaterThan(5);
    expect(filled).toEqual(filled.toSorted((a, b) => a - b));
    await tab.sees("job", "ended");
    expect(await bar.getAttribute("value")).toBe("100");
    expect((await tab.rows("job")).at(-1)).toBe("Done");
    expect(await tab.page.locator("#start-job").textContent()).toBe("Start a job");

    // Two ticks are several times the reconnection time.
    await tab.sees("status", "resumed");
    const ticks = (await tab.rows("clock")).length;
    await until(async () => (await tab.rows("clock")).length >= ticks + 2);
    expect(proxy.streams("demo/jobs/")).toMatchObject([
      { status: 200, lastEventId: null },
      { status: 204, lastEventId: expect.stringMatching(/^[\w-]+$/) },
    ]);
    await hasStreams(server, 5);

    await tab.page.click("#start-job");
    await tab.sees("job", "open");
    expect(proxy.streams("demo/jobs/").map(({ status }) => status)).toEqual([200, 204, 200]);
  });

  test("is told when the server shuts down, and comes back to the next", async () => {
    await using stopped = await ServerProcess.start(...RETRY);
    const tab = await open(stopped.url);
    await tab.sums("All 5 feeds open");
    stopped.process.kill("SIGTERM");
    for (const demo of DEMOS) await tab.sees(demo, "retrying", "after drain");
    expect(await stopped.process.exited).toBe(0);
    await tab.sums("No connection");

    await using server = await ServerProcess.start("--port", String(stopped.port), ...RETRY);
    for (const demo of DEMOS) await tab.sees(demo, "gap", "the server has restarted");
    await tab.sums("All 5 feeds open");
    await publish(server.url, { topic: "default", data: "back" });
    await until(async () => (await tab.rows("board")).at(-1) === "back");
  });

  test("pauses a topic, and goes on where it was", async () => {
    await using server = await ServerProcess.start();
    const tab = await open(server.url);
    await tab.sums("All 5 feeds open");
    await tab.post("before");
    await until(async () => (await tab.rows("board")).length === 1);
    await tab.page.getByRole("button", { name: "Pause Message board" }).click();
    await tab.sums("4 feeds open, 1 paused");
    await hasStreams(server, 4);
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
    await context.addInitScript("delete globalThis.SharedWorker");
    const tab = await open(server.url, context);
    await tab.sums("All 5 feeds open");
    await tab.page.getByText("This browser cannot share connections between tabs").waitFor();
    await tab.post("alone");
    await until(async () => (await tab.rows("board")).includes("alone"));
    await hasStreams(server, 5);
  });

  describe.each(["light", "dark"] as const)("in %s colours", (colorScheme) => {
    test("fits small and large windows, names its controls and is used without a mouse", async () => {
      await using server = await ServerProcess.start();
      const context = await newContext({ colorScheme, viewport: { width: 1600, height: 1000 } });
      const tab = await open(server.url, context);
      const { page } = tab;
      await tab.sums("All 5 feeds open");

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
      // A log and a pause button for each tile, where the button that cannot be used now counts for nothing; and the forms'.
      expect(controls.length).toBe(6 * 2 - 1 + 4);
      expect(controls.filter((control) => !control.name?.value)).toEqual([]);
      // A placeholder would count as a name; it is gone as soon as there is text.
      expect(await page.getByLabel("Message to every open tab").getAttribute("id")).toBe("message");

      for (const width of [1600, 360]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(width);
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

/** Runs in the page: what lies outside of the window, or is wider than its box. */
const CUT_OFF = `[...document.querySelectorAll("button, input, h1, h2, p, progress, .log")]
  .filter((element) => !element.matches(".spoken"))
  .filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return left < 0 || right > innerWidth || (element.matches(".log") && element.scrollWidth > element.clientWidth);
  })
  .map((element) => element.outerHTML)`;
