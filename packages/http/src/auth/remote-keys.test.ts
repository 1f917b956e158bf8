import { afterEach, beforeEach, expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { SignJWT } from "jose";
import { serve, type Served } from "../../test/serve.ts";
import { Refusal } from "../answers/problem.ts";
import { createJwtVerifier, type Verify } from "./jwt.ts";
import { type RemoteKeyOptions, remoteKeys } from "./remote-keys.ts";

const [first, second] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
const jwk = ({ publicKey }: { publicKey: KeyObject }, kid: string): object => ({
  ...publicKey.export({ format: "jwk" }),
  kid,
});
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
const AWAY = "503 the keys that tokens are checked with cannot be had";
const UNKNOWN = "401 the token does not name one of the keys that are known here";

/** How the server with the keys answers. */
let answer: () => Response | Promise<Response>;
let fetched: number;
let failures: string[];
let now: number;
let made = 0;
let server: Served;

const failing = (): Response => new Response("", { status: 500 });
const serving =
  (...keys: object[]) =>
  (): Response =>
    Response.json({ keys });

beforeEach(async () => {
  [fetched, failures, now] = [0, [], 0];
  answer = serving(jwk(first, "1"));
  server = await serve(() => {
    fetched++;
    return answer();
  });
});
afterEach(() => server.stop());

function verifier(options: RemoteKeyOptions = {}): Verify {
  const key = remoteKeys(`${server.url}/jwks`, {
    onFetch: (failure) => failures.push(failure?.message ?? "none"),
    now: () => now,
    ...options,
  });
  return createJwtVerifier({ key });
}

/** A token that is remembered by nobody. */
function token(kid = "1", { privateKey } = first): Promise<string> {
  return new SignJWT({ jti: String(made++) }).setProtectedHeader({ alg: "EdDSA", kid }).sign(privateKey);
}

async function ask(verify: Verify, text: Promise<string> = token()): Promise<string> {
  try {
    await verify(await text);
    return "ok";
  } catch (error) {
    if (error instanceof Refusal) return `${error.status} ${error.message}`;
    throw error;
  }
}

async function askOften(verify: Verify, count: number, text = token): Promise<string[]> {
  return [...new Set(await Promise.all(Array.from({ length: count }, () => ask(verify, text()))))];
}

test("are fetched once for many requests that come at once, and again when they are old", async () => {
  const verify = verifier();
  expect(await askOften(verify, 300)).toEqual(["ok"]);
  expect(fetched).toBe(1);
  now += 10 * MINUTE - 1;
  expect(await askOften(verify, 10)).toEqual(["ok"]);
  expect(fetched).toBe(1);
  now += 1;
  expect(await askOften(verify, 10)).toEqual(["ok"]);
  expect(fetched).toBe(2);
});

test("that cannot be had are asked for once, and ever more seldom, up to once in a minute", async () => {
  answer = failing;
  const verify = verifier();
  for (const [at, wait] of [5, 10, 20, 40, 60, 60, 60].entries()) {
    expect(await askOften(verify, 300)).toEqual([AWAY]);
    expect(fetched).toBe(at + 1);
    now += wait * SECOND - 1;
    for (let count = 0; count < 30; count++) expect(await ask(verify)).toBe(AWAY);
    expect(fetched).toBe(at + 1);
    now += 1;
  }
  answer = serving(jwk(first, "1"));
  expect(await ask(verify)).toBe("ok");
  expect(failures.slice(-2)).toEqual(["Expected 200 OK from the JSON Web Key Set HTTP response", "none"]);
});

test("that a token names and that are not there are asked for once in half a minute", async () => {
  const verify = verifier();
  expect(await ask(verify)).toBe("ok");
  for (let round = 0; round < 3; round++) {
    now += 30 * SECOND;
    const strange = await askOften(verify, 100, () => token(`made up ${made}`));
    expect(strange).toEqual([UNKNOWN]);
    expect(fetched).toBe(round + 2);
  }
  answer = serving(jwk(second, "2"));
  now += 30 * SECOND;
  expect(await ask(verify, token("2", second))).toBe("ok");
  expect(await ask(verify)).toBe(UNKNOWN); // the first was withdrawn
});

test("that are there are used for a day while newer ones cannot be had", async () => {
  const verify = verifier();
  expect(await ask(verify)).toBe("ok");
  answer = failing;
  for (let at = 10 * MINUTE; at < DAY; at += 30 * MINUTE) {
    now = at;
    expect(await ask(verify)).toBe("ok");
  }
  // It may be by a key that is new: that is for the client to try again, and not to throw its token away.
  expect(await ask(verify, token("2", second))).toBe(AWAY);
  now = DAY;
  expect(await ask(verify)).toBe(AWAY);
  answer = serving(jwk(second, "2"));
  now += MINUTE;
  expect(await ask(verify, token("2", second))).toBe("ok");
});

test.each<[string, () => Response | Promise<Response>]>([
  ["of another status", () => new Response('{"keys":[]}', { status: 203 })],
  ["that is no JSON", () => new Response("<html>")],
  ["that is no set", () => Response.json({ keys: 1 })],
  ["that is somewhere else", () => Response.redirect(`http://127.0.0.1:${server.port}/other`, 302)],
  ["that is too large", () => new Response(`{"keys":[],"x":"${"x".repeat(600_000)}"}`)],
  [
    "that never ends",
    () =>
      new Response(
        new ReadableStream<Uint8Array>({
          async pull(controller) {
            await sleep(5);
            controller.enqueue(Buffer.from(" "));
          },
        }),
      ),
  ],
  ["that does not come", () => new Promise<Response>(() => {})],
])("an answer %s leaves those that are there", async (_, other) => {
  const verify = verifier({ timeout: 500 });
  const good = answer;
  answer = other;
  expect(await ask(verify)).toBe(AWAY);
  now += 5 * SECOND;
  answer = good;
  expect(await ask(verify)).toBe("ok");
  answer = other;
  now += 10 * MINUTE;
  expect(await ask(verify)).toBe("ok");
  expect([fetched, failures.length]).toEqual([3, 3]);
});

test.each(["http://keys.example/jwks", "ftp://127.0.0.1/", "keys", "http://127.0.0.1.example/"])(
  "are not taken from %s",
  (url) => {
    expect(() => remoteKeys(url)).toThrow("must be an https URL");
  },
);
