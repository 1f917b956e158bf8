import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mintToken } from "@sse/http";
import type { Browser } from "playwright-core";
import { CHROMIUM, launchChromium, Tab } from "./browser.ts";
import { ServerProcess } from "./server-process.ts";
import { PATIENCE, SseClient, until, withGrowingTime } from "./sse-client.ts";

/* What a browser makes of a server that wants tokens. */

const name = CHROMIUM === null ? "a browser (no Chromium found: set CHROMIUM_PATH)" : "a browser";
const TOKEN = "the-token-of-the-page-tests";
const ADMIN = "the-token-of-the-admin";
const OWNER = "the-token-of-the-owner";
const VISITOR = { subscribe: ["demo/**", "default"], publish: ["default", "demo/jobs/*"] };
const SECRET = "a secret of at least 32 bytes, for tests";
const TOKENS = JSON.stringify([
  { token: TOKEN, ...VISITOR },
  { token: OWNER, ...VISITOR, admin: true },
  { token: ADMIN, admin: true },
]);

describe.skipIf(CHROMIUM === null)(name, () => {
  let browser: Browser;
  let server: ServerProcess;
  beforeAll(async () => {
    [browser, server] = await Promise.all([
      launchChromium(),
      ServerProcess.startWith(
        { SSE_TOKENS: TOKENS, SSE_JWT_SECRET: SECRET },
        "--auth-cookie",
        "sse_token",
        "--retry",
        "200ms",
      ),
    ]);
  });
  afterAll(async () => {
    await browser.close();
    await server[Symbol.asyncDispose]();
  });

  test("without a token is shown that the server wants one", async () => {
    await using context = await browser.newContext();
    const tab = await Tab.open(context, server.url);
    await tab.sums("The server wants a token");
    await tab.sees("demos", "failed", "the server wants a token");
    await tab.post("hello");
    await tab.page.locator("#message-problem").filter({ hasText: "a token is needed" }).waitFor();
  });

  test("that may not see the hub's state has the rest of the page", async () => {
    await using context = await browser.newContext();
    await context.addCookies([{ name: "sse_token", value: TOKEN, url: server.url, sameSite: "Strict" }]);
    const tab = await Tab.open(context, server.url);
    await tab.sums("2 feeds open, 1 wants a token");
    await tab.page.locator('[data-feed="stats"]').filter({ hasText: "takes a token with admin" }).waitFor();
  });

  test("with a cookie has the page as it is", async () => {
    await using context = await browser.newContext();
    await context.addCookies([
      { name: "sse_token", value: OWNER, url: server.url, httpOnly: true, sameSite: "Strict" },
    ]);
    const tab = await Tab.open(context, server.url);
    await tab.sums("All 3 feeds open");
    await tab.post("hello");
    await until(async () => (await tab.rows("board")).includes("hello"));
    await tab.page.click("#start-job");
    await tab.sees("job", "open");
    expect(tab.troubles).toEqual([]);
  });

  test("that may not send streams away is told so, and has no verdict", async () => {
    const grant = { subscribe: ["demo/**"], publish: ["demo/**"] };
    const value = await mintToken({ ...grant, secret: SECRET, ttl: 60_000 });
    await using context = await browser.newContext();
    await context.addCookies([{ name: "sse_token", value, url: server.url, sameSite: "Strict" }]);
    const { page } = await Tab.open(context, `${server.url}/#break`);
    await page.locator('[data-experiment="drain"]').click();
    await page
      .locator("#verdict")
      .filter({ hasText: "No verdict, as it was broken off: 403 Forbidden" })
      .waitFor();
    await page.locator("#verdict").filter({ hasText: "it takes one with admin" }).waitFor();
  });

  test("of another origin gets nothing with the cookie of its visitor", async () => {
    await using context = await browser.newContext();
    await context.addCookies([{ name: "sse_token", value: TOKEN, url: server.url, sameSite: "Lax" }]);
    using evil = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => new Response("<title>evil</title>", { headers: { "content-type": "text/html" } }),
    });
    await using client = await SseClient.open(`${server.url}/events`, { authorization: `Bearer ${TOKEN}` });
    const page = await context.newPage();
    await page.goto(`http://localhost:${evil.port}`); // the same site, so that the cookie is sent
    const seen: unknown = await page.evaluate(`(async (url) => {
      const source = new EventSource(url + "/events", { withCredentials: true });
      const closed = await new Promise((resolve) => {
        source.addEventListener("error", () => resolve(source.readyState));
        source.addEventListener("sse:ready", () => resolve("open"));
      });
      await fetch(url + "/publish?topic=default", {
        method: "POST",
        mode: "no-cors",
        credentials: "include",
        headers: { "content-type": "text/plain" },
        body: "forged",
      });
      return closed;
    })(${JSON.stringify(server.url)})`);
    expect(seen).toBe(2);
    await fetch(`${server.url}/publish?topic=default`, {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "text/plain" },
      body: "true",
    });
    expect(await client.receive(1)).toEqual(["true"]);
  });

  test("whose token has expired comes back with a new ticket, and misses nothing", async () => {
    const send = (body: string): Promise<Response> =>
      fetch(`${server.url}/publish?topic=default`, {
        method: "POST",
        headers: { authorization: `Bearer ${TOKEN}`, "content-type": "text/plain" },
        body,
      });
    await withGrowingTime(async (time) => {
      await using context = await browser.newContext();
      context.setDefaultTimeout(PATIENCE);
      const page = await context.newPage();
      await page.goto(`${server.url}/healthz`);
      // Good for so long by the tolerance of five seconds; then the page has another one.
      const grant = { secret: SECRET, subscribe: ["default"], ttl: 1000 };
      const tokens = [await mintToken({ ...grant, now: Date.now() - 5000 + time }), TOKEN];
      await page.evaluate(`window.tokens = ${JSON.stringify(tokens)}; void ${FOLLOW_WITH_TICKETS}`);
      await page.waitForFunction("seen.length > 0");
      await send("1");
      await page.waitForFunction("tokens.length === 0");
      if (!(await page.evaluate<boolean>("seen.includes('1') && seen.includes('sse:closing')"))) return false;
      await send("2");
      await page.waitForFunction("seen.includes('2')");
      expect(await page.evaluate<unknown>("seen")).toEqual([
        "sse:ready",
        "1",
        "sse:closing",
        "sse:ready",
        "2",
      ]);
      return true;
    });
  });
});

/** Runs in the browser: what `docs/authentication.md` advises. */
const FOLLOW_WITH_TICKETS = `(() => {
  window.seen = [];
  let lastEventId = "";
  const open = async () => {
    const headers = { authorization: "Bearer " + tokens.shift() };
    const { ticket } = await (await fetch("/tickets", { method: "POST", headers })).json();
    const source = new EventSource("/events?" + new URLSearchParams({ ticket, lastEventId }));
    for (const type of ["message", "sse:ready", "sse:closing"]) {
      source.addEventListener(type, (event) => {
        lastEventId = event.lastEventId;
        seen.push(type === "message" ? event.data : type);
      });
    }
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) open();
    });
  };
  open();
})()`;
