import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mintToken } from "@sse/http";
import { PROTOCOLS, type BodySender } from "./body-sender.ts";
import { makeCertificate } from "./certificate.ts";
import { ServerProcess } from "./server-process.ts";
import { until } from "./sse-client.ts";

/* Bodies that do not end, or end too late, over both protocols. */

const MIB = 2 ** 20;
const openssl = Bun.which("openssl");
const JSON_TYPE = { "content-type": "application/json" };
const EVENT = '{"topic":"t","data":1}';

describe.skipIf(openssl === null)(openssl === null ? "bodies (no openssl found)" : "bodies", () => {
  const folder = mkdtempSync(join(tmpdir(), "sse-bodies-"));
  const tls = ["--tls-cert", join(folder, "cert.pem"), "--tls-key", join(folder, "key.pem")];
  beforeAll(() => makeCertificate(join(folder, "cert.pem"), join(folder, "key.pem")));
  afterAll(() => rmSync(folder, { recursive: true }));

  const get = (
    server: ServerProcess,
    path: string,
    headers: Record<string, string> = {},
  ): Promise<Response> => fetch(`${server.url}${path}`, { headers, tls: { rejectUnauthorized: false } });

  async function metric(server: ServerProcess, name: string): Promise<number> {
    const text = await (await get(server, "/metrics")).text();
    const line = text.split("\n").find((each) => each.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? 0);
  }
  const inFlight = (server: ServerProcess): Promise<number> => metric(server, "sse_bodies_bytes");

  const refusals = (server: ServerProcess, reason: string): Promise<number> =>
    metric(server, `sse_refused_total{reason="${reason}"}`);

  describe.each(Object.entries(PROTOCOLS))("over %s", (_, connect) => {
    test("that trickle are answered 408 after their time, on every route that reads them", async () => {
      await using server = await ServerProcess.start(...tls, "--body-timeout", "1s");
      using client = connect(server.port);
      const bodies: BodySender[] = [];
      for (const path of ["/publish", "/send-event", "/drain", "/stats/probe"]) {
        for (const length of [null, "10", "200"]) {
          const sender = client.post(path, {
            ...JSON_TYPE,
            ...(length !== null && { "content-length": length }),
          });
          sender.write("{");
          bodies.push(sender);
        }
      }
      const drip = setInterval(() => bodies.forEach((each, at) => at % 3 !== 1 && each.write(" ")), 100);
      for (const body of bodies) {
        const { status, headers, text } = await body.answer;
        expect([status, headers["content-type"]]).toEqual([408, "application/problem+json"]);
        expect(JSON.parse(text)).toMatchObject({ status: 408, title: "Request Timeout" });
        await body.closed;
      }
      clearInterval(drip);
      expect(await refusals(server, "body-timeout")).toBe(bodies.length);
      expect(await inFlight(server)).toBe(0);
      // A connection of HTTP/2 goes on.
      const next = client.post("/publish", JSON_TYPE);
      next.write(EVENT);
      next.end();
      expect((await next.answer).status).toBe(200);
    });

    test("are bounded in all, answered 503, and make room when they end", async () => {
      await using server = await ServerProcess.start(...tls, "--max-bodies-bytes", "8MiB");
      using client = connect(server.port);
      const bodies = Array.from({ length: 20 }, () => client.post("/publish", JSON_TYPE));
      const refused: number[] = [];
      for (const body of bodies) {
        body.write(" ".repeat(MIB));
        void body.answer.then(
          ({ status, headers }) => {
            expect(headers["retry-after"]).toMatch(/^[1-9]/);
            refused.push(status);
          },
          () => {},
        );
      }
      await until(async () => refused.length >= 12 && (await inFlight(server)) > 7 * MIB);
      expect(new Set(refused)).toEqual(new Set([503]));
      expect(await refusals(server, "bodies")).toBe(refused.length);
      for (const body of bodies) body.destroy();
      await until(async () => (await inFlight(server)) === 0);
      const next = client.post("/publish", JSON_TYPE);
      next.write(EVENT);
      next.end();
      expect((await next.answer).status).toBe(200);
    });

    test("do not let the memory grow, however many do not end", async () => {
      await using server = await ServerProcess.start(...tls);
      using client = connect(server.port);
      const COUNT = 200;
      const before = await server.memory();
      const chunk = Buffer.alloc(4 * MIB - 1000, 0x20);
      for (let at = 0; at < COUNT; at++) client.post("/publish", JSON_TYPE).write(chunk);
      let most = 0;
      // Those that there is no room for are refused, and the others when their time is over.
      await until(async () => {
        most = Math.max(most, await server.memory());
        expect(await inFlight(server)).toBeLessThanOrEqual(64 * MIB);
        return (await refusals(server, "bodies")) > COUNT / 2 && (await inFlight(server)) === 0;
      });
      // They had 800 MiB to send. What Bun holds of each, and garbage, is on top of the bound.
      expect((most - before) / MIB).toBeLessThan(512);
    });

    test("of a token that has expired meanwhile are refused, and nothing is published", async () => {
      const secret = "a secret of at least 32 bytes, for tests";
      await using server = await ServerProcess.startWith({ SSE_JWT_SECRET: secret }, ...tls);
      using client = connect(server.port);
      const grant = { subscribe: ["**"], publish: ["**"], admin: true };
      const authorization = async (ttl: number, now?: number): Promise<Record<string, string>> => ({
        authorization: `Bearer ${await mintToken({ secret, ttl, ...grant, ...(now !== undefined && { now }) })}`,
      });
      // It is good for two seconds more: clocks may be five apart.
      const ending = await authorization(1000, Date.now() - 4000);
      const routes = [
        ["/publish", EVENT],
        ["/publish", `[${EVENT}]`],
        ["/send-event", '{"message":"late"}'],
        ["/drain", "{}"],
        ["/stats/probe", '{"tab":"a","number":1}'],
      ] as const;
      const bodies = routes.map(([path, body]) => {
        const sender = client.post(path, { ...JSON_TYPE, ...ending });
        sender.write(body.slice(0, 2));
        return sender;
      });
      await until(async () => (await get(server, "/stats", ending)).status === 401);
      for (const [at, body] of bodies.entries()) {
        body.write(routes[at]![1].slice(2));
        body.end();
        const { status, headers } = await body.answer;
        expect([routes[at]![0], status]).toEqual([routes[at]![0], 401]);
        expect(headers["www-authenticate"]).toContain('error="invalid_token"');
      }
      const stats = (await (await get(server, "/stats", await authorization(60_000))).json()) as {
        published: number;
      };
      expect(stats.published).toBe(0);
    });
  });
});
