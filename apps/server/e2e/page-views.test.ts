import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import axe, { type AxeResults } from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { CHROMIUM, launchChromium, Tab } from "./browser.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, until } from "./sse-client.ts";

/* What the page offers besides the cockpit's topics: explorer, inspector, experiments, report; and who can use it. */

const name = CHROMIUM === null ? "the views of the page (no Chromium found: set CHROMIUM_PATH)" : "the page";

describe.skipIf(CHROMIUM === null)(name, () => {
  let browser: Browser;
  let server: ServerProcess;
  const tabs: Tab[] = [];
  beforeAll(async () => {
    [browser, server] = await Promise.all([launchChromium(), ServerProcess.start("--retry", "200ms")]);
  });
  afterAll(async () => {
    await browser.close();
    await server[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    const opened = tabs.splice(0);
    await Promise.all(opened.map(({ page }) => page.context().close()));
    expect(opened.flatMap((tab) => tab.troubles).filter((trouble) => !REFUSED.test(trouble))).toEqual([]);
  });

  async function open(path: string, options: BrowserContextOptions = {}): Promise<Page> {
    const tab = await Tab.open(await browser.newContext(options), server.url + path);
    tabs.push(tab);
    return tab.page;
  }

  /** Connects the explorer, and waits for its stream. */
  async function explore(page: Page, selectors: string, state = "open"): Promise<void> {
    await page.getByLabel("Topics and patterns").fill(selectors);
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await page.locator(`#explorer-state[data-state="${state}"]`).waitFor();
  }

  const rows = async (page: Page): Promise<string[]> =>
    (await page.locator("#events [role=option]:visible .row-data").allTextContents()).toSorted();

  test("explores any topics, from any place in the log, and says what it was refused", async () => {
    const topic = "explored/1";
    const send = async (data: string) => String((await publish(server.url, { topic, data }))["id"]);
    const ids = [await send("one"), await send("two"), await send("three")];
    const page = await open("/#explorer");
    await page.getByLabel("Replay").selectOption("last");
    await page.getByRole("spinbutton", { name: "Events" }).fill("2");
    await explore(page, "explored/* another");
    await until(async () => (await rows(page)).includes("two"));
    expect((await rows(page)).filter((row) => !row.startsWith("{"))).toEqual(["three", "two"]);

    await page.getByLabel("Resume from id").fill(ids[0]!);
    await explore(page, topic, "resumed");
    await page.locator("#explorer-state").filter({ hasText: "2 replayed" }).waitFor();
    await page.getByLabel("Resume from id").fill("nonsense");
    await explore(page, topic, "gap");
    await page.locator("#explorer-state").filter({ hasText: "does not know that id" }).waitFor();
    await page.getByLabel("Resume from id").fill("");
    await explore(page, "a//*b", "failed");
    await page.locator("#explorer-problem").filter({ hasText: "400 Bad Request" }).waitFor();
  });

  test("publishes what the form says, and shows the server's own words when it refuses", async () => {
    const page = await open("/#explorer");
    await explore(page, "published/**");
    const form = page.locator("#publish");
    await form.getByLabel("Topic").fill("published/1");
    await form.getByLabel("Type").fill("added");
    await form.getByLabel("Publisher's id").fill("mine-1");
    await form.locator("textarea").fill('{ "n": 1 }');
    await form.getByRole("button", { name: "Publish" }).click();
    await form.getByText("Kept as").waitFor();
    await until(async () => (await rows(page)).includes('{"n":1}'));
    await form.getByLabel("Text", { exact: true }).check();
    await form.locator("textarea").fill("line 1\nline 2");
    await form.getByLabel("Publisher's id").fill("");
    await form.getByRole("button", { name: "Publish" }).click();
    await until(async () => (await rows(page)).includes("line 1\nline 2"));

    await form.getByLabel("Topic").fill("published/*");
    await form.getByRole("button", { name: "Publish" }).click();
    await form.getByText("is a pattern; publish to one topic").waitFor();
    await form.getByLabel("JSON").check();
    await form.getByRole("button", { name: "Publish" }).click();
    await form.getByText("The data is no JSON").waitFor();
  });

  test("shows the bytes of an event, and resumes after it", async () => {
    const page = await open("/#explorer");
    await explore(page, "wire");
    const { id } = (await publish(server.url, { topic: "wire", event: "grüße", data: "a\nb" })) as {
      id: string;
    };
    await publish(server.url, { topic: "wire", data: "next" });
    await until(async () => (await rows(page)).includes("next"));
    await page.locator("#events [role=option]").filter({ hasText: "grüße" }).click();
    await page.locator("#wire tbody .wire-text").filter({ hasText: "grüße" }).waitFor();
    expect(await page.locator("#wire tbody .wire-text").allTextContents()).toEqual([
      "event: grüße\\n",
      "data: a\\n",
      "data: b\\n",
      `id: ${id}\\n`,
      "\\n",
    ]);
    const sent = Buffer.byteLength(`event: grüße\ndata: a\ndata: b\nid: ${id}\n\n`);
    await page.locator("#inspector").getByText(`${sent} bytes`).waitFor();
    await page.getByRole("button", { name: "Resume after this event" }).click();
    await page.locator("#explorer-state").filter({ hasText: "1 replayed" }).waitFor();
    await until(async () => (await rows(page)).includes("next"));
    expect(await rows(page)).not.toContain("a\nb");
  });

  test("stands still while it is read, and keeps the newest only", async () => {
    const page = await open("/#explorer");
    await explore(page, "many");
    const send = (from: number, count: number) =>
      publish(
        server.url,
        Array.from({ length: count }, (_, at) => ({ topic: "many", data: `n ${from + at}` })),
      );
    await send(0, 5);
    await until(async () => (await rows(page)).includes("n 4"));
    await page.getByRole("button", { name: "Pause", exact: true }).and(page.locator("#pause-events")).click();
    await send(5, 700);
    await page.getByRole("button", { name: "700 newer" }).click();
    await until(async () => (await rows(page)).includes("n 704"));
    await page.getByText("706 events, the newest 500 kept").waitFor();
    // By keyboard, down to the oldest that is kept.
    await page.locator("#events").focus();
    await page.keyboard.press("End");
    await page.locator("#events [aria-selected=true]").filter({ hasText: "n 205" }).waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await until(async () => (await rows(page)).length === 0);
  });

  test("draws a thousand events a second as they come, with few rows in the document", async () => {
    const page = await open("/#explorer");
    await explore(page, "flood");
    const seconds = 3;
    const frames = page.evaluate<{ fps: number; longTasks: number; rows: number }>(COUNT_FRAMES(seconds));
    const start = performance.now();
    for (let batch = 0; batch < seconds * 20; batch++) {
      await publish(
        server.url,
        Array.from({ length: 50 }, (_, at) => ({ topic: "flood", data: `n ${batch * 50 + at}` })),
      );
      await Bun.sleep(Math.max(0, start + batch * 50 - performance.now()));
    }
    const { fps, longTasks, rows: most } = await frames;
    await page.getByText(`${(seconds * 1000 + 1).toLocaleString("en")} events`).waitFor();
    console.log(`1,000 events/s: ${fps.toFixed(1)} frames/s, ${longTasks} tasks over 50 ms`);
    expect(most).toBeLessThan(60);
  });

  test.each([
    ["cut", "Promises kept: 50 of 50", "Back: resumed"],
    ["drain", "Promises kept: 50 of 50", "Back: resumed"],
    ["end", "Promises kept: 20 of 20", "Answered 204"],
  ])("hurts its reader (%s), and shows that the promises were kept", async (experiment, verdict, note) => {
    const page = await open("/#break");
    await page.locator(`[data-experiment="${experiment}"]`).click();
    await page.locator("#verdict").filter({ hasText: verdict }).waitFor();
    await page.locator("#notes").filter({ hasText: note }).waitFor();
    expect(await page.locator('[data-account="missing"]').textContent()).toBe("0");
    expect(await page.locator('[data-account="duplicates"]').textContent()).toBe("0");
  });

  test("opens five hundred streams from a worker, and says how many were open at once", async () => {
    const page = await open("/#break");
    await page.locator('[data-experiment="storm"]').click();
    await page.locator("#notes").filter({ hasText: "500 of 500 streams opened" }).waitFor();
    await page
      .locator("#notes")
      .filter({ hasText: /at most [12] at once/ })
      .waitFor();
    await page.locator("#notes").filter({ hasText: "over HTTP/1.1" }).waitFor();
  });

  test("gives the one stream to spare to one tab at a time, and to another that asks for it", async () => {
    const one = await open("/#explorer");
    await explore(one, "spare");
    const tab = await Tab.open(one.context(), `${server.url}/#explorer`);
    tabs.push(tab);
    const two = tab.page;
    await two.getByLabel("Topics and patterns").fill("spare");
    await two.getByRole("button", { name: "Connect", exact: true }).click();
    await two.getByRole("button", { name: "Take it over" }).click();
    await two.locator('#explorer-state[data-state="open"]').waitFor();
    await one
      .locator("#explorer-state")
      .filter({ hasText: "another tab has taken the connection over" })
      .waitFor();
  });

  test("goes on after the network was away", async () => {
    const page = await open("/");
    const tab = tabs.at(-1)!;
    await tab.sums("All 3 feeds open");
    await tab.post("before");
    await until(async () => (await tab.rows("board")).includes("before"));
    const devtools = await page.context().newCDPSession(page);
    const away = { offline: true, latency: 0, downloadThroughput: 0, uploadThroughput: 0 };
    await devtools.send("Network.emulateNetworkConditions", away);
    await tab.post("into the void");
    await page.locator("#message-problem").filter({ hasText: "The server cannot be reached" }).waitFor();
    await publish(server.url, { topic: "default", data: "meanwhile" });
    await devtools.send("Network.emulateNetworkConditions", {
      ...away,
      offline: false,
      downloadThroughput: -1,
      uploadThroughput: -1,
    });
    await page.locator("#send").click();
    await until(async () => (await tab.rows("board")).includes("into the void"));
    expect((await tab.rows("board")).slice(-3)).toEqual(["before", "meanwhile", "into the void"]);
  });

  test("shows the bench's report", async () => {
    const page = await open("/benchmarks");
    await page.getByRole("heading", { level: 1, name: "Benchmarks" }).waitFor();
    const broken = await page.evaluate<number>(
      "[...document.images].filter((image) => image.complete && image.naturalWidth === 0).length",
    );
    expect(broken).toBe(0);
    expect(await page.locator("table").count()).toBeGreaterThan(10);
  });

  describe.each(["light", "dark"] as const)("in %s colours", (colorScheme) => {
    test.each([1440, 390])("has nothing that axe objects to, %d pixels wide", async (width) => {
      const page = await open("/", {
        colorScheme,
        viewport: { width, height: 900 },
        reducedMotion: "reduce",
      });
      await page.locator('[data-metric="latency"] .value').filter({ hasText: /\d/ }).waitFor();
      expect(await violations(page)).toEqual([]);
      await page.goto(`${server.url}/#explorer`);
      await explore(page, "demo/*");
      await page.locator("#events [role=option]").first().click();
      await page.locator("#publish").getByLabel("Topic").fill("demo/*");
      await page.locator("#publish").getByRole("button", { name: "Publish" }).click();
      await page.locator("#publish-problem").filter({ hasText: "pattern" }).waitFor();
      expect(await violations(page)).toEqual([]);
      await page.goto(`${server.url}/#break`);
      await page.locator('[data-experiment="cut"]').click();
      await page.locator("#verdict").filter({ hasText: "Promises kept" }).waitFor();
      expect(await violations(page)).toEqual([]);
      for (const document of ["benchmarks", "openapi"]) {
        await page.goto(`${server.url}/${document}`);
        expect(await violations(page)).toEqual([]);
        const { scrollWidth } = await page.evaluate<{ scrollWidth: number }>(
          "({ scrollWidth: document.documentElement.scrollWidth })",
        );
        expect(scrollWidth).toBeLessThanOrEqual(width);
      }
    });
  });
});

/** What a browser says by itself of an answer that a test asked for, or of a network that is away. */
const REFUSED =
  /^Failed to load resource: (the server responded with a status of 400|net::ERR_INTERNET_DISCONNECTED)/;

/** Runs in the page: frames and long tasks over some seconds, and the most rows that there were. */
const COUNT_FRAMES = (seconds: number) => `new Promise((resolve) => {
  let frames = 0, longTasks = 0, rows = 0;
  new PerformanceObserver((list) => (longTasks += list.getEntries().length)).observe({ type: "longtask" });
  const start = performance.now();
  const frame = () => {
    frames++;
    rows = Math.max(rows, document.querySelectorAll("#events [role=option]").length);
    const elapsed = (performance.now() - start) / 1000;
    if (elapsed < ${seconds}) requestAnimationFrame(frame);
    else resolve({ fps: frames / elapsed, longTasks, rows });
  };
  requestAnimationFrame(frame);
})`;

/** What axe finds, in a line for each. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate<AxeResults>("axe.run()");
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`),
  );
}
