import { afterEach, describe, expect, test } from "bun:test";
import { createHub, type EventLog, HubError, MemoryLog } from "@sse/hub";
import { Elysia } from "elysia";
import * as z from "zod";
import { Admission } from "./admission.ts";
import { type Access, accessOf, type Authorize, unauthorized } from "./auth/access.ts";
import { sse } from "./plugin.ts";

const ALL = { subscribe: ["**"], publish: ["**"], admin: true };
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function setUp(authorize?: Authorize, { rate = null, log }: { rate?: number | null; log?: EventLog } = {}) {
  const schemas = { t: z.any(), "t/*": z.any(), strict: z.number() };
  const hub = createHub({ schemas, ...(log && { log }) });
  stops.push(() => hub.close());
  const admission = new Admission(hub, { publishRate: rate });
  const app = new Elysia().use(sse({ hub, authorize, admission }));
  const post = async (
    body: string | ReadableStream,
    { path = "/publish", type = "application/json", headers = {} } = {},
  ): Promise<{ status: number; detail: string }> => {
    const response = await app.handle(
      new Request(`http://localhost${path}`, {
        method: "POST",
        headers: { "content-type": type, ...headers },
        body,
      }),
    );
    return {
      status: response.status,
      detail: ((await response.json()) as { detail: string }).detail,
    };
  };
  return { hub, post };
}

/** A body whose end comes when it is let. */
function late(text: string, end: Promise<unknown>): ReadableStream {
  return new ReadableStream({
    async start(controller) {
      controller.enqueue(Buffer.from(text.slice(0, 3)));
      await end;
      controller.enqueue(Buffer.from(text.slice(3)));
      controller.close();
    },
  });
}

const EVENT = '{"topic":"t","data":1}';
const ROUTES = [
  ["/publish", EVENT],
  ["/publish", `[${EVENT},${EVENT}]`],
  ["/drain", "{}"],
] as const;

describe.each(ROUTES)("%s %s", (path, body) => {
  test("is refused when the token has expired before the body was there", async () => {
    const expires = Date.now() + 30;
    const { hub, post } = setUp(() => accessOf(ALL, { expires }));
    const expired = (async () => {
      while (Date.now() < expires) await Bun.sleep(1);
    })();
    expect(await post(late(body, expired), { path })).toEqual({
      status: 401,
      detail: "the token has expired",
    });
    expect(hub.stats().published).toBe(0);
    expect((await post(late(body, Promise.resolve()), { path })).status).toBe(401);
  });

  test("is refused when a session has ended while the body took its time, or may less", async () => {
    let session: Access | null = accessOf(ALL);
    const authorize: Authorize = () => {
      if (session === null) throw unauthorized("the session has ended");
      return session;
    };
    const { hub, post } = setUp(authorize);
    const ended = Bun.sleep(1100).then(() => void (session = null));
    expect(await post(late(body, ended), { path })).toEqual({ status: 401, detail: "the session has ended" });
    session = accessOf(ALL);
    const reduced = Bun.sleep(1100).then(() => void (session = accessOf({ publish: ["other"] })));
    expect((await post(late(body, reduced), { path })).status).toBe(403);
    expect(hub.stats().published).toBe(0);
  });
});

test("access that is found out anew may have expired already", async () => {
  let expires: number | null = null;
  const { hub, post } = setUp(() => accessOf(ALL, { expires }));
  const ended = Bun.sleep(1100).then(() => void (expires = Date.now() - 1));
  expect(await post(late(EVENT, ended))).toEqual({ status: 401, detail: "the token has expired" });
  expect(hub.stats().published).toBe(0);
});

test("who listens and throws harms no request", async () => {
  const hub = createHub();
  stops.push(() => hub.close());
  const errors: unknown[] = [];
  const fail = (): never => {
    throw new Error("a metric");
  };
  const admission = new Admission(hub, {
    onPublished: fail,
    onRefused: fail,
    onError: (error) => errors.push(error),
  });
  const app = new Elysia().use(sse({ hub, admission }));
  const post = async (body: string): Promise<number> => {
    const headers = { "content-type": "application/json" };
    return (await app.handle(new Request("http://localhost/publish", { method: "POST", headers, body })))
      .status;
  };
  expect([await post(EVENT), await post("{}")]).toEqual([200, 400]);
  expect(errors).toHaveLength(2);
});

describe("what is refused costs nothing of the rate", () => {
  /** A log that fails when it is told to. */
  class FailingLog extends MemoryLog {
    fails = true;
    override append(events: Parameters<MemoryLog["append"]>[0]): ReturnType<MemoryLog["append"]> {
      if (this.fails) throw new HubError("log-failed", "the disk is full");
      return super.append(events);
    }
  }

  const many = (count: number): string => `[${Array.from({ length: count }, () => EVENT).join(",")}]`;

  test.each<[string, number, string, Record<string, unknown>]>([
    ["too many events", 413, many(10_001), {}],
    ["too many lines", 413, `${EVENT}\n`.repeat(10_001), { type: "application/x-ndjson" }],
    ["no JSON", 400, "[1", {}],
    ["a wrong field", 400, `[${EVENT},{"topic":"t","dada":1}]`, {}],
    ["a bad topic", 400, `[${EVENT},{"topic":"a b","data":1}]`, {}],
    ["what a schema refuses", 400, '{"topic":"strict","data":"x"}', {}],
    ["what a schema refuses, among others", 400, `[${EVENT},{"topic":"strict","data":"x"}]`, {}],
    ["another type", 415, EVENT, { type: "text/html" }],
    ["another page's", 403, EVENT, { headers: { origin: "http://evil.example" } }],
    ["a topic that is not allowed", 403, `[${EVENT},{"topic":"strict","data":1}]`, {}],
    ["no token", 401, EVENT, { headers: { "x-none": "1" } }],
    ["what the log cannot keep", 503, many(100), { fails: true }],
    ["one that the log cannot keep", 503, EVENT, { fails: true }],
  ])("%s", async (name, status, body, { fails = false, ...how }) => {
    const log = new FailingLog();
    log.fails = fails as boolean;
    const allowed = name === "a topic that is not allowed" ? ["t"] : ["**"];
    const authorize: Authorize = ({ headers }) => {
      if (headers.has("x-none")) throw unauthorized();
      return accessOf({ publish: allowed }, { principal: "me" });
    };
    const { hub, post } = setUp(authorize, { rate: 1, log });
    for (let at = 0; at < 20; at++) expect((await post(body, how)).status).toBe(status);
    log.fails = false;
    expect(hub.stats().published).toBe(0);
    expect((await post(EVENT)).status).toBe(200);
    expect((await post(EVENT)).status).toBe(200);
    const over = await post(EVENT);
    expect(over.status).toBe(429);
    expect(over.detail).toContain("rate of 1 events a second");
    await hub.close();
  });

  test("but what the log may have kept is counted", async () => {
    const log = new MemoryLog();
    log.append = () => {
      throw new HubError("log-unanswered", "no answer: it may have been published");
    };
    const { hub, post } = setUp(undefined, { rate: 1, log });
    const statuses = [];
    for (let at = 0; at < 3; at++) statuses.push((await post(EVENT)).status);
    expect(statuses).toEqual([503, 503, 429]);
    await hub.close();
  });

  test("and a hundred at once do not pass for the same", async () => {
    const { hub, post } = setUp(undefined, { rate: 5 });
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 100 }, () => post(EVENT)));
    const taken = answers.filter(({ status }) => status === 200).length;
    expect(hub.stats().published).toBe(taken);
    expect(taken).toBeGreaterThanOrEqual(6);
    expect(taken).toBeLessThanOrEqual(6 + Math.ceil(((performance.now() - began) / 1000) * 5));
    await hub.close();
  });

  test("and an array that the burst is smaller than is taken whole, and one only", async () => {
    const { hub, post } = setUp(undefined, { rate: 5 });
    const answers = await Promise.all(Array.from({ length: 100 }, () => post(many(2000))));
    expect(answers.filter(({ status }) => status === 200).length).toBe(1);
    expect(hub.stats().published).toBe(2000);
    await hub.close();
  });
});
