import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@sse/hub/test/broker-process.ts";
import { readConfig } from "../src/config.ts";
import { hideSecrets } from "../src/secrets.ts";
import { SETTINGS } from "../src/settings.ts";
import { runServer, ServerProcess } from "./server-process.ts";
import { until } from "./sse-client.ts";

/* A secret in every setting there is, in every wrong form, is in nothing that the server writes. */

const SECRET = "s3cr3t-0123456789-of-32-bytes-or-more";
/** With all that means something in a URL, in JSON or in a pattern. */
const ODD = `s3cr3t p@ss/w?rd#1&2=3%41"\\$&é`;
const ENCODED = encodeURIComponent(ODD);
/** Nothing listens there. */
const NOBODY = "127.0.0.1:1";

const FORMS: Readonly<Record<string, string>> = {
  "as it is": SECRET,
  "in JSON without an end": `[{"token":"${SECRET}"`,
  "in JSON of another shape": `{"token":"${SECRET}"}`,
  "as a name in JSON": `[{"${SECRET}":"token"}]`,
  "as a key in PEM": `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----`,
  "as a path to nothing": `/nowhere/${SECRET}/file`,
  "as a host": `https://${SECRET}.invalid/`,
  "with a wrong scheme": `ftp://user:${SECRET}@${NOBODY}/x`,
  "without a scheme": `user:${SECRET}@${NOBODY}`,
  "in a URL without a host": `redis://user:${SECRET}`,
  "in a URL that cannot be parsed": `redis://user:${SECRET}@[`,
  "in a URL of keys that cannot be parsed": `https://user:${SECRET}@[`,
  "at a port that is refused, Redis": `redis://user:${SECRET}@${NOBODY}`,
  "at a port that is refused, NATS": `nats://user:${SECRET}@${NOBODY}`,
  "at a port that is refused, keys": `https://user:${SECRET}@${NOBODY}/keys?key=${SECRET}#${SECRET}`,
  "percent-encoded": `redis://user:${ENCODED}@${NOBODY}`,
  "percent-encoded, keys": `https://user:${ENCODED}@${NOBODY}/keys?key=${ENCODED}`,
  "percent-encoded wrongly": `redis://:${SECRET}%zz@${NOBODY}`,
  "as a user without a password, Redis": `redis://${SECRET}@${NOBODY}`,
  "as a user without a password, NATS": `nats://${SECRET}@${NOBODY}`,
  "after an @": `redis://user:a@${SECRET}@${NOBODY}`,
  "after a /": `redis://user:a/${SECRET}@${NOBODY}`,
  "after a ?": `redis://user:a?${SECRET}@${NOBODY}`,
  "as all of a password": `redis://user:${ODD}@${NOBODY}`,
  "as a port": `redis://127.0.0.1:${SECRET}`,
  "as a database": `redis://127.0.0.1/${SECRET}`,
  "in the query": `redis://${NOBODY}?key=${SECRET}`,
  "as the query": `redis://${NOBODY}?${SECRET}`,
  "as a prefix": `redis://${NOBODY}?prefix=${SECRET}.`,
  "as the fragment": `redis://${NOBODY}#${SECRET}`,
  "in a URL as a path": `sqlite:redis://user:${SECRET}@${NOBODY}`,
};

function expectNone(output: string, what: string): void {
  const leaked = [SECRET, ODD, ENCODED, encodeURI(ODD), JSON.stringify(ODD).slice(1, -1), "s3cr3t"].filter(
    (form) => output.toLowerCase().includes(form.toLowerCase()),
  );
  expect({ what, leaked, output: leaked.length > 0 ? output : "" }).toEqual({ what, leaked: [], output: "" });
}

/** What the other settings have to be for this one to mean something. */
function others(name: string): Record<string, string> {
  if (/^(jwtSecret|jwtKey|jwtJwks|tokens|open|allowedHosts)$/.test(name)) return {};
  return { SSE_JWT_SECRET: "another secret of 32 bytes or more, for tests" };
}

/** Of the whole text, as far as it is decided without anything being opened: null when the setting is taken. */
function refusal(args: string[], env: Record<string, string>): string | null {
  try {
    readConfig(args, { PORT: "0", SSE_LOG: "memory:", ...env });
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

interface Case {
  readonly what: string;
  readonly form: string;
  readonly args: string[];
  readonly env: Record<string, string>;
}

const CASES: Case[] = [];
for (const { name, flag, env } of SETTINGS) {
  for (const [form, text] of Object.entries(FORMS)) {
    CASES.push({ what: `${env} ${form}`, form, args: [], env: { ...others(name), [env]: text } });
    if (flag === null) continue;
    CASES.push({ what: `--${flag} ${form}`, form, args: [`--${flag}`, text], env: others(name) });
  }
}

test("what is refused as it is read quotes nothing of it", () => {
  expect(CASES.length).toBeGreaterThan(SETTINGS.length * Object.keys(FORMS).length);
  for (const { what, args, env } of CASES) {
    expectNone(hideSecrets(args, env)(refusal(args, env) ?? ""), what);
  }
});

test("a server that is given one in a setting writes it nowhere, whether or not it starts", async () => {
  // What is refused as it is read is so by the same code in a process, as is shown of some. Of the others, those that are opened
  // are tried in every form, and the rest in some.
  const taken = CASES.filter(({ args, env }) => refusal(args, env) === null);
  expect(taken.length).toBeGreaterThan(100);
  const cases = [
    ...CASES.filter(({ form }) => form === "as it is").filter((_, at) => at % 4 === 0),
    ...taken.filter(({ what }, at) => at % 12 === 0 || /^SSE_(LOG|JWT_JWKS|TOKENS) /.test(what)),
  ];
  const next = cases.values();
  const work = async (): Promise<void> => {
    for (const { what, args, env } of next) {
      const debug = { SSE_LOG_LEVEL: "debug", SSE_DRAIN: "0s", ...env };
      const { code, out, error } = await runServer(args, debug, { until: '"listening"' });
      expectNone(out + error, what);
      expect({ what, error: code === 2 ? "" : error }).toEqual({ what, error: "" });
    }
  };
  await Promise.all([work(), work(), work(), work()]);
}, 600_000);

test("the command that makes a token tells none", async () => {
  for (const [args, env] of [
    [["--subscribe", "a"], { SSE_JWT_SECRET: SECRET.slice(0, 31) }],
    [["--subscribe", `${SECRET}*`], { SSE_JWT_SECRET: SECRET }],
    [["--ttl", SECRET, "--admin"], { SSE_JWT_SECRET: SECRET }],
    [[SECRET], { SSE_JWT_SECRET: SECRET }],
    [[`--${SECRET}`], { SSE_JWT_SECRET: SECRET }],
    [["--secret", SECRET], {}],
  ] as [string[], Record<string, string>][]) {
    const { code, out, error } = await runServer(["token", ...args], env);
    expect({ args, code }).toEqual({ args, code: 2 });
    expectNone(out + error, args.join(" "));
  }
});

test("keys that cannot be had tell no client and no line of the log where they were to be", async () => {
  const url = `http://user:${SECRET}@127.0.0.1:1/keys?key=${ENCODED}`;
  await using server = await ServerProcess.start("--log-level", "debug", "--jwt-jwks", url);
  const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const token = `${base64({ alg: "RS256", kid: "1" })}.${base64({ sse: {} })}.${"A".repeat(342)}`;
  const answer = await fetch(`${server.url}/events`, { headers: { authorization: `Bearer ${token}` } });
  expect(answer.status).toBe(503);
  expectNone((await answer.text()) + server.lines.join("\n"), url);
});

const isMissing = Bun.which("redis-server") === null;
test.skipIf(isMissing)(
  `a Redis that fails is told of without its password${isMissing ? " (skipped: redis-server is not installed)" : ""}`,
  async () => {
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), "secrets-"));
    const options = ["--port", String(port), "--dir", folder, "--save", "", "--requirepass", ODD];
    const redis = Bun.spawn(["redis-server", ...options], { stdout: "ignore", stderr: "ignore" });
    const url = (password: string): string => `redis://:${password}@127.0.0.1:${port}?prefix=p`;
    try {
      let start = await runServer(["--log", url(`wrong${ENCODED}`)]);
      // It does not listen yet.
      await until(async () => {
        start = await runServer(["--log", url(`wrong${ENCODED}`)]);
        return start.error.includes("WRONGPASS");
      });
      expectNone(start.out + start.error, "a wrong password");
      await using server = await ServerProcess.start("--log-level", "debug", "--log", url(ENCODED));
      expect(server.lines[0]).toContain(`"log":"redis://***@127.0.0.1:${port}?prefix=p"`);
      redis.kill("SIGKILL");
      await until(async () => (await fetch(`${server.url}/readyz`)).status === 503);
      const answers = await Promise.all(
        ["/readyz", "/stats", "/metrics", "/events?topic=a"].map(async (path) =>
          (
            await fetch(`${server.url}${path}`, {
              headers: { accept: "*/*" },
              signal: AbortSignal.timeout(2000),
            }).catch(() => new Response())
          )
            .text()
            .catch(() => ""),
        ),
      );
      await until(() => server.lines.some((line) => line.includes("the log cannot keep events")));
      expectNone([...answers, ...server.lines].join("\n"), "a Redis that is gone");
    } finally {
      redis.kill("SIGKILL");
      await redis.exited;
      await rm(folder, { recursive: true });
    }
  },
);
