import { expect, test } from "bun:test";
import { generateKeyPairSync, sign } from "node:crypto";
import { ServerProcess } from "./server-process.ts";
import { until } from "./sse-client.ts";

/* The keys of a URL, as an operator sees them. When they are fetched: packages/elysia/src/auth/remote-keys.test.ts. */

const ADMIN = "the-token-of-the-admin";
const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

test("a key set that cannot be had is asked for seldom, and said of once for each time", async () => {
  const pair = generateKeyPairSync("ed25519");
  const key = { ...pair.publicKey.export({ format: "jwk" }), kid: "1" };
  let fetched = 0;
  let isUp = false;
  using issuer = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => {
      fetched++;
      return isUp ? Response.json({ keys: [key] }) : new Response("secret of the issuer", { status: 500 });
    },
  });
  await using server = await ServerProcess.startWith(
    { SSE_TOKENS: JSON.stringify([{ token: ADMIN, admin: true }]) },
    "--jwt-jwks",
    `http://127.0.0.1:${issuer.port}/keys?of=us`,
  );
  const token = (jti: number): string => {
    const text = `${encoded({ alg: "EdDSA", kid: "1" })}.${encoded({ jti, sse: { publish: ["**"] } })}`;
    return `${text}.${sign(null, Buffer.from(text), pair.privateKey).toString("base64url")}`;
  };
  const publish = async (jti: number): Promise<number> => {
    const response = await fetch(`${server.url}/publish?topic=t`, {
      method: "POST",
      headers: { authorization: `Bearer ${token(jti)}`, "content-type": "text/plain" },
      body: "x",
    });
    await response.arrayBuffer();
    return response.status;
  };
  const started = performance.now();
  const statuses = await Promise.all(Array.from({ length: 300 }, (_, at) => publish(at)));
  expect([...new Set(statuses)]).toEqual([503]);
  // A pause of five seconds after the first, of ten after the second.
  expect(fetched).toBeLessThanOrEqual(1 + Math.floor((performance.now() - started) / 5000));
  const told = (): string[] => server.lines.filter((line) => line.includes("the key set cannot be had"));
  await until(() => told().length === fetched);
  expect(told().join()).not.toContain("secret");
  isUp = true;
  await until(async () => (await publish(-1)) === 200);
  expect(told().length).toBe(fetched - 1);
  const metrics = await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${ADMIN}` } });
  const text = await metrics.text();
  expect(text).toContain(`sse_key_set_fetches_total{result="failed"} ${fetched - 1}`);
  expect(text).toContain('sse_key_set_fetches_total{result="ok"} 1');
  expect(text).toMatch(/^sse_key_set_timestamp_seconds 1[0-9]{9}/m);
});
