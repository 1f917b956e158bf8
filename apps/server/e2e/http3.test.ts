import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { CHROMIUM, FLAGS } from "./browser.ts";
import { makeCertificate } from "./certificate.ts";
import { runServer, ServerProcess } from "./server-process.ts";
import { until } from "./sse-client.ts";

/* HTTP/3, with the client that most will have. */

const TLS = { tls: { rejectUnauthorized: false } };

/** Publishes one number after the other, each once the one before is here, until the stream has come back twice. */
const RESUMES = `(async () => {
  const source = new EventSource("/events?topic=numbers");
  const resumes = [];
  const numbers = [];
  let received = () => {};
  source.addEventListener("sse:ready", ({ data }) => resumes.push(JSON.parse(data).resume));
  source.onmessage = ({ data }) => { numbers.push(Number(data)); received(); };
  await new Promise((resolve) => source.addEventListener("sse:ready", resolve));
  for (let number = 0; resumes.length < 3; number++) {
    const here = new Promise((resolve) => { received = resolve; });
    const answer = await fetch("/publish?topic=numbers", { method: "POST", headers: { "content-type": "text/plain" }, body: String(number) });
    if (answer.status !== 200) throw new Error(await answer.text());
    await here;
  }
  source.close();
  const protocols = performance.getEntriesByType("resource").map(({ nextHopProtocol }) => nextHopProtocol);
  return { resumes, numbers, protocols };
})()`;

const openssl = Bun.which("openssl");
const absent = [openssl === null ? "openssl" : "", CHROMIUM === null ? "Chromium" : ""].filter(Boolean);

describe.skipIf(absent.length > 0)(`HTTP/3${absent.map((each) => ` (no ${each} found)`).join("")}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "sse-http3-"));
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const flags = ["--tls-cert", cert, "--tls-key", key, "--http3"];

  beforeAll(() => makeCertificate(cert, key));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** A page of the server, for which the browser knows no other protocol. */
  async function visit(server: ServerProcess): Promise<{ browser: Browser; page: Page }> {
    const spki = new X509Certificate(readFileSync(cert)).publicKey.export({ type: "spki", format: "der" });
    const hash = createHash("sha256").update(spki).digest("base64");
    const args = FLAGS.filter((flag) => flag !== "--disable-quic").concat(
      `--origin-to-force-quic-on=localhost:${server.port}`,
      `--ignore-certificate-errors-spki-list=${hash}`,
      "--host-resolver-rules=MAP localhost 127.0.0.1",
    );
    const browser = await chromium.launch({ executablePath: CHROMIUM!, args });
    const page = await browser.newPage();
    await page.goto(`${server.url}/healthz`);
    return { browser, page };
  }

  test("a stream has each event at once, and resumes", async () => {
    await using server = await ServerProcess.start(...flags, "--max-age", "1s", "--retry", "50ms");
    expect((await fetch(server.url, TLS)).headers.get("alt-svc")).toContain(`h3=":${server.port}"`);
    const { browser, page } = await visit(server);
    try {
      interface Outcome {
        resumes: string[];
        numbers: number[];
        protocols: string[];
      }
      const { resumes, numbers, protocols } = await page.evaluate<Outcome>(RESUMES);
      expect(resumes).toEqual(["fresh", "resumed", "resumed"]);
      expect(numbers).toEqual(numbers.map((_, at) => at));
      expect(new Set(protocols)).toEqual(new Set(["h3"]));
      const stats = (await (await fetch(`${server.url}/stats`, TLS)).json()) as object;
      expect(stats).toMatchObject({ gaps: { evicted: 0, epoch: 0, "unknown-id": 0, lag: 0 } });
    } finally {
      await browser.close();
    }
  });

  test("streams that are not read take no memory from a flood, and end at the deadline", async () => {
    const logBytes = 16 * 2 ** 20;
    const limits = ["--write-deadline", "4s", "--max-log-bytes", `${logBytes}B`];
    await using server = await ServerProcess.start(...flags, ...limits);
    // By address: a name may lead to ::1, where nobody answers, and UDP does not tell.
    const url = `https://127.0.0.1:${server.port}/events?topic=flood`;
    const stalled = await Promise.all(
      Array.from({ length: 50 }, () => fetch(url, { protocol: "http3", ...TLS })),
    );
    const before = await server.memory();
    let most = before;
    for (let number = 0; number < 400; number++) {
      const headers = { "content-type": "text/plain" };
      const publish = { method: "POST", headers, body: "x".repeat(64 * 1024), ...TLS };
      expect((await fetch(`${server.url}/publish?topic=flood`, publish)).status).toBe(200);
      most = Math.max(most, await server.memory());
    }
    // Without a bound it would be more than a gigabyte.
    expect((most - before - logBytes) / 2 ** 20).toBeLessThan(96);
    const stats = async (): Promise<{ streams: number; closes: Record<string, number> }> =>
      (await (await fetch(`${server.url}/stats`, TLS)).json()) as never;
    await until(async () => (await stats()).closes.slow === stalled.length);
    expect((await stats()).streams).toBe(0);
  });
});

test("HTTP/3 needs heartbeats that keep its connections", async () => {
  const flags = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--http3", "--port", "0"];
  for (const heartbeat of ["off", "30s"]) {
    const { code, error } = await runServer([...flags, "--heartbeat", heartbeat]);
    expect([code, error]).toEqual([2, expect.stringContaining("--http3 needs a --heartbeat")]);
  }
});
