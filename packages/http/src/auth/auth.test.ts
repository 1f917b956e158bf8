import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { parseTopic } from "@sse/hub";
import { type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { Refusal } from "../answers/problem.ts";
import { accessOf, requirePublish, requireSubscribe } from "./access.ts";
import { createAuthorize } from "./credentials.ts";
import { createJwtVerifier, type JwtOptions } from "./jwt.ts";
import { readKey, secretKey } from "./jwt-key.ts";
import { localOnly } from "./local-only.ts";
import { mintToken } from "./mint.ts";
import { findToken, readTokens } from "./static-tokens.ts";
import { Tickets } from "./tickets.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const NOW = 1_800_000_000;
const TOKEN = "a-token-of-enough-letters";

/** Pairs of each kind that is known, made once: RSA takes its time. */
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ed = generateKeyPairSync("ed25519");
const pem = ({ publicKey }: { publicKey: KeyObject }): string =>
  publicKey.export({ format: "pem", type: "spki" });
const jwk = ({ publicKey }: { publicKey: KeyObject }, more = {}): Record<string, unknown> => ({
  ...(publicKey.export({ format: "jwk" }) as object),
  ...more,
});

async function sign(
  alg: string,
  key: KeyObject | string,
  claims: JWTPayload = {},
  kid?: string,
): Promise<string> {
  const header = kid === undefined ? { alg } : { alg, kid };
  const payload = { exp: NOW + 60, sse: { subscribe: ["a/*"] }, ...claims };
  return await new SignJWT(payload)
    .setProtectedHeader(header)
    .sign(typeof key === "string" ? new TextEncoder().encode(key) : key);
}

function verifier(options: Partial<JwtOptions> = {}) {
  let time = NOW * 1000;
  const verify = createJwtVerifier({ key: secretKey(SECRET), now: () => time, ...options });
  return { verify, pass: (milliseconds: number) => (time += milliseconds) };
}

/** The status and the words of what is thrown, or null. */
async function refused(attempt: () => unknown): Promise<string | null> {
  try {
    await attempt();
    return null;
  } catch (error) {
    return error instanceof Refusal ? `${error.status} ${error.message}` : String(error);
  }
}

describe("a JWT", () => {
  test("says what may be read and published, and until when", async () => {
    const { verify } = verifier();
    const claims = { sse: { subscribe: ["a/*"], publish: ["b"], admin: true } };
    const access = await verify(await sign("HS256", SECRET, claims));
    expect(access.subscribe!.matches(parseTopic("a/1"))).toBe(true);
    expect(access.publish!.matches(parseTopic("a/1"))).toBe(false);
    expect(access).toMatchObject({ admin: true, expires: (NOW + 65) * 1000, isAnonymous: false });
  });

  test.each([
    ["expired", { exp: NOW - 6 }, "401 the token has expired"],
    ["expired within the tolerance", { exp: NOW - 4 }, null],
    ["without an end", { exp: undefined }, null],
    ["of the future", { nbf: NOW + 6 }, "401 the token is not valid yet"],
    ["of a future within the tolerance", { nbf: NOW + 4 }, null],
    ["with an end that is no number", { exp: "never" as never }, "401 the token's exp"],
    ["without the claim", { sse: undefined }, null],
    ["with a claim that is no object", { sse: "all" }, "401 the token's claim sse must be a JSON object"],
    ["with a selector for a list", { sse: { subscribe: "**" } }, "401 the token's claim sse: subscribe must"],
    [
      "with a misspelt field",
      { sse: { subscribes: ["**"] } },
      "401 the token's claim sse has an unknown field",
    ],
    ["with a selector that is none", { sse: { subscribe: ["a*"] } }, '401 topic "a*" is no pattern'],
    [
      "with too many",
      { sse: { publish: Array.from({ length: 257 }, () => "a") } },
      "401 the token's claim sse: publish has 257",
    ],
    ["that is half an admin", { sse: { admin: 1 } }, "401 the token's claim sse: admin must be"],
  ])("%s", async (_, claims, expected) => {
    const { verify } = verifier();
    const token = await sign("HS256", SECRET, claims as JWTPayload);
    const message = await refused(() => verify(token));
    expect(expected === null ? message : message?.slice(0, expected.length)).toBe(expected);
  });

  test.each([
    ["issuer", { iss: "us" }, null],
    ["issuer", { iss: "them" }, "401 the token's iss"],
    ["issuer", {}, "401 the token's iss"],
    ["audience", { aud: ["x", "us"] }, null],
    ["audience", { aud: "them" }, "401 the token's aud"],
    ["audience", {}, "401 the token's aud"],
  ])("with an %s of the configuration and %j", async (option, claims, expected) => {
    const { verify } = verifier({ [option]: "us" });
    const token = await sign("HS256", SECRET, claims);
    const message = await refused(() => verify(token));
    expect(expected === null ? message : message?.slice(0, expected.length)).toBe(expected);
  });

  test("that is forged, unsigned, or no JWT at all is refused, and its text is in no message", async () => {
    const { verify } = verifier();
    const good = await sign("HS256", SECRET);
    const [header, payload, signature] = good.split(".") as [string, string, string];
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(atob(payload)), sse: { subscribe: ["**"] } }),
    ).toString("base64url");
    const tokens = [
      await sign("HS256", `${SECRET}x`),
      `${header}.${forged}.${signature}`,
      `${header}.${payload}.`,
      new UnsecuredJWT({ sse: { subscribe: ["**"] } }).encode(),
      `${btoa('{"alg":"NONE"}')}.${payload}.`,
      await sign("HS512", `${SECRET}${SECRET}`),
      "a.b.c",
      "x".repeat(50),
      "..",
    ];
    for (const token of tokens) {
      const message = await refused(() => verify(token));
      expect(message).toStartWith("401 ");
      expect(message).not.toContain(token);
    }
    expect(await refused(() => verify(good))).toBeNull();
  });

  test("that was good is known for a minute without its signature being checked, but not beyond its end", async () => {
    let checks = 0;
    const key = secretKey(SECRET);
    const find: typeof key.find = (...given) => {
      checks++;
      return key.find(...given);
    };
    const { verify, pass } = verifier({ key: { ...key, find } });
    const token = await sign("HS256", SECRET, { exp: NOW + 90 });
    const access = await verify(token);
    pass(59_000);
    expect(verify(token)).toBe(access);
    expect(checks).toBe(1);
    pass(2000);
    await verify(token);
    expect(checks).toBe(2);
    pass(35_000);
    expect(await refused(() => verify(token))).toBe("401 the token has expired");
  });
});

describe("a key", () => {
  test.each([
    ["RSA in PEM", "RS256", rsa, pem(rsa)],
    ["P-256 in PEM", "ES256", ec, pem(ec)],
    ["Ed25519 in PEM", "EdDSA", ed, pem(ed)],
    ["RSA as a JWK", "RS256", rsa, JSON.stringify(jwk(rsa, { alg: "RS256" }))],
    ["Ed25519 as a JWK, by its new name", "Ed25519", ed, JSON.stringify(jwk(ed))],
  ])("%s is for %s, and for nothing else", async (_, alg, pair, text) => {
    const { verify } = verifier({ key: await readKey(text) });
    expect(await refused(async () => verify(await sign(alg, pair.privateKey)))).toBeNull();
    // The public key is known to all: as the secret of an HMAC it would let everybody make tokens.
    for (const secret of [text, text.trim()]) {
      expect(await refused(async () => verify(await sign("HS256", secret)))).toBe(
        "401 the token is signed with an algorithm that the server's key is not for",
      );
    }
    const other = alg === "RS256" ? ec : rsa;
    const token = await sign(alg === "RS256" ? "ES256" : "RS256", other.privateKey);
    expect(await refused(() => verify(token))).toContain("401 the token is signed with an algorithm");
  });

  test("a secret as a JWK is for HS256", async () => {
    const k = Buffer.from(SECRET).toString("base64url");
    const { verify } = verifier({ key: await readKey(JSON.stringify({ kty: "oct", k })) });
    expect(await refused(async () => verify(await sign("HS256", SECRET)))).toBeNull();
  });

  test("is chosen from a set by what the token names", async () => {
    const keys = [jwk(rsa, { kid: "1" }), jwk(ec, { kid: "2" })];
    const { verify } = verifier({ key: await readKey(JSON.stringify({ keys })) });
    expect(await refused(async () => verify(await sign("RS256", rsa.privateKey, {}, "1")))).toBeNull();
    expect(await refused(async () => verify(await sign("ES256", ec.privateKey, {}, "2")))).toBeNull();
    for (const kid of ["1", "3"]) {
      expect(await refused(async () => verify(await sign("ES256", ec.privateKey, {}, kid)))).toContain(
        "401 the token does not name",
      );
    }
    expect(await refused(async () => verify(await sign("HS256", pem(rsa), {}, "1")))).toContain("401 ");
  });

  test.each([
    ["", "is not one public key"],
    ["hello", "is not one public key"],
    ["{", "is neither PEM nor JSON"],
    ['{"keys":[]}', "a JWK set without keys"],
    ['{"keys":[null]}', "no JWK"],
    ['{"keys":[{"kty":"oct","k":"x"}]}', "holds a secret in a JWK set"],
    ['{"kty":"oct","k":"eHg"}', "is 2 bytes long; HS256 needs 32"],
    ['{"kty":"EC","crv":"P-521"}', "is a key of the kind EC P-521"],
    ['{"kty":"EC","crv":"P-256"}', "is a JWK that cannot be read"],
    [JSON.stringify(jwk(rsa, { alg: "PS256" })), "is for PS256"],
    [JSON.stringify(rsa.privateKey.export({ format: "jwk" })), "holds a private key"],
    [rsa.privateKey.export({ format: "pem", type: "pkcs8" }), "holds a private key"],
    [pem(generateKeyPairSync("rsa", { modulusLength: 1024 })), "is an RSA key of 1024 bits"],
    [pem(rsa) + pem(ec), "is not one public key"],
  ])("number %# of those that are of no use is refused", async (text, message) => {
    expect(await refused(() => readKey(text))).toContain(message);
  });

  test("a secret that can be guessed is refused", () => {
    expect(() => secretKey("secret")).toThrow("is 6 bytes long; HS256 needs 32");
  });
});

describe("static tokens", () => {
  const hash = createHash("sha256").update("another-token-of-letters").digest("hex");
  const list = JSON.stringify([
    { token: TOKEN, subscribe: ["a"] },
    { sha256: hash, publish: ["b"], admin: true },
  ]);

  test("are found by themselves, or by their hash", () => {
    const tokens = readTokens(list);
    expect(findToken(tokens, TOKEN)!.subscribe!.key).toBe("a");
    expect(findToken(tokens, "another-token-of-letters")).toMatchObject({ admin: true, subscribe: null });
    for (const other of ["", `${TOKEN}x`, TOKEN.slice(1), hash]) expect(findToken(tokens, other)).toBeNull();
  });

  test.each([
    ["x", "is not JSON"],
    ["{}", "must be a JSON list"],
    ["[1]", "token 0 must be a JSON object"],
    ["[{}]", 'token 0 needs either "token" or "sha256"'],
    [`[{"token":"${TOKEN}","sha256":"${hash}"}]`, 'token 0 needs either "token" or "sha256"'],
    ['[{"token":"short"}]', "token 0 must have at least 16 characters"],
    ['[{"token":"with a space inside it"}]', "token 0 must have at least 16 characters"],
    ['[{"sha256":"abc"}]', "64 hexadecimal digits"],
    [`[{"token":"${TOKEN}","subscribe":"a"}]`, "token 0: subscribe must be a list"],
    [`[{"token":"${TOKEN}","subscribe":["a*"]}]`, "token 0 has a selector that cannot be one"],
    [`[{"token":"${TOKEN}","__proto__":{"admin":true}}]`, "unknown field; known are subscribe"],
    [`[{"token":"${TOKEN}"},{"token":"${TOKEN}"}]`, "has a token twice"],
  ])("%s is refused, without the token in the message", (text, message) => {
    expect(() => readTokens(text)).toThrow(message);
    try {
      readTokens(text);
    } catch (error) {
      expect(String(error)).not.toContain(TOKEN);
    }
  });
});

describe("a ticket", () => {
  const holder = accessOf({ subscribe: ["a/*"], publish: ["**"], admin: true });

  test("is good once, for reading only", async () => {
    const tickets = new Tickets();
    const { ticket } = tickets.issue(holder);
    expect(ticket).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const access = tickets.redeem(ticket);
    expect(access).toMatchObject({ publish: null, admin: false, isAnonymous: false });
    expect(access.subscribe).toBe(holder.subscribe);
    expect(await refused(() => tickets.redeem(ticket))).toContain(
      "401 the ticket is unknown, used or expired",
    );
    expect(await refused(() => new Tickets().redeem(tickets.issue(holder).ticket))).toContain("401 ");
  });

  test("is good until its time or its token's is over", async () => {
    let now = 1000;
    const tickets = new Tickets({ ttl: 500, now: () => now });
    const [one, two] = [tickets.issue(holder), tickets.issue({ ...holder, expires: 1200 })];
    expect([one.expires, two.expires]).toEqual([1500, 1200]);
    now = 1200;
    expect(await refused(() => tickets.redeem(two.ticket))).toContain("401 ");
    now = 1500;
    expect(await refused(() => tickets.redeem(one.ticket))).toContain("401 ");
  });

  test("waits among a bounded number of others", async () => {
    let now = 0;
    const tickets = new Tickets({ ttl: 500, maxTickets: 2, now: () => now });
    tickets.issue(holder);
    tickets.issue(holder);
    expect(await refused(() => tickets.issue(holder))).toContain("429 2 tickets wait");
    now = 500;
    expect(await refused(() => tickets.issue(holder))).toBeNull();
  });

  test("waits among a bounded number of the same principal's, until it was used or has expired", () => {
    let now = 0;
    const tickets = new Tickets({ ttl: 500, maxTicketsPerPrincipal: 2, now: () => now });
    const me = accessOf({ subscribe: ["a"] }, { principal: "me" });
    const { ticket } = tickets.issue(me);
    now = 100;
    tickets.issue(me);
    expect(() => tickets.issue(me)).toThrow("2 tickets wait");
    for (let at = 0; at < 3; at++) tickets.issue(accessOf({ subscribe: ["a"] }));
    tickets.issue(accessOf({ subscribe: ["a"] }, { principal: "you" }));
    expect(tickets.redeem(ticket).principal).toBe("me");
    expect(() => tickets.redeem(ticket)).toThrow("unknown, used or expired");
    tickets.issue(me);
    expect(() => tickets.issue(me)).toThrow("2 tickets wait");
    now = 600;
    tickets.issue(me);
    tickets.issue(me);
    expect(() => tickets.issue(me)).toThrow("2 tickets wait");
  });

  test("is not for those who have no token", async () => {
    const anonymous = accessOf({ subscribe: ["a"] }, { isAnonymous: true });
    expect(await refused(() => new Tickets().issue(anonymous))).toContain("401 a token is needed");
  });
});

describe("the credentials of a request", () => {
  const tickets = new Tickets();
  const authorize = createAuthorize({
    tokens: readTokens(JSON.stringify([{ token: TOKEN, subscribe: ["a/*"] }])),
    tickets,
    cookie: "sse",
    origins: ["https://app.example"],
    anonymousSubscribe: ["public/**"],
  });
  const ask = (headers: Record<string, string> = {}, query = ""): Promise<string | null> =>
    refused(async () => {
      const access = await authorize(
        new Request(`http://hub.example/events${query}`, { headers: { host: "hub.example", ...headers } }),
      );
      requireSubscribe(access, ["a/1"]);
    });

  test.each([
    ["the header", { authorization: `Bearer ${TOKEN}` }, null],
    ["the scheme in other letters", { authorization: `bearer  ${TOKEN}` }, null],
    ["nothing", {}, "401 a token is needed"],
    ["another token", { authorization: `Bearer ${TOKEN}x` }, "401 the token is not known here"],
    [
      "another scheme",
      { authorization: `Basic ${TOKEN}` },
      "401 the header Authorization is of another scheme",
    ],
    ["no token", { authorization: "Bearer" }, "400 the header Authorization is not Bearer and one token"],
    [
      "two tokens",
      { authorization: `Bearer ${TOKEN}, Bearer ${TOKEN}` },
      "400 the header Authorization is not",
    ],
    ["the cookie of its own page", { cookie: `x=1; sse=${TOKEN}`, "sec-fetch-site": "same-origin" }, null],
    ["the cookie, posted by its own page", { cookie: `sse=${TOKEN}`, origin: "http://hub.example" }, null],
    [
      "the cookie, from a page that is listed",
      { cookie: `sse=${TOKEN}`, origin: "https://app.example", "sec-fetch-site": "cross-site" },
      null,
    ],
    [
      "the cookie, from another page",
      { cookie: `sse=${TOKEN}`, origin: "https://evil.example" },
      "403 the cookie counts only",
    ],
    [
      "the cookie, from another page that says no more",
      { cookie: `sse=${TOKEN}`, "sec-fetch-site": "cross-site" },
      "403 the cookie counts only",
    ],
    [
      "the cookie, from a sister site",
      { cookie: `sse=${TOKEN}`, "sec-fetch-site": "same-site" },
      "403 the cookie counts only",
    ],
    ["the cookie, from nowhere", { cookie: `sse=${TOKEN}` }, "403 the cookie counts only"],
    ["two cookies", { cookie: `sse=${TOKEN}; sse=x` }, "401 there are 2 cookies"],
    ["the cookie by another name", { cookie: `xsse=${TOKEN}` }, "401 a token is needed"],
  ] as [string, Record<string, string>, string | null][])("%s", async (_, headers, expected) => {
    const message = await ask(headers);
    expect(expected === null ? message : message?.slice(0, expected.length)).toBe(expected);
  });

  test("a ticket counts in the query, alone, and before a cookie", async () => {
    const ticket = (): string => tickets.issue(accessOf({ subscribe: ["a/1"] })).ticket;
    expect(await ask({}, `?topic=a/1&ticket=${ticket()}`)).toBeNull();
    expect(await ask({ cookie: "sse=x" }, `?ticket=${ticket()}`)).toBeNull();
    expect(await ask({ authorization: `Bearer ${TOKEN}` }, `?ticket=${ticket()}`)).toContain(
      "400 there are a token and",
    );
    expect(await ask({}, "?ticket=")).toContain("401 the ticket is unknown");
  });

  test("what everybody may read is open to those without a token", async () => {
    const access = await authorize(new Request("http://hub.example/events"));
    expect(await refused(() => requireSubscribe(access, ["public/1", "public/**"]))).toBeNull();
    expect(await refused(() => requireSubscribe(access, ["public/1", "a"]))).toContain(
      "401 a token is needed",
    );
    expect(await refused(() => requirePublish(access, "public/1"))).toContain("401 a token is needed");
  });
});

test("a token names what it does not allow, whether or not it exists", async () => {
  const access = accessOf({ subscribe: ["a/*"], publish: ["b/**"] });
  expect(await refused(() => requireSubscribe(access, ["a/1", "a/**"]))).toBe(
    '403 the token does not allow to subscribe to "a/**"',
  );
  expect(await refused(() => requirePublish(access, "a/1"))).toBe(
    '403 the token does not allow to publish to "a/1"',
  );
  expect(await refused(() => requirePublish(access, "b/1"))).toBeNull();
});

test.each([
  ["localhost:3000", true],
  ["app.localhost", true],
  ["127.0.0.1:3000", true],
  ["127.8.9.10", true],
  ["[::1]:3000", true],
  ["LOCALHOST", true],
  ["hub.test:80", true],
  ["evil.example:3000", false],
  ["127.0.0.1.evil.example", false],
  ["localhost.evil.example", false],
  ["evillocalhost", false],
  ["0.0.0.0:3000", false],
  ["", false],
])("a server for its own machine answers to %s: %p", async (host, expected) => {
  const authorize = localOnly(["hub.test"]);
  const request = new Request("http://x/", { headers: { host } });
  expect((await refused(() => authorize(request))) === null).toBe(expected);
});

test("a minted token is good for what it was made for", async () => {
  const before = Date.now();
  const token = await mintToken({
    secret: SECRET,
    ttl: 3_600_000,
    subscribe: ["a/*"],
    subject: "me",
    issuer: "us",
  });
  const verify = createJwtVerifier({ key: secretKey(SECRET), issuer: "us" });
  const access = await verify(token);
  expect(access.subscribe!.key).toBe("a/*");
  // In whole seconds, and five more by the tolerance.
  expect(access.expires).toBeGreaterThan(before + 3_604_000);
  expect(access.expires).toBeLessThanOrEqual(Date.now() + 3_605_000);
  const claims = JSON.parse(atob(token.split(".")[1]!)) as Record<string, unknown>;
  expect(claims).toMatchObject({ sub: "me", jti: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  expect(await refused(() => mintToken({ secret: "short", ttl: 1 }))).toContain("HS256 needs 32");
  expect(await refused(() => mintToken({ secret: SECRET, ttl: 1, publish: ["a*"] }))).toContain(
    "is no pattern",
  );
});
