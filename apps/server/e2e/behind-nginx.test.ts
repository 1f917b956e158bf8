import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BrokerProcess, freePort, missing } from "@sse/hub/test/broker-process.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, SseClient, until } from "./sse-client.ts";

/* The set-up that compose.yaml describes, without containers: its nginx configuration before three nodes on one Redis. */

const ROOT = new URL("../../../", import.meta.url).pathname;
const NODES = ["node1", "node2", "node3"];
const reason = Bun.which("nginx") === null ? " (skipped: nginx is not installed)" : missing("redis");

test("compose.yaml starts what nginx.conf names", async () => {
  const { services } = Bun.YAML.parse(await Bun.file(join(ROOT, "compose.yaml")).text()) as {
    services: Record<string, { depends_on?: string[]; volumes?: string[]; build?: string }>;
  };
  const nginx = await Bun.file(join(ROOT, "docs/deploy/nginx.conf")).text();
  expect([...nginx.matchAll(/server (\w+):3000/g)].map(([, name]) => name!)).toEqual(NODES);
  expect(services.nginx!.depends_on).toEqual(NODES);
  expect(services.nginx!.volumes![0]).toStartWith("./docs/deploy/nginx.conf:");
  for (const name of NODES) expect(services[name]!.build).toBe(".");
});

test.skipIf(reason !== "")(
  `streams go on through nginx when their node is killed${reason}`,
  async () => {
    await using broker = await BrokerProcess.start("redis");
    const nodes = await Promise.all(NODES.map(() => ServerProcess.start("--log", broker.url, "--no-demos")));
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), "nginx-"));
    let config = await Bun.file(join(ROOT, "docs/deploy/nginx.conf")).text();
    for (const [at, name] of NODES.entries())
      config = config.replace(`${name}:3000`, `127.0.0.1:${nodes[at]!.port}`);
    config = config.replace("listen 8080", `listen 127.0.0.1:${port}`);
    await Bun.write(join(folder, "nginx.conf"), `pid ${folder}/pid;\ndaemon off;\n${config}`);
    const nginx = Bun.spawn(
      ["nginx", "-p", folder, "-c", "nginx.conf", "-e", `${folder}/error.log`, "-g", ""],
      {
        stdout: "ignore",
        stderr: "inherit",
      },
    );
    const url = `http://127.0.0.1:${port}`;
    try {
      await until(() =>
        fetch(`${url}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        ),
      );
      const seen: string[] = [];
      let lastEventId = "";
      for (let round = 0; round < 3; round++) {
        const client = await SseClient.open(
          `${url}/events?topic=t`,
          lastEventId === "" ? {} : { "last-event-id": lastEventId },
        );
        expect(client.response.headers.get("content-type")).toBe("text/event-stream");
        await until(() => client.events.length > 0);
        const sent = performance.now();
        await publish(url, { topic: "t", data: `${round}` });
        await client.receive(round === 0 ? 1 : 2);
        expect(performance.now() - sent).toBeLessThan(2000); // nothing is held back
        seen.push(...client.data);
        ({ lastEventId } = client);
        expect(client.control("sse:gap")).toEqual([]);
        // Whichever node it was on, the stream ends with it, and what comes meanwhile is there afterwards.
        if (round < 2) {
          await nodes[round]!.kill();
          client.close();
          await until(async () => (await fetch(`${url}/readyz`)).ok);
          await publish(url, { topic: "t", data: `${round} while away` });
        }
      }
      expect(seen).toEqual(["0", "0 while away", "1", "1 while away", "2"]);
    } finally {
      nginx.kill();
      await nginx.exited;
      for (const node of nodes) await node.kill();
      await rm(folder, { recursive: true });
    }
  },
  30_000,
);
