import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrokerKind, BrokerProcess, freePort, missing } from "@sse/hub/test/broker-process.ts";
import { runServer, ServerProcess } from "./server-process.ts";
import { publish, SseClient, until } from "./sse-client.ts";

/* What users see of a broker that is away, comes back, has lost its data, or does not want us. */

const readyz = async (server: ServerProcess): Promise<number> => (await fetch(`${server.url}/readyz`)).status;

async function tryToPublish(
  server: ServerProcess,
  data: string,
): Promise<{ status: number; wait: string | null; detail: string; took: number }> {
  const began = performance.now();
  const response = await fetch(`${server.url}/publish`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ topic: "t", data, id: data }),
  });
  const { detail } = (await response.json()) as { detail: string };
  return {
    status: response.status,
    wait: response.headers.get("retry-after"),
    detail,
    took: performance.now() - began,
  };
}

for (const kind of ["redis", "nats"] satisfies BrokerKind[]) {
  const reason = missing(kind);
  describe.skipIf(reason !== "")(`a broker that is ${kind}${reason}`, () => {
    let broker: BrokerProcess;
    let servers: ServerProcess[];
    beforeAll(async () => {
      broker = await BrokerProcess.start(kind);
      servers = await Promise.all([1, 2].map(() => ServerProcess.start("--log", broker.url, "--no-demos")));
    });
    afterAll(async () => {
      for (const server of servers) await server.kill();
      await broker[Symbol.asyncDispose]();
    });

    test("what is published on one node comes to streams of another, and its id resumes there at once", async () => {
      const [one, other] = servers as [ServerProcess, ServerProcess];
      await using client = await SseClient.open(`${other.url}/events?topic=t`);
      await until(() => client.events.length > 0);
      const ids: unknown[] = [];
      for (let at = 0; at < 20; at++) {
        const { id } = await publish(one.url, { topic: "t", data: `${at}` });
        ids.push(id);
        await using resumed = await SseClient.open(`${other.url}/events?topic=t`, {
          "last-event-id": id as string,
        });
        await until(() => resumed.events.length > 0);
        expect(resumed.control("sse:ready")).toEqual([{ resume: "resumed", replayed: 0 }]);
      }
      expect(await client.receive(20)).toEqual(ids.map((_, at) => `${at}`));
      expect(client.events.slice(1).map(({ lastEventId }) => lastEventId)).toEqual(ids as string[]);
    });

    test("killed: publishers are told at once, streams stay, and everything acknowledged comes after the return", async () => {
      const [one, other] = servers as [ServerProcess, ServerProcess];
      await using client = await SseClient.open(`${one.url}/events?topic=t`);
      await until(() => client.events.length > 0);
      await publish(one.url, { topic: "t", data: "before" });
      await broker.kill();
      await until(async () => (await readyz(one)) === 503 && (await readyz(other)) === 503);
      const refused = await tryToPublish(one, "refused");
      expect(refused).toMatchObject({ status: 503, wait: expect.stringMatching(/^[0-9]+$/) as unknown });
      expect(refused.detail).toContain("nothing was published");
      await broker.start();
      await until(async () => (await readyz(one)) === 200 && (await readyz(other)) === 200);
      await publish(other.url, { topic: "t", data: "after" });
      expect(await client.receive(2)).toEqual(["before", "after"]);
      expect(client.ended).toBe(false);
      expect(client.control("sse:gap")).toEqual([]);
    });

    test("hanging: publishers are told within seconds what is not known, and the same id makes it sure", async () => {
      const [one, other] = servers as [ServerProcess, ServerProcess];
      await using client = await SseClient.open(`${other.url}/events?topic=t`);
      await until(() => client.events.length > 0);
      await broker.stop();
      const late = fetch(`${other.url}/events?topic=t&replay=1000`, {
        headers: { accept: "text/event-stream" },
      });
      const lost = await tryToPublish(one, "perhaps");
      expect(lost).toMatchObject({ status: 503, wait: expect.stringMatching(/^[0-9]+$/) as unknown });
      expect(lost.detail).toContain("publish again with the same id");
      await until(async () => (await readyz(one)) === 503);
      const refused = await tryToPublish(one, "refused");
      expect(refused.detail).toContain("nothing was published");
      expect(refused.took).toBeLessThan(lost.took / 2); // nobody waits for what is known to be away
      // An EventSource would never come again after any status but 200.
      expect((await late).status).toBe(200);
      expect(await (await late).text()).toMatch(
        /^event: sse:closing\nretry: [0-9]+\ndata: \{"reason":"overload"/,
      );
      broker.goOn();
      await until(async () => (await readyz(one)) === 200);
      await publish(one.url, { topic: "t", data: "perhaps", id: "perhaps" });
      await publish(one.url, { topic: "t", data: "sure" });
      // The node may have been behind with what was published before.
      const own = (): string[] => client.data.filter((data) => data !== "after");
      await until(() => own().length >= 2);
      expect(own()).toEqual(["perhaps", "sure"]);
    });

    test("wiped: every stream is told the gap, on every node, and goes on in one new life", async () => {
      const clients = await Promise.all(servers.map(({ url }) => SseClient.open(`${url}/events?topic=t`)));
      await until(() => clients.every(({ events }) => events.length > 0));
      const before = clients[0]!.lastEventId;
      await broker.kill();
      await broker.wipe();
      await broker.start();
      await until(async () => (await readyz(servers[0]!)) === 200);
      const { id } = await publish(servers[0]!.url, { topic: "t", data: "new" });
      for (const server of servers)
        await until(() => server.lines.some((line) => line.includes("the log was lost, or put back")));
      for (const client of clients) {
        expect(await client.receive(1)).toEqual(["new"]);
        expect(client.control("sse:gap")).toMatchObject([{ reason: "epoch", from: before }]);
        expect(client.lastEventId).toBe(id as string);
        client.close();
      }
    });

    test("put back to an earlier state: the numbers that come again are of a new life, and what is new is not lost", async () => {
      const [one, other] = servers as [ServerProcess, ServerProcess];
      await publish(one.url, { topic: "t", data: "kept" });
      await broker.kill();
      const copy = await mkdtemp(join(tmpdir(), "copy-"));
      await cp(broker.folder, copy, { recursive: true });
      await broker.start();
      await until(async () => (await readyz(one)) === 200 && (await readyz(other)) === 200);
      await using client = await SseClient.open(`${other.url}/events?topic=t`);
      await until(() => client.events.length > 0);
      for (const data of ["lost 1", "lost 2"]) await publish(one.url, { topic: "t", data });
      expect(await client.receive(2)).toEqual(["lost 1", "lost 2"]);
      const { lastEventId } = client;
      await broker.kill();
      await broker.wipe();
      await cp(copy, broker.folder, { recursive: true });
      await rm(copy, { recursive: true });
      await broker.start();
      await until(async () => (await readyz(one)) === 200 && (await readyz(other)) === 200);
      for (const data of ["new 1", "new 2", "new 3"]) await publish(one.url, { topic: "t", data });
      expect((await client.receive(5)).slice(2)).toEqual(["new 1", "new 2", "new 3"]);
      expect(client.control("sse:gap")).toMatchObject([{ reason: "epoch", from: lastEventId }]);
      await using late = await SseClient.open(`${one.url}/events?topic=t`, { "last-event-id": lastEventId });
      expect(await late.receive(3)).toEqual(["new 1", "new 2", "new 3"]);
      await using all = await SseClient.open(`${one.url}/events?topic=t&replay=all`);
      expect((await all.receive(4)).slice(-4)).toEqual(["kept", "new 1", "new 2", "new 3"]);
    });

    test("hanging: a node that is told to stop answers its publisher, and stops", async () => {
      await using server = await ServerProcess.start("--log", broker.url, "--no-demos");
      await publish(server.url, { topic: "t", data: "x" });
      await broker.stop();
      try {
        const lost = tryToPublish(server, "in flight");
        await Bun.sleep(100);
        server.process.kill("SIGTERM");
        expect((await lost).status).toBe(503);
        expect(await server.process.exited).toBe(0);
      } finally {
        broker.goOn();
      }
    });
  });
}

test("a node that is started while the broker is away, or with a wrong address, says in one line why it gives up", async () => {
  using silent = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { open: (socket) => void socket.end(), data() {} },
  });
  using hanging = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  using web = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const free = await freePort();
  const runs = [
    ["redis://nowhere.invalid:6379", "ENOTFOUND"],
    [`redis://127.0.0.1:${free}`, "is out of reach: connection refused: nothing listens there"],
    [`redis://127.0.0.1:${web.port}`, "what answers there is not a Redis"],
    [`redis://127.0.0.1:${silent.port}`, "if it speaks TLS, write rediss://"],
    [`rediss://127.0.0.1:${silent.port}`, "if it does not speak TLS, write redis://"],
    [`redis://127.0.0.1:${hanging.port}`, "is out of reach: no answer within 3000 ms"],
    [`redis+sentinel://127.0.0.1:${free},127.0.0.1:${hanging.port}/x`, "no sentinel tells where it is"],
    [`redis+cluster://127.0.0.1:${free},127.0.0.1:${free}`, "is out of reach: no node of it answers"],
    ["nats://nowhere.invalid:4222", "ENOTFOUND"],
    [`nats://127.0.0.1:${free}`, "is out of reach: connection refused"],
    [`nats://127.0.0.1:${web.port}`, "is out of reach: "],
  ].map(async ([url, words]) => {
    const { code, error } = await runServer(["--log", url!]);
    expect(code).toBe(2);
    expect(error).toMatch(/^error: cannot open the log that --log names: (Redis|NATS) .*\n$/);
    expect(error).toContain(words!);
  });
  await Promise.all(runs);
});

describe.skipIf(missing("redis") !== "")(`what Redis refuses${missing("redis")}`, () => {
  test("a wrong password is told, but not shown", async () => {
    await using broker = await BrokerProcess.start("redis", "--requirepass", "right");
    for (const [login, message] of [
      [":wrong-secret@", "WRONGPASS"],
      ["", "NOAUTH"],
    ]) {
      const { code, out, error } = await runServer(["--log", `redis://${login}127.0.0.1:${broker.port}`]);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(error).toMatch(
        /^error: cannot open the log that --log names: Redis at 127\.0\.0\.1:[0-9]+: .*\n$/,
      );
      expect(error).toContain(message!);
      expect(error).not.toContain("wrong-secret");
    }
    const noDatabase = await runServer(["--log", `redis://:right@127.0.0.1:${broker.port}/99`]);
    expect(noDatabase.error).toContain("DB index is out of range");
    await using server = await ServerProcess.start("--log", `redis://:right@127.0.0.1:${broker.port}`);
    expect(server.lines.join("\n")).not.toContain("right");
  });

  test("events beyond its memory: publishers and /readyz are told why, the log says it once, and it goes on by itself", async () => {
    await using broker = await BrokerProcess.start("redis", "--maxmemory-policy", "allkeys-lru");
    await using server = await ServerProcess.start("--log", broker.url, "--no-demos");
    expect(server.lines.join()).toContain("maxmemory-policy is allkeys-lru; set it to noeviction");
    await using client = await SseClient.open(`${server.url}/events?topic=t`);
    await until(() => client.events.length > 0);
    const redis = new Bun.RedisClient(broker.url);
    await redis.send("CONFIG", ["SET", "maxmemory-policy", "noeviction"]);
    await redis.send("CONFIG", ["SET", "maxmemory", "1"]);
    await until(async () => (await readyz(server)) === 503);
    for (let at = 0; at < 20; at++) {
      const refused = await tryToPublish(server, `${at}`);
      expect(refused).toMatchObject({ status: 503, wait: expect.stringMatching(/^[0-9]+$/) as unknown });
      expect(refused.detail).toMatch(/Redis is at its maxmemory: .* nothing was published$/);
      const ready = await fetch(`${server.url}/readyz`);
      expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining("at its maxmemory")]);
    }
    await redis.send("CONFIG", ["SET", "maxmemory", "0"]);
    redis.close();
    await until(async () => (await readyz(server)) === 200);
    await publish(server.url, { topic: "t", data: "after" });
    expect(await client.receive(1)).toEqual(["after"]);
    const told = server.lines.filter(
      (line) => line.includes("cannot keep events") || line.includes("is back"),
    );
    expect(told).toHaveLength(2);
  });

  test("a key that is something else", async () => {
    await using broker = await BrokerProcess.start("redis");
    const redis = new Bun.RedisClient(broker.url);
    await redis.set("{other}", "x");
    redis.close();
    const { code, error } = await runServer(["--log", `${broker.url}?prefix=other`]);
    expect(code).toBe(2);
    expect(error).toMatch(/^error: cannot open the log that --log names: .*WRONGTYPE.*\n$/);
  });
});

describe.skipIf(missing("nats") !== "")(`what NATS refuses${missing("nats")}`, () => {
  test("a wrong password is told, but not shown", async () => {
    await using broker = await BrokerProcess.start("nats", "--user", "me", "--pass", "right");
    const { code, out, error } = await runServer([
      "--log",
      `nats://me:wrong-secret@127.0.0.1:${broker.port}`,
    ]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(error).toMatch(
      /^error: cannot open the log that --log names: NATS at .*Authorization Violation.*\n$/i,
    );
    expect(error).not.toContain("wrong-secret");
    await using server = await ServerProcess.start("--log", `nats://me:right@127.0.0.1:${broker.port}`);
    expect(server.lines.join("\n")).not.toContain("right");
  });

  test("a server without JetStream", async () => {
    await using broker = await BrokerProcess.start("nats", "--no-jetstream");
    const { code, error } = await runServer(["--log", broker.url]);
    expect(code).toBe(2);
    expect(error).toMatch(/^error: cannot open the log that --log names: .*JetStream is not enabled.*\n$/);
  });
});
