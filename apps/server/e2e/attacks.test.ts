import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@sse/hub/test/broker-process.ts";
import { runServer } from "./server-process.ts";
import { SseClient, until, withGrowingTime } from "./sse-client.ts";
import { isServed, start, type Target, type Transport, TRANSPORTS } from "./target.ts";

/* What attackers try, against the server as a process of its own. Tokens are made here by hand, as attackers do. */

const SECRET = "a secret of at least 32 bytes, for tests";
const STATIC = "static-token-of-the-tests";
const PAIR = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PEM = PAIR.publicKey.export({ format: "pem", type: "spki" });
const NOW = Math.floor(Date.now() / 1000);
const CLAIMS = {
  iss: "tests",
  aud: "hub",
  exp: NOW + 3600,
  sse: { subscribe: ["own/*"], publish: ["own/*"] },
};

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A JWT with whatever header and claims, signed by the key given; "" for a signature that is not there. */
function jwt(claims: unknown = CLAIMS, key: KeyObject | string = SECRET, header: object = {}): string {
  const alg = typeof key === "string" ? "HS256" : "RS256";
  const text = `${base64({ alg, typ: "JWT", ...header })}.${base64(claims)}`;
  if (key === "") return `${text}.`;
  const signature =
    typeof key === "string"
      ? createHmac("sha256", key).update(text).digest()
      : sign("sha256", Buffer.from(text), key);
  return `${text}.${signature.toString("base64url")}`;
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const TOKENS = JSON.stringify([{ token: STATIC, subscribe: ["own/*"], publish: ["own/*"], admin: true }]);
const FLAGS = (
  "--jwt-issuer tests --jwt-audience hub --auth-cookie session --cors-origins https://app.example " +
  "--anonymous-subscribe public/** --ticket-ttl 1h --log-level debug"
).split(" ");

let folder: string;
interface Servers {
  secretServer: Target;
  keyServer: Target;
  openServer: Target;
}
const servers = new Map<Transport, Servers>();
/** Those of the transport that is tried now. */
let secretServer: Target;
let keyServer: Target;
let openServer: Target;

/** What follows is tried over this transport. */
function over(transport: Transport): void {
  beforeAll(() => {
    ({ secretServer, keyServer, openServer } = servers.get(transport)!);
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sse-attacks-"));
  await Bun.write(join(folder, "key.pem"), PEM);
  await Bun.write(join(folder, "tokens.json"), TOKENS);
  for (const transport of TRANSPORTS) {
    const keyFlags = ["--jwt-key", join(folder, "key.pem"), "--tokens", join(folder, "tokens.json")];
    const [secret, key, open] = await Promise.all([
      start(transport, { SSE_JWT_SECRET: SECRET, SSE_TOKENS: TOKENS }, ...FLAGS),
      start(transport, {}, ...keyFlags),
      start(transport, {}, "--allowed-hosts", "hub.test"),
    ]);
    servers.set(transport, { secretServer: secret, keyServer: key, openServer: open });
  }
});
afterAll(async () => {
  for (const each of servers.values()) {
    for (const server of Object.values<Target>({ ...each })) await server[Symbol.asyncDispose]();
  }
  await rm(folder, { recursive: true });
});

function openStream(server: Target, path: string, headers: Record<string, string> = {}): Promise<SseClient> {
  return SseClient.with((init) => server.fetch(path, init), headers);
}

interface Answer {
  status: number;
  challenge: string | null;
  detail: string;
}

/** What a stream is answered, or a stream's 200. */
async function listen(server: Target, query: string, headers: Record<string, string> = {}): Promise<Answer> {
  const abort = new AbortController();
  const response = await server.fetch(`/events${query}`, { headers, signal: abort.signal });
  try {
    return await answerOf(response);
  } finally {
    abort.abort();
  }
}

async function answerOf(response: Response): Promise<Answer> {
  const { status, headers } = response;
  const challenge = headers.get("www-authenticate");
  if (status === 200 || status === 204) return { status, challenge, detail: "" };
  expect(headers.get("content-type")).toBe("application/problem+json");
  const { detail } = (await response.json()) as { detail: string };
  return { status, challenge, detail };
}

async function publish(server: Target, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return answerOf(
    await server.fetch("/publish", {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: text,
    }),
  );
}

async function ticketOf(server: Target, token = jwt()): Promise<string> {
  return (await issueTicket(server, token)).ticket;
}

async function issueTicket(server: Target, token: string): Promise<{ ticket: string; expires: string }> {
  const response = await server.fetch("/tickets", { method: "POST", headers: bearer(token) });
  expect(response.status).toBe(200);
  expect(response.headers.get("cache-control")).toBe("no-store");
  const { ticket, expires } = (await response.json()) as { ticket: string; expires: string };
  expect(new Date(expires).toISOString()).toBe(expires);
  return { ticket, expires };
}

/** The status of the answer to whatever bytes. */
function askRaw({ port }: Target, request: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const socket = connect(port, "127.0.0.1", () => socket.write(request));
  socket.on("data", (bytes) => {
    resolve(Number(/^HTTP\/1.1 ([0-9]{3}) /.exec(bytes.toString("latin1"))?.[1]));
    socket.destroy();
  });
  socket.on("error", reject);
  return promise;
}

/** @param body null for one that does not end */
function askHttp2({ port }: Target, fields: OutgoingHttpHeaders, body: string | null): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const session = connectHttp2(`https://localhost:${port}`, { rejectUnauthorized: false });
  const stream = session.on("error", reject).request(fields, { endStream: body === "" });
  stream.on("response", (headers) => {
    resolve(Number(headers[":status"]));
    session.destroy();
  });
  stream.on("error", reject);
  if (body === null) stream.write("[");
  else if (body !== "") stream.end(body);
  return promise;
}

describe.each(TRANSPORTS)("a token, over %s,", (transport) => {
  over(transport);
  test("that is good reads and publishes what it allows", async () => {
    expect((await listen(secretServer, "?topic=own/1", bearer(jwt()))).status).toBe(200);
    expect((await listen(keyServer, "?topic=own/1", bearer(jwt(CLAIMS, PAIR.privateKey)))).status).toBe(200);
    for (const server of [secretServer, keyServer]) {
      expect((await listen(server, "?topic=own/*", bearer(STATIC))).status).toBe(200);
      expect((await publish(server, { topic: "own/1", data: "x" }, bearer(STATIC))).status).toBe(200);
    }
  });

  const invalid = 'Bearer realm="sse", error="invalid_token"';
  const [header, , signature] = jwt().split(".") as [string, string, string];
  const confused = PAIR.publicKey.export({ format: "jwk" });
  test.each<[string, string, "secret" | "key", string]>([
    ["of a forger", jwt(CLAIMS, "another secret of 32 bytes or more"), "secret", "signature"],
    [
      "with other claims",
      `${header}.${base64({ ...CLAIMS, sse: { subscribe: ["**"] } })}.${signature}`,
      "secret",
      "signature",
    ],
    ["without a signature", jwt(CLAIMS, ""), "secret", "signature"],
    ["with alg none", jwt(CLAIMS, "", { alg: "none" }), "secret", "algorithm"],
    ["with alg None", jwt(CLAIMS, "", { alg: "None" }), "key", "algorithm"],
    ["with alg none, yet signed", jwt(CLAIMS, SECRET, { alg: "none" }), "secret", "algorithm"],
    ["with another HMAC", jwt(CLAIMS, SECRET, { alg: "HS512" }), "secret", "algorithm"],
    ["signed with the public key as a secret", jwt(CLAIMS, PEM), "key", "algorithm"],
    ["signed with the public key's other form", jwt(CLAIMS, PEM.trim()), "key", "algorithm"],
    [
      "that claims RS256 but is an HMAC of the public key",
      jwt(CLAIMS, PEM, { alg: "RS256" }),
      "key",
      "signature",
    ],
    [
      "with a key of its own",
      jwt(CLAIMS, generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey, { jwk: confused }),
      "key",
      "signature",
    ],
    [
      "with a key to fetch",
      jwt(CLAIMS, "another secret of 32 bytes or more", {
        jku: "http://127.0.0.1:1/",
        kid: "../../etc/passwd",
      }),
      "secret",
      "signature",
    ],
    [
      "with an unknown critical header",
      jwt(CLAIMS, SECRET, { crit: ["x"], x: 1 }),
      "secret",
      "no JSON Web Token",
    ],
    ["of another type", jwt(CLAIMS, SECRET, { typ: "logout+jwt" }), "secret", "typ"],
    ["whose subject is no text", jwt({ ...CLAIMS, sub: 7 }), "secret", "sub"],
    ["with padding", `${jwt()}=`, "secret", "no JSON Web Token"],
    ["of another alphabet", jwt().replace("-", "+").replace("_", "/") + "+/", "secret", "no JSON Web Token"],
    ["that has expired", jwt({ ...CLAIMS, exp: NOW - 60 }), "secret", "expired"],
    ["of the future", jwt({ ...CLAIMS, nbf: NOW + 3600 }), "secret", "not valid yet"],
    ["whose end is a text", jwt({ ...CLAIMS, exp: "9999999999" }), "secret", "exp"],
    ["of another issuer", jwt({ ...CLAIMS, iss: "them" }), "secret", "iss"],
    ["without an issuer", jwt({ ...CLAIMS, iss: undefined }), "secret", "iss"],
    ["for somebody else", jwt({ ...CLAIMS, aud: ["them"] }), "secret", "aud"],
    [
      "with a claim of another shape",
      jwt({ ...CLAIMS, sse: { subscribe: "**" } }),
      "secret",
      "subscribe must be a list",
    ],
    [
      "with a polluted claim",
      jwt(JSON.parse(JSON.stringify(CLAIMS).replace('"sse":{', '"sse":{"__proto__":{"admin":true},'))),
      "secret",
      "unknown field",
    ],
    [
      "with a polluting payload",
      `${header}.${Buffer.from('{"__proto__":{"sse":{"subscribe":["**"]}}}').toString("base64url")}.${signature}`,
      "secret",
      "signature",
    ],
    ["that is static, with a letter more", `${STATIC}x`, "secret", "no JSON Web Token"],
    ["that is static, with a letter less", STATIC.slice(0, -1), "secret", "no JSON Web Token"],
    ["that is no JWT", "a.b.c", "secret", "no JSON Web Token"],
    ["that is long", "x".repeat(8000), "secret", "no JSON Web Token"],
  ])("%s is refused, and stands in no answer", async (_, token, kind, detail) => {
    const server = kind === "secret" ? secretServer : keyServer;
    for (const answer of [
      await listen(server, "?topic=own/1", bearer(token)),
      await listen(server, "?topic=public/1", bearer(token)),
      await publish(server, { topic: "own/1", data: "x" }, bearer(token)),
    ]) {
      expect(answer).toEqual({ status: 401, challenge: invalid, detail: expect.stringContaining(detail) });
      expect(answer.detail).not.toContain(token);
    }
  });

  test("in a query is none", async () => {
    for (const name of ["token", "access_token", "authorization", "jwt"]) {
      const answer = await listen(secretServer, `?topic=own/1&${name}=${jwt()}`);
      expect([answer.status, answer.detail.includes(jwt())]).toEqual([401, false]);
    }
    expect((await listen(secretServer, `?topic=own/1&ticket=${jwt()}`)).status).toBe(401);
    expect((await listen(secretServer, `?topic=own/1&ticket=${STATIC}`)).status).toBe(401);
  });

  test("is asked for where there is none, without a word of what went wrong", async () => {
    const missing = { status: 401, challenge: 'Bearer realm="sse"', detail: expect.any(String) };
    expect(await listen(secretServer, "?topic=own/1")).toEqual(missing);
    expect(await publish(secretServer, { topic: "public/1", data: "x" })).toEqual(missing);
    for (const [method, path] of [
      ["GET", "/stats"],
      ["GET", "/metrics"],
      ["GET", "/random"],
      ["POST", "/tickets"],
      ["POST", "/demo/jobs"],
      ["POST", "/send-event"],
      ["POST", "/drain"],
      ["POST", "/stats/probe"],
    ] as const) {
      if (!isServed(path)) continue;
      const response = await secretServer.fetch(path, {
        method,
        ...(method === "POST" ? { body: '{"message":"x"}' } : {}),
      });
      expect({ path, ...(await answerOf(response)) }).toEqual({ path, ...missing });
    }
    for (const path of ["/healthz", "/readyz", "/"].filter(isServed)) {
      expect((await secretServer.fetch(path)).status).toBe(200);
    }
    expect((await listen(secretServer, "?topic=public/1")).status).toBe(200);
  });

  test("is told the server's state, and changes it, only with admin", async () => {
    for (const [method, path] of [
      ["GET", "/stats"],
      ["GET", "/metrics"],
      ["POST", "/drain"],
    ] as const) {
      if (!isServed(path)) continue;
      const ask = (token: string): Promise<Response> =>
        secretServer.fetch(path, { method, headers: bearer(token) });
      expect((await answerOf(await ask(jwt()))).status).toBe(403);
      expect((await ask(STATIC)).status).toBe(200);
      expect((await ask(jwt({ ...CLAIMS, sse: { admin: true } }))).status).toBe(200);
    }
  });
});

/** Texts that a lenient decoder takes for the token: the bits that are left over, padding, and the other alphabet. */
function spellings(token: string): string[] {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const parts = token.split(".");
  const variants = parts.map((part) => {
    const spare = [1, 1, 16, 4][part.length % 4]!;
    const last = alphabet.indexOf(part.at(-1)!);
    const texts = Array.from({ length: spare }, (_, bits) => part.slice(0, -1) + alphabet[last + bits]);
    return ["", "=", "=="].flatMap((padding) => texts.map((text) => text + padding));
  });
  const all = variants[0]!.flatMap((head) =>
    variants[1]!.flatMap((body) => variants[2]!.map((signature) => `${head}.${body}.${signature}`)),
  );
  return [...new Set(all)].filter((text) => text !== token).slice(0, 300);
}

describe.each(TRANSPORTS)("one token, over %s,", (transport) => {
  test("is one in whatever spelling: its rate and its tickets are counted once", async () => {
    const flags = "--publish-rate 1 --max-tickets-per-principal 5".split(" ");
    await using server = await start(transport, { SSE_JWT_SECRET: SECRET }, ...flags);
    const token = jwt({
      sse: { subscribe: ["**"], publish: ["**"] },
      n: "of a length that leaves bits over",
    });
    const others = spellings(token);
    expect(others.length).toBe(300);
    const count = async (texts: readonly string[], ask: (text: string) => Promise<Answer>) => {
      const counts = { good: 0, late: 0, wrong: 0 };
      for (const text of texts) {
        const { status } = await ask(text);
        expect([200, 429, 400, 401]).toContain(status);
        counts[status === 200 ? "good" : status === 429 ? "late" : "wrong"]++;
      }
      return counts;
    };
    const none = { good: 0, late: 0, wrong: 300 };
    const event = { topic: "t", data: "x" };
    const postTicket = async (text: string): Promise<Answer> =>
      answerOf(await server.fetch("/tickets", { method: "POST", headers: bearer(text) }));
    expect(await count(others, (text) => publish(server, event, bearer(text)))).toEqual(none);
    expect(await count(others, postTicket)).toEqual(none);
    expect(await count(Array<string>(10).fill(token), postTicket)).toEqual({ good: 5, late: 5, wrong: 0 });
    const batch = Array.from({ length: 20 }, () => event);
    await until(async () => (await publish(server, batch, bearer(token))).status === 429);
    expect(await count(others, (text) => publish(server, event, bearer(text)))).toEqual(none);
  });
});

describe.each(TRANSPORTS)("what a token does not allow, over %s,", (transport) => {
  over(transport);
  test.each([
    ["?topic=other", "other"],
    ["?topic=own/*/x", "own/*/x"],
    ["?topic=own/**", "own/**"],
    ["?topic=own", "own"],
    ["?topic=**", "**"],
    ["?topic=*/1", "*/1"],
    ["?topic=own/1&topic=other", "other"],
    ["", "default"],
    // Topics are opaque: nothing is normalised, so that no two ways to write one differ in what they allow.
    ["?topic=own/../other", "own/../other"],
    ["?topic=own/1/../../other", "own/1/../../other"],
    ["?topic=own//other", "own//other"],
    ["?topic=/own/1", "/own/1"],
    ["?topic=own/1/", "own/1/"],
    ["?topic=OWN/1", "OWN/1"],
    ["?topic=own%252f1", "own%2f1"],
    ["?topic=own%5c1", "own\\\\1"],
    ["?topic=%D0%BEwn/1", "оwn/1"], // Cyrillic о
    ["?topic=own%E2%88%951", "own∕1"], // a division slash
    ["?topic=%EF%BD%8Fwn/1", "ｏwn/1"], // a full-width o, which NFKC would make an o
  ])("%s is refused with its name", async (query, name) => {
    expect(await listen(secretServer, query, bearer(jwt()))).toEqual({
      status: 403,
      challenge: 'Bearer realm="sse", error="insufficient_scope"',
      detail: `the token does not allow to subscribe to "${name}"`,
    });
  });

  test("%2e%2e is a segment like any other, and %00 is none", async () => {
    expect((await listen(secretServer, "?topic=own/%252e%252e", bearer(jwt()))).status).toBe(200);
    expect((await listen(secretServer, "?topic=own/%2e%2e", bearer(jwt()))).status).toBe(200);
    expect((await listen(secretServer, "?topic=own/%2e%2e/other", bearer(jwt()))).status).toBe(403);
    for (const wrong of ["own/%00", "own/1%00", "own/a%0d%0ab", "own/%E2%80%AE1", "own/%E2%80%8B"]) {
      expect((await listen(secretServer, `?topic=${wrong}`, bearer(jwt()))).status).toBe(400);
    }
  });

  test("is not published, alone or in company", async () => {
    await using other = await openStream(keyServer, "/events?topic=own/1", bearer(STATIC));
    await until(() => other.events.length > 0);
    const bodies: unknown[] = [
      { topic: "other", data: "x" },
      { topic: "own/1/2", data: "x" },
      { topic: "own/../other", data: "x" },
      [
        { topic: "own/1", data: "x" },
        { topic: "other", data: "x" },
      ],
    ];
    for (const body of bodies) {
      const { status, detail } = await publish(keyServer, body, bearer(STATIC));
      expect([status, detail]).toEqual([
        403,
        expect.stringContaining("the token does not allow to publish to"),
      ]);
    }
    const lines = '{"topic":"own/1","data":"x"}\n{"topic":"other","data":"x"}';
    const type = { "content-type": "application/x-ndjson" };
    expect((await publish(keyServer, lines, { ...bearer(STATIC), ...type })).status).toBe(403);
    await publish(keyServer, { topic: "own/1", data: "allowed" }, bearer(STATIC));
    expect(await other.receive(1)).toEqual(["allowed"]);
  });

  test("is answered alike, whether or not there is such a topic", async () => {
    const all = bearer(jwt({ ...CLAIMS, sse: { subscribe: ["**"], publish: ["**"] } }));
    expect((await publish(secretServer, { topic: "hidden/1", data: "x", end: true }, all)).status).toBe(200);
    for (const headers of [{}, bearer(jwt())]) {
      const known = await listen(secretServer, "?topic=hidden/1", headers);
      const unknown = await listen(secretServer, "?topic=hidden/2", headers);
      expect(known).toEqual({ ...unknown, detail: unknown.detail.replace("hidden/2", "hidden/1") });
    }
  });
});

describe.each(TRANSPORTS)("a ticket, over %s,", (transport) => {
  over(transport);
  const redeem = (server: Target, ticket: string, topic = "own/1"): Promise<Answer> =>
    listen(server, `?topic=${topic}&ticket=${ticket}`);

  test("opens one stream, and is then no better than none", async () => {
    const ticket = await ticketOf(secretServer);
    expect((await redeem(secretServer, ticket)).status).toBe(200);
    expect(await redeem(secretServer, ticket)).toMatchObject({
      status: 401,
      detail: expect.stringContaining("get another one from POST /tickets"),
    });
  });

  test("opens one stream when many come at once", async () => {
    const ticket = await ticketOf(secretServer);
    const answers = await Promise.all(Array.from({ length: 20 }, () => redeem(secretServer, ticket)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200,
      ...Array<number>(19).fill(401),
    ]);
  });

  test("of another server, of another life, late, guessed or empty is refused", async () => {
    expect((await redeem(keyServer, await ticketOf(secretServer))).status).toBe(401);
    expect((await redeem(secretServer, "")).status).toBe(401);
    expect((await redeem(secretServer, "A".repeat(43))).status).toBe(401);
    expect((await redeem(secretServer, "__proto__")).status).toBe(401);
    const first = await start(transport, { SSE_TOKENS: TOKENS }, "--port", String(await freePort()));
    const ticket = await ticketOf(first, STATIC);
    await first[Symbol.asyncDispose]();
    const flags = ["--port", String(first.port), "--ticket-ttl", "1s"];
    await using second = await start(transport, { SSE_TOKENS: TOKENS }, ...flags);
    expect((await redeem(second, ticket)).status).toBe(401);
    const late = await issueTicket(second, STATIC);
    await until(() => Date.now() >= Date.parse(late.expires));
    expect((await redeem(second, late.ticket)).status).toBe(401);
  });

  test("reads what its token may read, and nothing else", async () => {
    expect(await redeem(secretServer, await ticketOf(secretServer), "own/**")).toMatchObject({ status: 403 });
    for (const [method, path] of [
      ["POST", "/publish"],
      ["POST", "/tickets"],
      ["GET", "/stats"],
    ] as const) {
      const ticket = await ticketOf(secretServer, STATIC);
      const response = await secretServer.fetch(`${path}?ticket=${ticket}`, {
        method,
        ...(method === "POST" ? { body: "x", headers: { "content-type": "text/plain" } } : {}),
      });
      expect([400, 403]).toContain(response.status);
    }
  });

  test("is not there for others any less when somebody asks for many", async () => {
    await using server = await start(
      transport,
      { SSE_JWT_SECRET: SECRET },
      ..."--max-tickets 50 --max-tickets-per-principal 20".split(" "),
    );
    const ask = async (token: string): Promise<number> =>
      (await server.fetch("/tickets", { method: "POST", headers: bearer(token) })).status;
    const of = (sub: string, jti: number): string => jwt({ ...CLAIMS, sub, jti });
    const flood = await Promise.all(Array.from({ length: 100 }, (_, at) => ask(of("them", at))));
    expect(flood.filter((status) => status === 200).length).toBe(20);
    expect(flood.filter((status) => status === 429).length).toBe(80);
    const ticket = await ticketOf(server, of("me", 0));
    expect((await redeem(server, ticket)).status).toBe(200);
    // All that there are, by many.
    const crowd = await Promise.all(Array.from({ length: 100 }, (_, at) => ask(of(`one of ${at}`, 0))));
    expect(crowd.filter((status) => status === 200).length).toBe(30);
  });

  test("stands in no line of the log", async () => {
    const ticket = await ticketOf(secretServer);
    const client = await openStream(secretServer, `/events?topic=own/logged&ticket=${ticket}`);
    await until(() => client.events.length > 0);
    client.close();
    await until(() => secretServer.lines.some((line) => line.includes("own/logged")));
    const log = secretServer.lines.join("\n");
    for (const secret of [ticket, SECRET, STATIC, jwt()]) expect(log).not.toContain(secret);
  });
});

describe.each(TRANSPORTS)("a stream, over %s,", (transport) => {
  over(transport);
  test("ends with its token, says so, and goes on with another one", async () => {
    await withGrowingTime(async (time) => {
      const topic = `own/${time}`;
      // By the tolerance of five seconds it is good for so long, and for up to a second more.
      const exp = Math.floor((Date.now() + time) / 1000) - 4;
      const short = bearer(jwt({ ...CLAIMS, exp }));
      await using client = await openStream(secretServer, `/events?topic=${topic}`, short);
      await until(() => client.events.length > 0 || client.ended);
      await publish(secretServer, { topic, data: "1" }, bearer(STATIC));
      await until(() => client.ended);
      if (client.data.length === 0) return false;
      expect(client.control("sse:closing")).toEqual([{ reason: "auth-expired", retry: expect.any(Number) }]);
      expect((await listen(secretServer, `?topic=${topic}`, short)).status).toBe(401);
      await publish(secretServer, { topic, data: "2" }, bearer(STATIC));
      const resume = { ...bearer(jwt()), "last-event-id": client.lastEventId };
      await using again = await openStream(secretServer, `/events?topic=${topic}`, resume);
      expect(await again.receive(1)).toEqual(["2"]);
      expect(client.data).toEqual(["1"]);
      expect(again.control("sse:ready")).toEqual([{ resume: "resumed", replayed: 1 }]);
      return true;
    });
  });
});

describe.each(TRANSPORTS)("a cookie, over %s,", (transport) => {
  over(transport);
  const cookie = { cookie: `session=${STATIC}` };
  const WITH_COOKIE = [
    ["GET", "/stats"],
    ["GET", "/metrics"],
    ["POST", "/tickets"],
    ["POST", "/drain"],
    ["POST", "/stats/probe"],
    ["POST", "/send-event"],
  ] as const;
  const originOf = (origin: string): string => {
    const own = new URL(secretServer.url);
    const other = own.protocol === "http:" ? "https:" : "http:";
    return origin
      .replace("OWN", own.origin)
      .replace("OTHER SCHEME", `${other}//${own.host}`)
      .replace("OTHER PORT", `${own.protocol}//${own.hostname}:1`);
  };
  test.each<[Record<string, string>, number]>([
    [{}, 403],
    [{ "sec-fetch-site": "cross-site" }, 403],
    [{ "sec-fetch-site": "same-site" }, 403],
    [{ origin: "https://evil.example" }, 403],
    [{ origin: "null" }, 403],
    [{ origin: "https://evil.example", "sec-fetch-site": "same-origin" }, 403],
    [{ origin: "https://app.example.evil.example" }, 403],
    [{ origin: "OWN", "sec-fetch-site": "cross-site" }, 403],
    [{ origin: "OWN", "sec-fetch-site": "same-site" }, 403],
    [{ origin: "OTHER SCHEME" }, 403],
    [{ origin: "OTHER SCHEME", "sec-fetch-site": "cross-site" }, 403],
    [{ origin: "OTHER PORT" }, 403],
    [{ origin: "OWN, https://evil.example" }, 403],
    [{ "sec-fetch-site": "same-origin, cross-site" }, 403],
    [{ "sec-fetch-site": "same-origin" }, 200],
    [{ origin: "OWN" }, 200],
    [{ origin: "https://app.example", "sec-fetch-site": "cross-site" }, 200],
  ])("with %j is answered %d", async (headers, status) => {
    const sent: Record<string, string> = { ...cookie, ...headers };
    if (sent["origin"] !== undefined) sent["origin"] = originOf(sent["origin"]);
    expect((await listen(secretServer, "?topic=own/1", sent)).status).toBe(status);
    expect((await publish(secretServer, { topic: "own/1", data: "x" }, sent)).status).toBe(status);
    for (const [method, path] of WITH_COOKIE) {
      if (!isServed(path)) continue;
      const body = path === "/stats/probe" ? '{"tab":"1","number":1}' : '{"message":"x"}';
      const response = await secretServer.fetch(path, {
        method,
        headers: { ...sent, "content-type": "application/json" },
        ...(method === "POST" && path !== "/drain" && { body }),
      });
      const allowed = response.status < 300 ? 200 : response.status;
      expect([path, allowed]).toEqual([path, status === 200 && path === "/send-event" ? 403 : status]);
    }
  });

  test("may be sent by the pages that are listed, and no others are told so", async () => {
    const preflight = async (origin: string): Promise<Headers> =>
      (
        await secretServer.fetch("/events", {
          method: "OPTIONS",
          headers: {
            origin,
            "access-control-request-method": "GET",
            "access-control-request-headers": "authorization,last-event-id",
          },
        })
      ).headers;
    const own = await preflight("https://app.example");
    expect(own.get("access-control-allow-origin")).toBe("https://app.example");
    expect(own.get("access-control-allow-credentials")).toBe("true");
    const allowed = own.get("access-control-allow-headers")!.toLowerCase();
    expect([allowed.includes("authorization"), allowed.includes("last-event-id")]).toEqual([true, true]);
    expect((await preflight("https://evil.example")).get("access-control-allow-origin")).toBeNull();
  });

  test("is nothing to a server that was not told of it", async () => {
    const sent = { ...cookie, "sec-fetch-site": "same-origin" };
    expect((await listen(keyServer, "?topic=own/1", sent)).status).toBe(401);
  });
});

describe.each(TRANSPORTS)("a server without authentication, over %s,", (transport) => {
  over(transport);
  async function ask(method: string, path: string, host: string): Promise<number> {
    const text = { "content-type": "text/plain" };
    const body = method === "POST" ? "x" : undefined;
    if (transport === "the handler") {
      const headers = { host, ...(body !== undefined && text) };
      const response = await openServer.fetch(path, { method, headers, ...(body !== undefined && { body }) });
      await response.body?.cancel();
      return response.status;
    }
    // fetch does not let a caller choose the Host.
    if (transport === "HTTP/2") {
      const fields = { ":method": method, ":path": path, ":authority": host, ...(body && text) };
      return await askHttp2(openServer, fields, body ?? "");
    }
    const head = body === undefined ? "\r\n" : "content-type: text/plain\r\ncontent-length: 1\r\n\r\nx";
    return await askRaw(openServer, `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${head}`);
  }

  test.each([
    ["evil.example", 421],
    ["evil.example:3000", 421],
    ["127.0.0.1.evil.example", 421],
    ["localhost.evil.example", 421],
    ["localhost", 200],
    ["app.localhost:3000", 200],
    ["127.0.0.1:9", 200],
    ["[::1]:9", 200],
    ["HUB.test", 200],
  ])("that is called %s answers %d", async (host, status) => {
    for (const [method, path] of [
      ["GET", "/events?topic=a"],
      ["POST", "/publish?topic=a"],
      ["GET", "/stats"],
      ["GET", "/metrics"],
      ["GET", "/random"],
      ["POST", "/demo/jobs"],
    ] as const) {
      if (isServed(path.replace(/\?.*/, ""))) expect(await ask(method, path, host)).toBe(status);
    }
  });

  test("has no tickets", async () => {
    expect((await openServer.fetch("/tickets", { method: "POST" })).status).toBe(404);
    expect((await listen(openServer, "?topic=a&ticket=x")).status).toBe(200); // as any parameter that is not ours
  });
});

describe.each(TRANSPORTS)("a body, over %s,", (transport) => {
  over(transport);
  test.each([
    ['{"topic":"own/1","data":"x","__proto__":{"topic":"other"}}', 400],
    ['{"topic":"own/1","data":"x","constructor":{"prototype":{"admin":true}}}', 400],
    ['{"__proto__":{"topic":"own/1"},"data":"x"}', 400],
    ['{"topic":"own/1","topic":"other","data":"x"}', 403],
    ['{"topic":["own/1"],"data":"x"}', 400],
    ['{"topic":{"toString":"own/1"},"data":"x"}', 400],
    ['{"topic":"own/*","data":"x"}', 400],
    ['{"topic":"own/1\\r\\n","data":"x"}', 400],
    ['{"topic":"own/1","data":"x","event":"a\\r\\ndata: forged"}', 400],
    ['{"topic":"own/1","data":"x","event":"a\\ndata: forged"}', 400],
    ['{"topic":"own/1","data":"x","id":"a\\rid: forged"}', 400],
    ['{"topic":"own/1","data":"x","key":"a\\nb"}', 400],
    ['{"topic":"own/1","data":"x","event":"sse:closing"}', 400],
    ['{"topic":"own/1","data":{"__proto__":{"polluted":true},"constructor":1}}', 200],
  ])("%s is answered %d", async (body, status) => {
    expect((await publish(secretServer, body, bearer(STATIC))).status).toBe(status);
  });

  test("cannot forge an event by its data", async () => {
    await using client = await openStream(secretServer, "/events?topic=own/forged", bearer(STATIC));
    await until(() => client.events.length > 0);
    const data = "1\r\n\r\nevent: sse:closing\rdata: 2\n\nid: 3\n\n";
    await publish(secretServer, { topic: "own/forged", data }, bearer(STATIC));
    expect(await client.receive(1)).toEqual([data.replaceAll(/\r\n|\r/g, "\n")]);
    expect(client.control("sse:closing")).toEqual([]);
  });

  test.each(["gzip", "deflate", "br", "zstd", "gzip, gzip"])(
    "packed with %s is not unpacked",
    async (coding) => {
      const bomb = Bun.gzipSync(new Uint8Array(64 * 1024 * 1024));
      const response = await secretServer.fetch("/publish", {
        method: "POST",
        headers: { ...bearer(STATIC), "content-type": "application/json", "content-encoding": coding },
        body: bomb,
      });
      expect((await answerOf(response)).status).toBe(415);
    },
  );

  if (transport === "the handler") return; // it has no socket on which a body could be late

  test("without a token is not read", async () => {
    const type = "content-type: application/json\r\ntransfer-encoding: chunked";
    const fields = { ":method": "POST", ":path": "/publish", "content-type": "application/json" };
    const status =
      transport === "HTTP/2"
        ? askHttp2(secretServer, fields, null)
        : askRaw(secretServer, `POST /publish HTTP/1.1\r\nhost: localhost\r\n${type}\r\n\r\n1\r\n[\r\n`);
    expect(await status).toBe(401);
  });
});

test("a reader of a byte in a second delays nobody, and is cut off", async () => {
  await using server = await start("HTTP/1.1", {}, ..."--write-deadline 2s --log-level debug".split(" "));
  const request = "GET /events?topic=t HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n";
  const script = `exec 3<>/dev/tcp/127.0.0.1/${server.port}; printf '${request}' >&3; while read -rN 1 -u 3; do sleep 1; done`;
  const reader = Bun.spawn(["bash", "-c", script], { stdout: "ignore" });
  try {
    await using other = await openStream(server, "/events?topic=t");
    const streams = async (): Promise<number> =>
      ((await (await server.fetch("/stats")).json()) as { streams: number }).streams;
    await until(async () => (await streams()) === 2);
    const data = "x".repeat(1_000_000);
    for (let at = 1; at <= 12; at++) {
      await publish(server, { topic: "t", data });
      expect((await other.receive(at)).length).toBe(at); // nobody else is delayed
    }
    await until(() => server.lines.some((line) => line.includes('"reason":"slow"')));
    expect(await streams()).toBe(1);
  } finally {
    reader.kill("SIGKILL");
  }
});

describe.each(TRANSPORTS)("CR and LF, over %s,", (transport) => {
  over(transport);
  test.each(["topic", "lastEventId", "replay", "lag", "ticket", "%0d%0aset-cookie:a=b"])(
    "in the parameter %s reach no header",
    async (name) => {
      const response = await secretServer.fetch(
        `/events?${name}=public/1%0d%0aset-cookie:%20a=b%0d%0a%0d%0aevil`,
      );
      expect(response.headers.get("set-cookie")).toBeNull();
      expect([400, 401]).toContain(response.status);
    },
  );
});

describe("settings", () => {
  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({
    format: "pem",
    type: "spki",
  });
  test.each<[string[], Record<string, string>, string]>([
    [[], { SSE_JWT_SECRET: "short" }, "SSE_JWT_SECRET is 5 bytes long; HS256 needs 32"],
    [["--jwt-key", "/nowhere"], {}, "--jwt-key *** cannot be read (ENOENT)"],
    [["--jwt-key", "FOLDER/weak.pem"], {}, "is an RSA key of 1024 bits"],
    [["--jwt-key", "FOLDER/key.pem"], { SSE_JWT_SECRET: SECRET }, "exclude each other"],
    [["--jwt-jwks", "http://keys.example/"], {}, "--jwt-jwks http://keys.example/ must be an https URL"],
    [["--jwt-issuer", "x"], {}, "--jwt-issuer and --jwt-audience need"],
    [["--tokens", "[]"], {}, "--tokens must name a file"],
    [[], { SSE_TOKENS: '[{"token":"short"}]' }, "SSE_TOKENS token 0 must have at least 16 characters"],
    [["--anonymous-subscribe", "a"], {}, "--anonymous-subscribe needs SSE_JWT_SECRET"],
    [["--anonymous-subscribe", "a*"], { SSE_JWT_SECRET: SECRET }, "--anonymous-subscribe must be selectors"],
    [["--auth-cookie", "a b"], { SSE_JWT_SECRET: SECRET }, "--auth-cookie must be the name of a cookie"],
    [["--auth-cookie", "a"], {}, "--auth-cookie needs SSE_JWT_SECRET"],
    [["--open"], { SSE_JWT_SECRET: SECRET }, "--open is for a server where nobody has to authenticate"],
    [["--allowed-hosts", "http://x"], {}, "--allowed-hosts must be names of hosts"],
    [["--allowed-hosts", "x", "--open"], {}, "--allowed-hosts does nothing with"],
    [["token"], {}, "SSE_JWT_SECRET is not set"],
    [["token", "--subscribe", "a"], { SSE_JWT_SECRET: "short" }, "SSE_JWT_SECRET is 5 bytes long"],
    [["token"], { SSE_JWT_SECRET: SECRET }, "the token would allow nothing"],
    [["token", "--subscribe", "a*"], { SSE_JWT_SECRET: SECRET }, "is no pattern"],
    [["token", "--subscribe", "a", "--ttl", "1"], { SSE_JWT_SECRET: SECRET }, "--ttl must be"],
    [["token", "--secret", "a"], { SSE_JWT_SECRET: SECRET }, "token --help lists all flags"],
  ])("%j with %j are refused in one line", async (args, env, message) => {
    await Bun.write(join(folder, "weak.pem"), weak);
    const { code, out, error } = await runServer(
      args.map((each) => each.replace("FOLDER", folder)),
      { PORT: "0", ...env },
    );
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(error).toContain(message);
    expect(error.trim().split("\n").length).toBe(1);
    for (const secret of Object.values(env).filter((each) => each.length > 8)) {
      expect(error).not.toContain(secret);
    }
  });

  test("a token that the server mints is good for it, and alone on standard output", async () => {
    const { code, out, error } = await runServer(
      ["token", "--subscribe", "own/*", "--publish", "own/**", "--ttl", "1m", "--subject", "me"],
      { SSE_JWT_SECRET: SECRET, SSE_JWT_ISSUER: "tests", SSE_JWT_AUDIENCE: "hub" },
    );
    expect({ code, error }).toEqual({ code: 0, error: "" });
    expect(out).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect((await listen(secretServer, "?topic=own/1", bearer(out.trim()))).status).toBe(200);
    expect((await publish(secretServer, { topic: "own/1/2", data: "x" }, bearer(out.trim()))).status).toBe(
      200,
    );
  });

  test("with authentication, the server listens beyond this machine without --open", async () => {
    await using server = await start("HTTP/1.1", { SSE_JWT_SECRET: SECRET }, "--host", "0.0.0.0");
    expect((await listen(server, "?topic=a")).status).toBe(401);
    expect((await server.fetch("/healthz")).status).toBe(200);
  });
});
