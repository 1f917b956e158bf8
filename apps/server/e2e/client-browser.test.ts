import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Exchange, Flood, WireServer } from "@sse/client/test/wire-server.ts";
import { CHROMIUM } from "./browser.ts";
import { logOf, openClientPage } from "./client-page.ts";
import { DevToolsBrowser, type DevToolsTab } from "./devtools.ts";
import { until } from "./sse-client.ts";

/* The client in a real browser: beside the browser's own EventSource, and through the life of a page. */

const name = CHROMIUM === null ? "the client (no Chromium found: set CHROMIUM_PATH)" : "the client";
const PAGE = "/healthz";

/** What a server answers to the first, second, ... request of a scenario; after these, 204. */
const SCENARIOS: Record<string, ((exchange: Exchange) => unknown)[]> = {
  "all line ends, fields and types": [
    (exchange) =>
      exchange
        .stream(
          "\ufeffretry: 10\rdata: a\r\n\r\n: x\ndata\ndata:  b\n\nevent: add\ndata: c\n\nevent: \ndata:d\n\n",
        )
        .send(
          "Data: no\n\ndata : no\n\nevent: add\n\ndata: e\n\ndata:😀\u2028x\n\nid\ndata:f\n\n",
          "data: lost\n",
        )
        .finish(),
  ],
  "ids that persist, are reset, and have NUL": [
    (exchange) => exchange.stream("retry:10\nid: é…😀\ndata: a\n\ndata: b\n\nid: x\0\ndata: c\n\n").finish(),
    (exchange) => exchange.stream("data: d\n\nid: 2\n\nid: 3\ndata: lost").finish(),
    (exchange) => exchange.stream("data: e\n\nid\n\n").finish(),
    (exchange) => exchange.stream("data: f\n\n").finish(),
  ],
  // What a page has not yet read of a body that breaks is gone: so these are cut when the page has seen their event.
  "cuts in an event, a character and a chunk": [
    (exchange) => exchange.stream("retry:10\nid:1\ndata: a\n\nid: 2\ndata: lo"),
    (exchange) => exchange.stream("data: b\n\n").send(Uint8Array.of(0x64, 0x61, 0x74, 0x61, 0x3a, 0xc3)),
    (exchange) => exchange.stream("data: c\n\n").write("ff\r\ndata: lost"),
    (exchange) => exchange.stream("\n\ndata: d\n\n").write("1"),
  ],
  // Another charset Chromium refuses, where the standard says to ignore it; and so do we.
  "a charset": [
    (exchange) =>
      exchange
        .head(200, { "content-type": "text/event-stream;charset=UTF-8" })
        .write("retry: 10\ndata: ä\n\n")
        .cut(),
  ],
  "a type that is not ours": [
    (exchange) => exchange.head(200, { "content-type": "text/plain" }).write("data: a\n\n").cut(),
  ],
  "no type": [(exchange) => exchange.head(200).write("data: a\n\n").cut()],
  "an empty stream": [
    (exchange) => exchange.stream("retry: 10\n").finish(),
    (exchange) => exchange.stream().finish(),
  ],
  "a redirect": [
    (exchange) =>
      exchange.head(307, { location: `${exchange.request.target}&again`, "content-length": "0" }).cut(),
    (exchange) => exchange.stream("retry: 10\ndata: a\n\n").finish(),
  ],
};
for (const status of [204, 205, 210, 299, 304, 400, 401, 404, 410, 429, 500, 503]) {
  SCENARIOS[`status ${status}`] = [
    (exchange) =>
      exchange
        .head(status, status > 299 ? { "content-type": "text/event-stream", "content-length": "0" } : {})
        .cut(),
  ];
}

/** Runs in the page: everything that a source fires until it is closed. */
const RECORD = `(make) => new Promise((resolve) => {
  const log = [];
  const source = make();
  const keep = (event) => {
    log.push([event.type, source.readyState, event.data, event.lastEventId, event.origin, event.bubbles, event.cancelable]
      .map(String).join(" "));
    if (event.type === "message") void fetch("/seen" + new URL(source.url).search);
    if (source.readyState === 2) resolve(log);
  };
  for (const type of ["open", "message", "add", "error"]) source.addEventListener(type, keep);
})`;

describe.skipIf(CHROMIUM === null)(name, () => {
  let browser: DevToolsBrowser;
  beforeAll(async () => {
    browser = await DevToolsBrowser.launch();
  });
  afterAll(() => browser[Symbol.asyncDispose]());

  /** A server that has a page, and answers a stream's requests one after another. */
  function serve(
    answers: (target: string) => ((exchange: Exchange) => unknown)[] | undefined,
  ): Promise<WireServer> {
    const counts = new Map<string, number>();
    const latest = new Map<string, Exchange>();
    return WireServer.start((exchange) => {
      const { target } = exchange.request;
      if (target === PAGE) return exchange.head(200, { "content-type": "text/html" }).write("page").cut();
      if (target.startsWith("/seen?")) {
        latest.get(target.replace("/seen", "/stream"))?.cut();
        return exchange.head(204).cut();
      }
      latest.set(target, exchange);
      const key = target.replace("&again", "");
      const count = counts.get(key) ?? 0;
      counts.set(key, count + 1);
      const answer = answers(key)?.[count];
      if (answer === undefined) exchange.head(204).cut();
      else answer(exchange);
    });
  }

  test("fires what the browser's own EventSource fires, and asks as it asks", async () => {
    await using server = await serve(
      (target) => SCENARIOS[new URL(target, "http://x").searchParams.get("of")!],
    );
    const tab = await openClientPage(browser, server.url);
    for (const scenario of Object.keys(SCENARIOS)) {
      const [native, ours] = await Promise.all(
        ["new EventSource(url)", "new sse.Source(url, { retryStatuses: null, jitter: null })"].map(
          (made, at) => {
            const url = `/stream?of=${encodeURIComponent(scenario)}&by=${at}`;
            return tab.evaluate<string[]>(
              `(${RECORD})(() => { const url = ${JSON.stringify(url)}; return ${made}; })`,
            );
          },
        ),
      );
      expect([scenario, ...ours!]).toEqual([scenario, ...native!]);
      const asked = (by: number): unknown[] =>
        server.requests
          .filter(({ target }) => target.startsWith(`/stream?of=${encodeURIComponent(scenario)}&by=${by}`))
          .map(({ method, target, headers }) => [
            method,
            // After a redirect Chromium comes back to where it was sent; we to the URL, which may send us elsewhere by then.
            target.replace(`by=${by}`, "").replace("&again", ""),
            headers["accept"],
            headers["cache-control"],
            headers["last-event-id"],
          ]);
      expect([scenario, asked(1)]).toEqual([scenario, asked(0)]);
    }
    await tab.close();
  });

  test("takes and refuses URLs as the browser's own EventSource", async () => {
    await using server = await serve(() => undefined);
    const tab = await openClientPage(browser, server.url);
    const outcomes = await tab.evaluate<string[][]>(`Promise.all([EventSource, sse.Source].map((Source) =>
      Promise.all(["http://[", "//", "stream", "?a", "/b#c", "ftp://x/", "about:blank", "mailto:a@b", "javascript:1"].map((url) =>
        new Promise((resolve) => {
          try {
            const source = new Source(url);
            source.onerror = () => resolve([source.url, source.readyState, source.withCredentials].join(" "));
          } catch (error) {
            resolve([error.constructor.name, error.name].join(" "));
          }
        })))))`);
    expect(outcomes[1]).toEqual(outcomes[0]);
    expect(outcomes[0]![0]).toBe("DOMException SyntaxError");
    await tab.close();
  });

  /** A stream of events 1, 2, 3, ... after the cursor it is asked for. */
  const numbered = (target: string): ((exchange: Exchange) => unknown)[] | undefined =>
    target.startsWith("/numbers")
      ? Array<(exchange: Exchange) => unknown>(20).fill((exchange) => {
          const next = Number(exchange.request.headers["last-event-id"] ?? 0) + 1;
          exchange.stream(`retry: 10\nid: ${next}\ndata: ${next}\n\n`);
        })
      : undefined;

  const streamsOf = (server: WireServer): Exchange[] =>
    server.exchanges.filter(({ request }) => request.target === "/numbers");
  const open = async (server: WireServer, init = "{}"): Promise<DevToolsTab> => {
    const tab = await openClientPage(browser, server.url);
    await tab.evaluate(`sse.follow('/numbers', ${init})`);
    await tab.waitFor("log.includes('1')");
    return tab;
  };

  test("holds the server up while the loop over its events is busy", async () => {
    const flood = new Flood();
    await using server = await serve((target) =>
      target === "/flood" ? [(exchange) => flood.answer(exchange)] : undefined,
    );
    const tab = await openClientPage(browser, server.url);
    await tab.evaluate("(async () => { window.events = sse.subscribe('/flood'); await events.next(); })()");
    // Chromium takes some 64 MiB before anybody reads; 256 MiB are offered.
    expect(await flood.settled()).toBeLessThan(2048);
    const last = await tab.evaluate<string>(
      "(async () => { for await (const { id } of events) if (id === '2000') return id; })()",
    );
    expect(last).toBe("2000");
    await tab.close();
  });

  test("lets its connection go when the page is frozen, and resumes when it wakes", async () => {
    await using server = await serve(numbered);
    const tab = await open(server);
    await tab.setLifecycle("frozen");
    await until(() => streamsOf(server)[0]!.gone);
    await tab.setLifecycle("active");
    await tab.waitFor("log.includes('2')");
    expect(await logOf(tab)).toEqual(["open", "1", "frozen", "open", "2"]);
    await tab.close();
  });

  test("lets its connection go in the back/forward cache, and resumes on the way back", async () => {
    await using server = await serve(numbered);
    const tab = await open(server);
    await tab.goto("about:blank");
    await until(() => streamsOf(server)[0]!.gone);
    // Later: the answer to this must not be lost with the page.
    await tab.evaluate("void setTimeout(() => history.back(), 100)");
    await tab.waitFor("window.log?.includes('2')");
    expect(await tab.evaluate<number>("source.readyState")).toBe(1);
    expect((await logOf(tab)).filter((each) => /[0-9]/.test(each))).toEqual(["1", "2"]);
    await tab.close();
  });

  test("pauses while the page is hidden, if asked to", async () => {
    await using server = await serve(numbered);
    const seldom = await open(server, "{ pauseWhenHidden: true }");
    const always = await open(server);
    await until(() => streamsOf(server)[0]!.gone);
    expect(await seldom.evaluate<number>("source.readyState")).toBe(0);
    await seldom.activate();
    await seldom.waitFor("log.includes('2')");
    expect(await logOf(seldom)).toEqual(["open", "1", "open", "2"]);
    expect(await always.evaluate<string>("document.visibilityState")).toBe("hidden");
    expect(streamsOf(server).map(({ gone }) => gone)).toEqual([true, false, false]);
    await Promise.all([always.close(), seldom.close()]);
  });

  test("comes back with the network, without waiting for its next attempt", async () => {
    await using server = await serve((target) =>
      numbered(target)?.map((answer) => (exchange: Exchange) => {
        answer(exchange);
        exchange.send("retry: 3600000\n");
      }),
    );
    const tab = await open(server);
    const network = (offline: boolean): Promise<unknown> =>
      tab.send("Network.emulateNetworkConditions", {
        offline,
        latency: 0,
        downloadThroughput: -1,
        uploadThroughput: -1,
      });
    await tab.send("Network.enable");
    await network(true);
    streamsOf(server)[0]!.socket.resetAndDestroy();
    await tab.waitFor("log.includes('error network')");
    await network(false);
    await tab.waitFor("log.includes('2')");
    expect(await logOf(tab)).toEqual(["open", "1", "error network", "open", "2"]);
    await tab.close();
  });
});
