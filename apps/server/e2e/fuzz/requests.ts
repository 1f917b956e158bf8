import { createHmac } from "node:crypto";
import type { Random } from "@sse/hub/test/random.ts";
import { type Body, body, drawBomb, drawJsonBody, INJECTION, oneOf, type Verdict } from "./bodies.ts";

export const SECRET = "a secret of at least 32 bytes, of the fuzzer";
export const WITNESS = "token-of-the-witness-of-all";
const [ADMIN, READER] = ["token-of-an-admin-of-the-server", "token-of-a-reader-of-fuzz"];
/** What is nobody's but an admin's. */
export const TOKENS = JSON.stringify([
  { token: WITNESS, subscribe: ["**"], publish: ["**"], admin: true },
  { token: ADMIN, subscribe: ["**"], publish: ["**"], admin: true },
  { token: READER, subscribe: ["fuzz/**"] },
]);

/** What is published, so that it can be told whether it was. */
export interface Publication {
  readonly marker: string;
  /** Events that carry the marker; Infinity where nobody knows. */
  readonly events: number;
}

/** A request before it is put into the bytes of a protocol. */
export interface Asked {
  /** Of the case. */
  readonly subject: string;
  readonly what: string;
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer | null;
  readonly verdict: Verdict;
  readonly publication: Publication | null;
  /** Whether events of topics under `secret/` may be in the answer. */
  readonly mayReadAll: boolean;
}

/** The parts of a marker are the case and the number of its request; `s` stands for a topic that only admins may read. */
export const MARKER = /~([ms])([0-9a-z]+-[0-9]+)\.([0-9]+)~/g;
export const SECRET_MARKER = "~s";

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

interface Client {
  readonly what: string;
  readonly headers: readonly (readonly [string, string])[];
  /** What it may: nothing at all, read `fuzz/**`, also publish there and to `default`, or everything. */
  readonly may: "nothing" | "read" | "publish" | "everything";
}

function jwt(
  subject: string,
  { expires = 3600, key = SECRET, header = {} }: { expires?: number; key?: string; header?: object } = {},
): string {
  const sse = { subscribe: ["fuzz/**"], publish: ["fuzz/**", "default"] };
  const claims = { sub: subject, exp: Math.floor(Date.now() / 1000) + expires, sse };
  const text = `${base64({ alg: "HS256", typ: "JWT", ...header })}.${base64(claims)}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}

function bearer(what: string, may: Client["may"], token: string): Client {
  return { what, may, headers: [["authorization", `Bearer ${token}`]] };
}

/** @param subject of its own for each case, so that no case has to pay for what another one has published */
function drawClient(random: Random, subject: string): Client {
  if (random.chance(0.6)) return bearer("a publisher", "publish", jwt(subject));
  return random.pick<() => Client>([
    () => bearer("an admin", "everything", ADMIN),
    () => bearer("an admin", "everything", ADMIN),
    () => bearer("a reader", "read", READER),
    () => ({ what: "nobody", may: "nothing", headers: [] }),
    () => bearer("an expired token", "nothing", jwt(subject, { expires: -60 })),
    () => bearer("a forged token", "nothing", jwt(subject, { key: "another secret of 32 bytes or more" })),
    () => bearer("an unsigned token", "nothing", unsigned(jwt(subject, { header: { alg: "none" } }))),
    () => bearer("a token spelt otherwise", "nothing", respelt(jwt(subject))),
    () => bearer("noise for a token", "nothing", "a.".repeat(random.below(3000))),
    () => ({ what: "another scheme", may: "nothing", headers: [["authorization", `Basic ${btoa(ADMIN)}`]] }),
    () => ({
      what: "a token in a cookie",
      may: "nothing",
      headers: [["cookie", `session=${ADMIN}; a=%00"`]],
    }),
  ])();
}

const unsigned = (token: string): string => token.slice(0, token.lastIndexOf(".") + 1);

/** The last digit of 32 bytes in base64 has two bits to spare: the same signature, for those who read leniently. */
function respelt(token: string): string {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return token.slice(0, -1) + digits[digits.indexOf(token.at(-1)!) ^ 1]!;
}

/** What any request may bring besides. None of it changes what the answer has to be. */
const HARMLESS = [
  ["accept", "text/event-stream|text/html|*/*;q=0.1|"],
  ["user-agent", "é|\u00a0|()|"],
  ["x-forwarded-for", "1.2.3.4|::1, 5.6.7.8|::ffff:1.2.3.4|unknown|,,|[::1]:3"],
  ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01|00-zz|ff"],
  ["range", "bytes=0-10|bytes=-"],
  ["if-none-match", '"x", *'],
  ["accept-encoding", "gzip, br;q=9"],
  ["cookie", `a=b|%=%|=;;=;|a=${"x".repeat(3000)}`],
] as const;

interface Draw {
  readonly random: Random;
  readonly may: Client["may"];
  /** What tells its events from all others. */
  readonly tag: string;
}

type Fields = readonly (readonly [name: string, value: string])[];
type Part = Pick<Asked, "what" | "target" | "verdict"> & Partial<Asked>;

/** What comes of a request which only these may make, and everybody who may do everything. */
function allow(may: Client["may"], allowed: string, verdict: Verdict = "taken"): Verdict {
  return may === "everything" || allowed.includes(may) ? verdict : "refused";
}

type Make = (random: Random, topic: string, marker: string, isAdmin: boolean) => Body;

/** Publishes to a topic of everybody's, or to one that only admins may publish to. */
function publish({ random, may, tag }: Draw, make: Make, query = "", more: Fields = []): Part {
  const isSecret = random.chance(0.12);
  const topic = isSecret ? "secret/a" : `fuzz/${random.below(30)}${oneOf(random, "|/é|//|/a/b")}`;
  const marker = isSecret ? `${SECRET_MARKER}${tag}~` : `~m${tag}~`;
  const made = make(random, topic, marker, may === "everything");
  return publication(
    made,
    `/publish${query.replace("TOPIC", encodeURIComponent(topic))}`,
    marker,
    allow(may, isSecret ? "" : "publish", made.verdict),
    more,
  );
}

function publication(
  { what, type, bytes, events }: Body,
  target: string,
  marker: string,
  verdict: Verdict,
  more: Fields = [],
): Part {
  return {
    what,
    method: "POST",
    target,
    headers: [["content-type", type], ...more],
    body: bytes,
    verdict,
    publication: { marker, events },
  };
}

const SIMPLE =
  (what: string, verdict: Verdict, type?: string): Make =>
  (_, topic, marker) =>
    body(what, verdict, JSON.stringify({ topic, data: marker }), 1, type);

function plainText(draw: Draw): Part {
  const { random } = draw;
  const wrong = random.chance(0.3)
    ? `&${oneOf(random, "event=sse%3Aa|id=%0a|key=%00|topic=|topic=%ff|data=x|evnt=x")}`
    : "";
  const more = random.pick(["", "\n".repeat(random.below(2000)), INJECTION, "é\0\u2028"]);
  const make: Make = (_, _topic, marker) =>
    body(`text${wrong}`, wrong === "" ? "taken" : "refused", marker + more, 1, "text/plain");
  return publish(draw, make, `?topic=TOPIC${wrong}`);
}

function message({ random, may, tag }: Draw): Part {
  const marker = `~m${tag}~`;
  const json = JSON.stringify({ message: `${marker} ${INJECTION}` });
  const isRight = random.chance(0.7);
  const wrong = random.pick([
    `[${json}]`,
    json.replace("message", "text"),
    json.slice(1),
    `{"message":{"a":"${marker}"}}`,
  ]);
  const made = body("a message", isRight ? "taken" : "refused", isRight ? json : wrong, 1);
  return publication(made, "/send-event", marker, allow(may, "publish", made.verdict));
}

const TYPES =
  "|text/html|application/json; charset=utf-16|application/x-www-form-urlencoded|multipart/form-data; boundary=x|application/json, text/xml";
const ORIGINS = "https://evil.example|null|http://localhost.evil.example";

function wrongType(draw: Draw): Part {
  const type = oneOf(draw.random, TYPES);
  return publish(
    draw,
    SIMPLE(`a body of type ${type}`, "refused", type),
    "",
    draw.random.chance(0.3) ? [["content-encoding", "gzip"]] : [],
  );
}

const PARAMETERS = [
  [
    "lastEventId",
    `|a-1|${"x".repeat(128)}|${"x".repeat(2000)}|m3kq0z81xa-99999999999999999999|${INJECTION}|\0`,
  ],
  ["replay", "all|0|5|999999999|-1|1e3|0x1"],
  ["lag", "catch-up|latest|disconnect|LATEST|__proto__"],
  ["envelope", "json|xml|"],
  ["control", "event|comment|none"],
  ["topic", `*|fuzz/**/a|secret/**|fuzz/a*| |${"é".repeat(600)}|${INJECTION}|fuzz/${"*/".repeat(400)}**`],
  ["ticket", `|x|${"a".repeat(43)}`],
  ["topics", "1"],
  ["_", "1"],
  ["constructor", "%"],
] as const;

function stream({ random, may }: Draw): Part {
  const topics = random.chance(0.1) ? 90 + random.below(40) : 1 + random.below(3);
  const pairs: [string, string][] = Array.from({ length: topics }, () => [
    "topic",
    `fuzz/${oneOf(random, "*|**|1|a/*/b")}`,
  ]);
  const isPlain = random.chance(0.4);
  if (!isPlain)
    pairs.push(
      ...random.some(PARAMETERS, 3).map(([name, texts]): [string, string] => [name, oneOf(random, texts)]),
    );
  const query = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  const headers: Fields = random.chance(0.2)
    ? [["last-event-id", oneOf(random, `a-1|${"x".repeat(300)}|é|1, 2`)]]
    : [];
  const verdict = allow(may, "read publish", isPlain && topics < 90 ? "taken" : "either");
  return { what: `a stream of ${pairs.length} parameters`, target: `/events?${query}`, headers, verdict };
}

/** How often each is drawn, and what it is. */
const ROUTES: readonly (readonly [number, (draw: Draw) => Part])[] = [
  [42, (draw) => publish(draw, drawJsonBody)],
  [1, (draw) => publish(draw, drawBomb)],
  [10, plainText],
  [4, message],
  [3, wrongType],
  [
    3,
    (draw) =>
      publish(draw, SIMPLE("of another origin", "refused"), "", [["origin", oneOf(draw.random, ORIGINS)]]),
  ],
  [12, stream],
];

const DRAINS = `|{}|{"topics":["fuzz/*"],"within":50}|{"topics":["a b"]}|{"topics":[1]}|{"within":-1}|{"within":1e999}|{"topic":[]}|[|{"topics":[],"within":0}|{"topics":["fuzz/${"*/".repeat(2000)}**"]}|${JSON.stringify({ topics: Array.from({ length: 5000 }, (_, at) => `fuzz/${at}/**`) })}`;
const PATHS = `/nowhere|/..%2f..%2fetc/passwd|/%|/events/|//events|/publish%00|/%70ublish|/assets/../../package.json|/constructor|/${"a/".repeat(2000)}`;
const EVERYBODY = "nothing read publish";

/** How often, methods, targets, who may, what comes of it then, and bodies. */
const PLAIN: readonly (readonly [number, string, string, string, Verdict, string?])[] = [
  [2, "GET", "/events?topic=secret/**&replay=all", "", "taken"],
  [1, "GET", "/random", EVERYBODY, "either"],
  [2, "GET", "/stats/events", "", "taken"],
  [3, "POST", "/tickets", "read publish", "taken", "|{}|x"],
  [2, "POST", "/drain", "", "either", DRAINS],
  [2, "POST", "/stats/probe", "", "either", '{"id":"a","sent":1}|{}|'],
  [1, "POST", "/demo/jobs", "", "taken"],
  [3, "GET", "/stats|/metrics", "", "taken"],
  [3, "GET", "/|/openapi|/openapi/json", EVERYBODY, "taken"],
  [2, "GET", "/healthz|/healthz?a=%ff|/readyz", EVERYBODY, "taken"],
  [4, "GET|POST|PUT|DELETE|OPTIONS|HEAD|PATCH", PATHS, EVERYBODY, "either"],
  [
    4,
    "PUT|DELETE|PATCH|OPTIONS|TRACE",
    "/events|/publish|/tickets|/drain|/stats|/metrics|/healthz|/|/openapi",
    EVERYBODY,
    "either",
  ],
];
const ALL = [
  ...ROUTES,
  ...PLAIN.map(([weight, methods, targets, allowed, verdict, bodies]) => {
    const route = ({ random, may }: Draw): Part => {
      const sent = bodies === undefined ? null : Buffer.from(oneOf(random, bodies));
      const fixed = { what: "as it is", body: sent, verdict: allow(may, allowed, verdict) };
      return { ...fixed, method: oneOf(random, methods), target: oneOf(random, targets) };
    };
    return [weight, route] as const;
  }),
];
const TOTAL = ALL.reduce((sum, [weight]) => sum + weight, 0);

/**
 * @param subject the case, and how often it has been played: what carries it cannot be confused with anything else
 * @param index of the request in the case
 */
export function drawRequest(random: Random, subject: string, index: number): Asked {
  let at = random.below(TOTAL);
  const [, route] = ALL.find(([weight]) => (at -= weight) < 0)!;
  const client = drawClient(random, subject);
  const {
    what,
    method = "GET",
    target,
    verdict,
    headers = [],
    body: sent = null,
    publication: given = null,
  } = route({
    random,
    may: client.may,
    tag: `${subject}.${index}`,
  });
  const more = random.chance(0.3)
    ? random.some(HARMLESS, 3).map(([name, texts]) => [name, oneOf(random, texts)] as const)
    : [];
  return {
    subject,
    what: `${client.what}: ${method} ${target.slice(0, 40)} (${what})`,
    method,
    target,
    headers: [...client.headers, ...headers, ...more],
    body: sent,
    verdict,
    publication: given,
    mayReadAll: client.may === "everything",
  };
}
