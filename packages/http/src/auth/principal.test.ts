import { expect, test } from "bun:test";
import { createHmac, createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import { Refusal } from "../answers/problem.ts";
import { type Access, accessOf } from "./access.ts";
import { createAuthorize } from "./credentials.ts";
import { createJwtVerifier } from "./jwt.ts";
import { readKey, secretKey } from "./jwt-key.ts";
import { readTokens } from "./static-tokens.ts";
import { heapSize } from "../../test/heap-size.ts";
import { Tickets } from "./tickets.ts";

/* Whose a request is: one token is one principal, however it is written, and what is kept for principals is bounded. */

const SECRET = "0123456789abcdef0123456789abcdef";
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const encoded = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

function jwt(claims: unknown, header: unknown = { alg: "HS256" }): string {
  const text = `${encoded(header)}.${encoded(claims)}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}

async function refused(attempt: () => unknown): Promise<string | null> {
  try {
    await attempt();
    return null;
  } catch (error) {
    if (error instanceof Refusal) return `${error.status} ${error.message}`;
    throw error;
  }
}

/** Texts that a lenient decoder reads as the same token. */
function spellings(token: string): string[] {
  const parts = token.split(".") as [string, string, string];
  const found = new Set<string>();
  const add = (at: number, part: string): unknown => found.add(parts.with(at, part).join("."));
  for (const [at, part] of parts.entries()) {
    // The bits that are left over in the last character.
    const spare = part.length % 4 === 2 ? 16 : part.length % 4 === 3 ? 4 : 1;
    const last = ALPHABET.indexOf(part.at(-1)!);
    for (let bits = 0; bits < spare; bits++) add(at, part.slice(0, -1) + ALPHABET[last + bits]);
    for (const end of ["=", "==", "===", ".", "A", "\n", " "]) add(at, part + end);
    if (/[-_]/.test(part)) add(at, part.replaceAll("-", "+").replaceAll("_", "/"));
    for (const strange of ["=", " ", "\n", "\r", "\t", "\f", "%", "!", "\0", "é"]) {
      for (const place of [0, 1, 4, 8, part.length - 1]) {
        add(at, part.slice(0, place) + strange + part.slice(place));
      }
    }
    add(at, encodeURIComponent(`${part}=`));
  }
  found.delete(token);
  return [...found];
}

// Of three lengths, so that each part ends in each way.
test.each([{ a: 1 }, { a: 12 }, { a: 123 }])("one spelling of a token with %j is good", async (more) => {
  const verify = createJwtVerifier({ key: secretKey(SECRET) });
  const token = jwt({ sse: { publish: ["**"] }, ...more }, { alg: "HS256", ...more });
  const others = spellings(token);
  expect(others.length).toBeGreaterThan(150);
  for (const other of others) expect(await refused(() => verify(other))).toStartWith("401 ");
  const { principal } = await verify(token);
  for (const other of others) expect(await refused(() => verify(other))).toStartWith("401 ");
  expect((await verify(token)).principal).toBe(principal);
});

test("a request has one way to write each token, however it brings it", async () => {
  const text = "a-token-of-enough-letters";
  const authorize = createAuthorize({
    jwt: createJwtVerifier({ key: secretKey(SECRET) }),
    tokens: readTokens(JSON.stringify([{ token: text, publish: ["**"] }])),
    cookie: "sse",
  });
  const principals = new Map<string, Set<string | null>>();
  let good = 0;
  for (const token of [text, jwt({ sse: {} })]) {
    const seen = new Set<string | null>();
    principals.set(token, seen);
    const ways: Record<string, string>[] = [];
    for (const each of [token, ...spellings(`${token}.x.y`), `"${token}"`, ` ${token} `, `${token};`]) {
      if (!/^[\x20-\x7e]+$/.test(each)) continue;
      for (const scheme of ["Bearer ", "bearer ", "BEARER  ", "Bearer\t"]) {
        ways.push({ authorization: scheme + each });
      }
      ways.push({ cookie: `sse=${each}`, "sec-fetch-site": "same-origin" });
    }
    for (const headers of ways) {
      let access: Access;
      try {
        access = await authorize(new Request("http://hub.example/", { headers }));
      } catch (error) {
        expect([400, 401]).toContain((error as Refusal).status);
        continue;
      }
      if (access.isAnonymous) continue;
      good++;
      seen.add(access.principal);
    }
  }
  expect([...principals.values()].map(({ size }) => size)).toEqual([1, 1]);
  expect(good).toBeGreaterThan(7);
});

test("without a subject the principal is what was signed, however often, and what nobody else can be", async () => {
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const verify = createJwtVerifier({
    key: await readKey(ec.publicKey.export({ format: "pem", type: "spki" })),
  });
  const key = createPrivateKey(ec.privateKey.export({ format: "pem", type: "pkcs8" }));
  const text = (claims: unknown): string => `${encoded({ alg: "ES256" })}.${encoded(claims)}`;
  const signed = (content: string): Buffer =>
    sign("sha256", Buffer.from(content), { key, dsaEncoding: "ieee-p1363" });
  const order = BigInt("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
  /** Who knows a signature (r, s) knows (r, n - s) too. */
  const other = (signature: Buffer): Buffer => {
    const s = order - BigInt(`0x${signature.toString("hex", 32)}`);
    return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex")]);
  };
  const content = text({ sse: {} });
  const one = signed(content);
  const tokens = [one, other(one), signed(content), other(signed(content))].map(
    (signature) => `${content}.${signature.toString("base64url")}`,
  );
  expect(new Set(tokens).size).toBeGreaterThanOrEqual(2); // 4 where signing draws a number
  const principals = new Set<string | null>();
  for (const token of tokens) principals.add((await verify(token)).principal);
  expect(principals.size).toBe(1);

  const [principal] = principals as Set<string>;
  for (const claims of [
    { sse: {}, jti: "1" },
    { sse: {}, sub: principal },
    { sse: {}, sub: "" },
  ]) {
    const another = text(claims);
    principals.add((await verify(`${another}.${signed(another).toString("base64url")}`)).principal);
  }
  expect(principals.size).toBe(4);
});

test("a subject is the principal of all its tokens, and is short", async () => {
  const verify = createJwtVerifier({ key: secretKey(SECRET) });
  const of = async (claims: object): Promise<string> => (await verify(jwt(claims))).principal!;
  expect(await of({ sub: "me", jti: 1 })).toBe(await of({ sub: "me", jti: 2 }));
  const long = "x".repeat(10_000);
  expect(await of({ sub: long, jti: 1 })).toBe(await of({ sub: long, jti: 2 }));
  const all = new Set<string>();
  for (const sub of [long, `${long}y`, "x".repeat(128), "x".repeat(129), "é", "e\u0301", "me", "ME"]) {
    const principal = await of({ sub });
    expect(principal.length).toBeLessThan(160);
    all.add(principal);
  }
  expect(all.size).toBe(8);
  for (const sub of [7, null, ["me"], { toString: "me" }, true]) {
    expect(await refused(() => verify(jwt({ sub })))).toBe("401 the token's sub must be a text");
  }
});

test("members that come twice are read as one way by all, the last, and are of one principal", async () => {
  const verify = createJwtVerifier({ key: secretKey(SECRET) });
  const twice = '{"sub":"them","sub":"me","sse":{"publish":["**"]},"sse":{}}';
  const access = await verify(jwt(twice, '{"alg":"none","alg":"HS256"}'));
  expect(access).toMatchObject({ principal: "subject me", publish: null });
  expect(await refused(() => verify(jwt(twice, '{"alg":"HS256","alg":"none"}')))).toStartWith("401 ");
});

test.each([
  [undefined, null],
  ["JWT", null],
  ["jwt", null],
  ["at+jwt", null],
  ["AT+JWT", null],
  ["application/at+jwt", null],
  ["application/JWT", null],
  ["dpop+jwt", "401 the token's typ"],
  ["logout+jwt", "401 the token's typ"],
  ["secevent+jwt", "401 the token's typ"],
  ["application/application/jwt", "401 the token's typ"],
  ["text/jwt", "401 the token's typ"],
  ["JWT ", "401 the token's typ"],
  ["", "401 the token's typ"],
  ["JWS", "401 the token's typ"],
  [null, "401 the token's typ"],
  [["JWT"], "401 the token's typ"],
  [1, "401 the token's typ"],
])("a token of the type %j is answered %p", async (typ, expected) => {
  const verify = createJwtVerifier({ key: secretKey(SECRET) });
  const message = await refused(() => verify(jwt({ sse: {} }, { alg: "HS256", typ })));
  expect(message?.slice(0, 19) ?? null).toBe(expected);
});

test("300 spellings of one token are counted as one", async () => {
  const verify = createJwtVerifier({ key: secretKey(SECRET) });
  const tickets = new Tickets({ maxTicketsPerPrincipal: 5 });
  const token = jwt({ sse: { subscribe: ["**"], publish: ["**"] } });
  const principals = new Set<string | null>();
  let issued = 0;
  const texts = [token, ...spellings(token)];
  expect(texts.length).toBeGreaterThan(150);
  for (const text of [...texts, ...texts, ...Array<string>(10).fill(token)]) {
    let access: Access;
    try {
      access = await verify(text);
    } catch {
      continue;
    }
    principals.add(access.principal);
    if ((await refused(() => tickets.issue(access))) === null) issued++;
  }
  expect([principals.size, issued]).toEqual([1, 5]);
});

/** The largest that fit into the header of a request. */
const largest = (at: number): string[] =>
  Array.from({ length: 256 }, (_, each) => `${at}/${each}/`.padEnd(36, "x"));

const MIB = 1024 * 1024;

test("10,000 tokens with the largest grants take no more memory than is said", async () => {
  const verify = createJwtVerifier({ key: secretKey(SECRET) });
  const before = await heapSize();
  for (let at = 0; at < 10_000; at++) {
    const token = jwt({ sub: String(at), sse: { subscribe: largest(at) } });
    await verify(token);
  }
  const grown = ((await heapSize()) - before) / MIB;
  expect(grown).toBeLessThan(40); // 405 without a bound
  expect(await verify(jwt({ sub: "still", sse: { subscribe: ["a"] } }))).toMatchObject({ admin: false });
}, 120_000);

test("tickets with the largest grants take no more memory than is said, and no one's take all", async () => {
  let now = 0;
  const tickets = new Tickets({ now: () => now });
  const before = await heapSize();
  const issue = (principal: string, at: number): boolean => {
    try {
      tickets.issue(accessOf({ subscribe: largest(at) }, { principal }));
      return true;
    } catch (error) {
      expect((error as Refusal).status).toBe(429);
      return false;
    }
  };
  let count = 0;
  while (issue("me", count)) count++;
  expect(count).toBeGreaterThan(100);
  expect(issue("you", count)).toBe(true);
  for (let at = 0; at < 2000; at++) if (issue(`${at}`, at)) count++;
  const grown = ((await heapSize()) - before) / MIB;
  expect(grown).toBeLessThan(72);
  now = 30_000;
  expect(issue("me", 0)).toBe(true);
});

test("as many tickets as there can be fit, when they allow little", () => {
  const tickets = new Tickets();
  for (let at = 0; at < 50_000; at++) {
    tickets.issue(accessOf({ subscribe: [`users/${at}`] }, { principal: `subject ${at}` }));
  }
  expect(() => tickets.issue(accessOf({ subscribe: ["a"] }))).toThrow("50000 tickets wait");
  const few = new Tickets({ maxTickets: 2 });
  few.issue(accessOf({ subscribe: largest(1) }));
  few.issue(accessOf({ subscribe: largest(2) }));
});
