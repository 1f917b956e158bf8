import { expect, test } from "bun:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BrokerProcess, freePort, missing } from "@sse/hub/test/broker-process.ts";
import { SentinelGroup } from "@sse/hub/test/redis-groups.ts";
import { makeCertificate } from "./certificate.ts";
import { runServer, ServerProcess } from "./server-process.ts";
import { publish, SseClient, until } from "./sse-client.ts";

/* Brokers of several servers, of which one dies, and a Redis behind TLS. */

/** Publishes until it is acknowledged. */
async function insist(urls: readonly string[], event: { topic: string; data: string }): Promise<string> {
  let id = "";
  let tries = 0;
  await until(async () => {
    try {
      ({ id } = (await publish(urls[tries++ % urls.length]!, { ...event, id: event.data })) as {
        id: string;
      });
      return true;
    } catch (error) {
      if (!String(error).startsWith("Error: 503")) throw error;
      return false;
    }
  });
  return id;
}

test.skipIf(missing("nats") !== "")(
  `in a cluster of NATS, what was acknowledged survives the server that led${missing("nats")}`,
  async () => {
    const routes = await Promise.all([1, 2, 3].map(() => freePort()));
    const all = routes.map((port) => `nats://127.0.0.1:${port}`).join();
    const flags = (port: number) =>
      `-n n${port} --cluster_name c --cluster nats://127.0.0.1:${port} --routes ${all}`.split(" ");
    const brokers = await Promise.all(routes.map((port) => BrokerProcess.start("nats", ...flags(port))));
    const hosts = brokers.map(({ port }) => `127.0.0.1:${port}`);
    const connection = await connect({ servers: hosts, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    try {
      // The servers have to find together before there is a JetStream.
      const manager = await jetstreamManager(connection, { checkAPI: false });
      const ready = () =>
        manager.getAccountInfo().then(
          () => true,
          () => false,
        );
      await until(ready);
      const log = `nats://${hosts.join()}?replicas=3`;
      const servers = await Promise.all([1, 2].map(() => ServerProcess.start("--log", log, "--no-demos")));
      const urls = servers.map(({ url }) => url);
      const clients = await Promise.all(urls.map((url) => SseClient.open(`${url}/events?topic=t`)));
      await until(() => clients.every(({ events }) => events.length > 0));

      const acknowledged: string[] = [];
      let killed = Infinity;
      for (let at = 0; at < 300 && at < killed + 50; at++) {
        acknowledged.push(await insist(urls, { topic: "t", data: `${at}` }));
        if (at !== 50) continue;
        const { cluster } = await manager.streams.info("sse");
        const leader = routes.findIndex((port) => `n${port}` === cluster!.leader);
        void brokers[leader]!.kill();
        killed = at;
      }
      for (const client of clients) {
        await until(() => client.data.length >= acknowledged.length);
        expect(client.data).toEqual(acknowledged.map((_, at) => `${at}`));
        expect(client.events.slice(1).map(({ lastEventId }) => lastEventId)).toEqual(acknowledged);
        expect(client.control("sse:gap")).toEqual([]);
        client.close();
      }
      await using late = await SseClient.open(`${urls[1]}/events?topic=t`, {
        "last-event-id": acknowledged[9]!,
      });
      expect((await late.receive(acknowledged.length - 10))[0]).toBe("10");
      expect(late.control("sse:ready")).toMatchObject([{ resume: "resumed" }]);
      for (const server of servers) await server.kill();
    } finally {
      await connection.close();
      for (const broker of brokers) await broker[Symbol.asyncDispose]();
    }
  },
);

test.skipIf(missing("redis") !== "")(
  `what a replica of Redis did not have when it took over is told as a gap${missing("redis")}`,
  async () => {
    await using primary = await BrokerProcess.start("redis", "--repl-diskless-sync-delay", "0");
    await using replica = await BrokerProcess.start("redis", "--replicaof", "127.0.0.1", `${primary.port}`);
    const [one, other] = [primary, replica].map(({ url }) => new Bun.RedisClient(url)) as [
      Bun.RedisClient,
      Bun.RedisClient,
    ];
    await using server = await ServerProcess.start("--log", primary.url, "--no-demos");
    await using client = await SseClient.open(`${server.url}/events?topic=t`);
    await until(() => client.events.length > 0);
    for (const data of ["1", "2", "3"]) await publish(server.url, { topic: "t", data });
    await until(async () => (await one.send("WAIT", ["1", "1000"])) === 1);
    // The replica is cut off from here on, and the primary goes on alone for a while, as in a failover.
    await other.send("REPLICAOF", ["NO", "ONE"]);
    for (const data of ["lost 1", "lost 2"]) await publish(server.url, { topic: "t", data });
    expect(await client.receive(5)).toEqual(["1", "2", "3", "lost 1", "lost 2"]);
    const last = client.lastEventId;
    one.close();
    await primary.kill();
    await other.send("CONFIG", ["SET", "port", `${primary.port}`]); // the name leads to the new primary now
    other.close();
    for (const data of ["4", "5", "6"]) await insist([server.url], { topic: "t", data });
    expect((await client.receive(8)).slice(5)).toEqual(["4", "5", "6"]);
    expect(client.control("sse:gap")).toMatchObject([{ reason: "epoch", from: last }]);
    await using late = await SseClient.open(`${server.url}/events?topic=t`, { "last-event-id": last });
    expect(await late.receive(3)).toEqual(["4", "5", "6"]);
    expect(late.control("sse:gap")).toMatchObject([{ reason: "epoch", from: last }]);
  },
);

test.skipIf(missing("redis") !== "")(
  `behind Sentinel, what a replica of Redis had acknowledged survives the primary${missing("redis")}`,
  async () => {
    await using group = await SentinelGroup.start();
    const hosts = group.sentinels.map(({ port }) => `127.0.0.1:${port}`).join();
    const [password, sentinelPassword] = [SentinelGroup.password, SentinelGroup.sentinelPassword].map(
      encodeURIComponent,
    );
    const log = `redis+sentinel://:${password}@${hosts}/primary?sentinel_password=${sentinelPassword}&wait_replicas=1`;
    const servers = await Promise.all([1, 2].map(() => ServerProcess.start("--log", log, "--no-demos")));
    const urls = servers.map(({ url }) => url);
    const client = await SseClient.open(`${urls[0]}/events?topic=t`);
    await until(() => client.events.length > 0);
    const primary = await group.primary();
    const acknowledged: string[] = [];
    for (let at = 0; at < 60; at++) {
      acknowledged.push(await insist(urls, { topic: "t", data: `${at}` }));
      if (at === 20) void primary.kill();
    }
    await until(() => client.lastEventId === acknowledged.at(-1));
    const had = client.events.filter(({ type }) => !type.startsWith("sse:"));
    const kept = had.filter(({ lastEventId }) => acknowledged.includes(lastEventId));
    expect(kept.map(({ data }) => data)).toEqual(acknowledged.map((_, at) => `${at}`));
    expect(kept.map(({ lastEventId }) => lastEventId)).toEqual(acknowledged);
    // An event that the primary had alone was not acknowledged: who was sent it is told that it is gone.
    const gaps = had.length > kept.length ? [{ reason: "epoch" }] : [];
    expect(client.control("sse:gap")).toMatchObject(gaps);
    client.close();
    for (const server of servers) {
      expect(server.lines.join("\n")).not.toMatch(/secret/);
      await server.kill();
    }
  },
);

const openssl = Bun.which("openssl") === null ? " (skipped: openssl is not installed)" : missing("redis");

test.skipIf(openssl !== "")(
  `Redis over TLS is used, and one that is not trusted is not${openssl}`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "redis-tls-"));
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    makeCertificate(cert, key);
    const port = await freePort();
    const flags = `--tls-port ${port} --tls-cert-file ${cert} --tls-key-file ${key} --tls-auth-clients no`;
    await using _ = await BrokerProcess.start("redis", ...flags.split(" "));
    const log = ["--log", `rediss://127.0.0.1:${port}`];
    await using server = await ServerProcess.startWith({ NODE_EXTRA_CA_CERTS: cert }, ...log, "--no-demos");
    await using client = await SseClient.open(`${server.url}/events?topic=t`);
    await until(() => client.events.length > 0);
    await publish(server.url, { topic: "t", data: "over TLS" });
    expect(await client.receive(1)).toEqual(["over TLS"]);
    const { code, error } = await runServer(log);
    expect(code).toBe(2);
    expect(error).toContain("its certificate is not trusted (self signed certificate)");
    await rm(folder, { recursive: true });
  },
);
