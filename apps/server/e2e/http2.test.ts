import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDecoder } from "@sse/protocol";
import { CHROMIUM, launchChromium, Tab } from "./browser.ts";
import { runServer, ServerProcess } from "./server-process.ts";
import { until } from "./sse-client.ts";

/* Over TLS: HTTP/2 takes away the six connections that a browser has for one server. */

setDefaultTimeout(30_000);

/** What a page does: 30 streams of three topics, an event to each topic, and the first event of every stream. */
const IN_PAGE = `(async () => {
  const sources = Array.from({ length: 30 }, (_, at) => new EventSource("/events?topic=t" + (at % 3)));
  await Promise.all(sources.map((source) => new Promise((resolve) => source.addEventListener("sse:ready", resolve))));
  const received = sources.map((source) => new Promise((resolve) => { source.onmessage = ({ data }) => resolve(data); }));
  const batch = [0, 1, 2].map((at) => ({ topic: "t" + at, data: String(at) }));
  await fetch("/publish", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(batch) });
  return Promise.all(received);
})()`;

const openssl = Bun.which("openssl");

describe.skipIf(openssl === null)(openssl === null ? "TLS (no openssl found)" : "TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "sse-tls-"));
  const flags = ["--tls-cert", join(folder, "cert.pem"), "--tls-key", join(folder, "key.pem")];

  function makeCertificate(cert: string, key: string): void {
    const args =
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
    const files = ["-keyout", join(folder, key), "-out", join(folder, cert)];
    const { success, stderr } = Bun.spawnSync(["openssl", ...args.split(" "), ...files]);
    if (!success) throw new Error(stderr.toString());
  }

  beforeAll(() => {
    makeCertificate("cert.pem", "key.pem");
    makeCertificate("other.pem", "other-key.pem");
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function post(session: ClientHttp2Session, body: unknown): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const request = session.request({
      ":method": "POST",
      ":path": "/publish",
      "content-type": "application/json",
    });
    let status = 0;
    request.on("response", (headers) => (status = Number(headers[":status"])));
    request.on("end", () => resolve(status)).on("error", reject);
    request.resume();
    request.end(JSON.stringify(body));
    return promise;
  }

  test.skipIf(CHROMIUM === null)("30 EventSources of one page are all open, and the page works", async () => {
    await using server = await ServerProcess.start(...flags);
    expect(server.url).toStartWith("https:");
    const browser = await launchChromium();
    try {
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      const tab = await Tab.open(context, server.url);
      await tab.sums("All 3 feeds open");
      await tab.post("over HTTP/2");
      await until(async () => (await tab.rows("board")).includes("over HTTP/2"));
      const page = await context.newPage();
      await page.goto(`${server.url}/healthz`);
      const counts = await page.evaluate<string[]>(IN_PAGE);
      expect(counts).toEqual(Array.from({ length: 30 }, (_, at) => `${at % 3}`));
      expect(tab.troubles).toEqual([]);
    } finally {
      await browser.close();
    }
  });

  test("streams of one connection that are not read do not hold up the others, and end at the deadline", async () => {
    await using server = await ServerProcess.start(...flags, "--write-deadline", "2s");
    const readers = connect(server.url, { rejectUnauthorized: false });
    const publisher = connect(server.url, { rejectUnauthorized: false });
    const stalled = 5;
    const ended: number[] = [];
    const seen: number[][] = [];
    for (let at = 0; at < 40; at++) {
      const request = readers.request({ ":path": "/events?topic=t" });
      request.on("error", () => {}).on("close", () => ended.push(at));
      if (at < stalled) {
        request.pause();
        continue;
      }
      const numbers: number[] = [];
      seen.push(numbers);
      const decoder = createDecoder({
        onEvent: ({ type, data }) => type === "message" && numbers.push(Number.parseInt(data, 10)),
      });
      request.on("data", (bytes: Uint8Array) => decoder.feed(bytes));
    }
    const stats = async (): Promise<{ streams: number; closes: Record<string, number> }> =>
      (await (await fetch(`${server.url}/stats`, { tls: { rejectUnauthorized: false } })).json()) as never;
    await until(async () => (await stats()).streams === 40);
    const numbers = Array.from({ length: 20_000 }, (_, at) => at);
    for (let at = 0; at < numbers.length; at += 200) {
      const batch = numbers
        .slice(at, at + 200)
        .map((number) => ({ topic: "t", data: `${number} ${"x".repeat(64)}` }));
      expect(await post(publisher, batch)).toBe(200);
    }
    await until(() => seen.every(({ length }) => length === numbers.length));
    for (const each of seen) expect(each).toEqual(numbers);
    await until(() => ended.length === stalled);
    expect(ended.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
    expect((await stats()).closes).toMatchObject({ slow: stalled });
    readers.destroy();
    publisher.destroy();
  });

  test("says what is wrong with the files", async () => {
    const refusal = async (...args: string[]): Promise<string> => {
      const { code, error } = await runServer(args);
      expect(code).toBe(2);
      return error;
    };
    const [cert, key, other] = ["cert.pem", "key.pem", "other-key.pem"].map((name) => join(folder, name));
    expect(await refusal("--tls-cert", cert!)).toContain("of use together");
    expect(await refusal("--http3")).toContain("--http3 needs");
    expect(await refusal("--tls-cert", cert!, "--tls-key", other!)).toContain("is not the key of");
    expect(await refusal("--tls-cert", key!, "--tls-key", key!)).toContain("is no certificate");
    expect(await refusal("--tls-cert", cert!, "--tls-key", cert!)).toContain("is no private key");
    expect(await refusal("--tls-cert", join(folder, "none"), "--tls-key", key!)).toContain("cannot be read");
  });
});
