import { describe, expect, test } from "bun:test";
import { connect } from "node:http2";
import { CHROMIUM, launchChromium, Tab } from "./browser.ts";
import { missingFor, PROXIES, ProxyProcess } from "./proxy-process.ts";
import { ServerProcess } from "./server-process.ts";
import { SseClient, until } from "./sse-client.ts";

/* Each configuration of docs/deploy in the real program. Several nodes and their end: proxy-failover.test.ts. */

const tls = { rejectUnauthorized: false };

async function answers(url: string): Promise<void> {
  await until(() =>
    fetch(`${url}/readyz`, { tls }).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
}

async function publish(url: string, data: string): Promise<void> {
  const response = await fetch(`${url}/publish?topic=t`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: data,
    keepalive: false, // a reload closes connections that wait for a next request, also while it is on its way
    tls,
  });
  expect(response.status).toBe(200);
}

for (const config of PROXIES) {
  const reason = missingFor(config);
  describe.skipIf(reason !== "")(`${config}${reason}`, () => {
    test("passes each event at once, keeps quiet streams, and a reload loses nothing", async () => {
      await using node = await ServerProcess.start("--no-demos", "--heartbeat", "250ms");
      await using proxy = await ProxyProcess.start(config, [node.port]);
      await answers(proxy.url);
      await using client = await SseClient.open(`${proxy.url}/events?topic=t`, {}, tls);
      expect(client.response.headers.get("content-encoding")).toBeNull();
      await until(() => client.control("sse:ready").length === 1); // nothing else is published
      for (const at of [1, 2, 3]) {
        await publish(proxy.url, `${at}`);
        expect(await client.receive(at)).toHaveLength(at); // none waits for the next
      }
      const large = "x".repeat(200_000); // more than a buffer of the proxy
      await publish(proxy.url, large);
      expect((await client.receive(4))[3]).toBe(large);
      // Longer than the read timeout of the proxy, which is ten heartbeats here.
      await until(() => client.comments >= 12 || client.ended);
      expect(client.ended).toBe(false);

      await proxy.reload();
      await until(() => client.ended);
      await publish(proxy.url, "meanwhile");
      const headers = { "last-event-id": client.lastEventId };
      await using again = await SseClient.open(`${proxy.url}/events?topic=t`, headers, tls);
      expect(await again.receive(1)).toEqual(["meanwhile"]);
      expect(again.control("sse:gap")).toEqual([]);
    });

    test("tells the node whom it speaks for, and by which name it was called", async () => {
      using node = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch: ({ headers }) => Response.json([headers.get("x-forwarded-for"), headers.get("host")]),
      });
      await using proxy = await ProxyProcess.start(config, [node.port!]);
      await answers(proxy.url);
      const response = await fetch(proxy.url, {
        headers: { host: "sse.example.com", "x-forwarded-for": "203.0.113.9" },
        tls,
      });
      const [from, host] = (await response.json()) as [string, string];
      expect(from).toBe("127.0.0.1"); // what a client claims is gone
      expect(host).toBe("sse.example.com");
    });

    test("clients are counted by the address that the proxy saw, whatever they claim", async () => {
      const flags = "--no-demos --max-streams-per-address 1 --trusted-proxies 127.0.0.1".split(" ");
      await using node = await ServerProcess.start(...flags);
      await using proxy = await ProxyProcess.start(config, [node.port]);
      await answers(proxy.url);
      const url = `${proxy.url}/events?topic=t`;
      await using one = await SseClient.open(url, { "x-forwarded-for": "203.0.113.1" }, tls);
      await until(() => one.control("sse:ready").length === 1);
      const headers = { accept: "*/*", "x-forwarded-for": "203.0.113.2" };
      expect((await fetch(url, { headers, tls })).status).toBe(429);
      expect(node.lines.filter((line) => line.includes("--trusted-proxies"))).toEqual([]);
    });

    test("a node that was not told to trust it says so, once", async () => {
      await using node = await ServerProcess.start("--no-demos");
      await using proxy = await ProxyProcess.start(config, [node.port]);
      await answers(proxy.url);
      for (let at = 0; at < 2; at++) {
        await using client = await SseClient.open(`${proxy.url}/events?topic=t`, {}, tls);
        await until(() => client.control("sse:ready").length === 1);
      }
      await until(() => node.lines.some((line) => line.includes("--trusted-proxies")));
      const [line, ...more] = node.lines.filter((each) => each.includes("--trusted-proxies"));
      expect(JSON.parse(line!)).toMatchObject({ level: "warn", peer: "127.0.0.1" });
      expect(more).toEqual([]);
    });

    test("a page may publish where it came from, whatever the port, and no other page may", async () => {
      await using node = await ServerProcess.start("--no-demos");
      await using proxy = await ProxyProcess.start(config, [node.port]);
      await answers(proxy.url);
      const { origin, host } = new URL(proxy.url);
      // As browsers send it: over https they say how the two are related.
      for (const [from, site, status] of [
        [origin, "same-origin", 200],
        [origin, "cross-site", 403],
        [`http://${host}`, "cross-site", 403],
        ["https://evil.example", "cross-site", 403],
        ["https://evil.example", "same-origin", 403],
      ] as const) {
        const headers = { origin: from, "sec-fetch-site": site, "content-type": "text/plain" };
        const request = { method: "POST", headers, body: "x", tls };
        expect((await fetch(`${proxy.url}/publish?topic=t`, request)).status).toBe(status);
      }
    });

    test.skipIf(CHROMIUM === null)("the page works in a browser", async () => {
      await using node = await ServerProcess.start();
      await using proxy = await ProxyProcess.start(config, [node.port]);
      await answers(proxy.url);
      const browser = await launchChromium();
      try {
        const context = await browser.newContext({ ignoreHTTPSErrors: true });
        const tab = await Tab.open(context, proxy.url);
        await tab.sums("All 3 feeds open");
        await tab.post("through a proxy");
        await until(async () => (await tab.rows("board")).includes("through a proxy"));
        expect(tab.troubles).toEqual([]);
      } finally {
        await browser.close();
      }
    });

    test("a page whose own name points to the proxy neither reads nor publishes", async () => {
      await using node = await ServerProcess.start("--no-demos", "--open", "--host", "127.0.0.1");
      await using proxy = await ProxyProcess.start(config, [node.port]);
      await answers(proxy.url);
      for (const host of [
        "evil.example",
        `evil.example:${new URL(proxy.url).port}`,
        "127.0.0.1.evil.example",
        "192.0.2.1",
      ]) {
        const own = { host, origin: `${new URL(proxy.url).protocol}//${host}` };
        for (const [method, path] of [
          ["GET", "/events?topic=t"],
          ["POST", "/publish?topic=t"],
          ["GET", "/stats"],
          ["GET", "/"],
        ] as const) {
          const abort = new AbortController();
          const response = await fetch(`${proxy.url}${path}`, {
            method,
            headers: { accept: "*/*", "content-type": "text/plain", ...own },
            ...(method === "POST" && { body: "x" }),
            tls,
            signal: abort.signal,
          });
          // A Caddy with TLS answers nothing: it has no certificate for the name, and says so where a client insists.
          const body = config === "Caddyfile" ? await response.text() : "";
          expect({ host, path, status: response.status, body }).toEqual({
            host,
            path,
            status: config === "Caddyfile" ? 200 : 421,
            body: "",
          });
          abort.abort();
        }
      }
      const stats = (await (await fetch(`${node.url}/stats`)).json()) as { published: number };
      expect(stats.published).toBe(0);
    });

    test("the name that clients use has to be allowed", async () => {
      await using refusing = await ServerProcess.start("--no-demos");
      await using allowing = await ServerProcess.start("--no-demos", "--allowed-hosts", "sse.example.com");
      for (const [node, status] of [
        [refusing, 421],
        [allowing, 200],
      ] as const) {
        await using proxy = await ProxyProcess.start(config, [node.port]);
        await answers(proxy.url);
        const headers = { host: "sse.example.com", "content-type": "text/plain" };
        const response = await fetch(`${proxy.url}/publish?topic=t`, {
          method: "POST",
          headers,
          body: "x",
          tls,
        });
        expect(response.status).toBe(status);
      }
    });

    const hasTls = config === "nginx-tls.conf" || config === "Caddyfile";
    if (!hasTls) return;
    test("speaks HTTP/2", async () => {
      await using node = await ServerProcess.start("--no-demos");
      await using proxy = await ProxyProcess.start(config, [node.port]);
      await answers(proxy.url);
      const session = connect(proxy.url, tls);
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      session.on("error", reject);
      const stream = session.request({ ":path": "/events?topic=t" });
      stream.on("error", reject);
      stream.once("data", (chunk: Buffer) => resolve(chunk.toString()));
      expect(await promise).toContain("sse:ready");
      session.destroy();
    });
  });
}
