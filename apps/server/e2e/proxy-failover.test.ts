import { expect, test } from "bun:test";
import { join } from "node:path";
import { BrokerProcess, missing } from "@sse/hub/test/broker-process.ts";
import { missingFor, ProxyProcess } from "./proxy-process.ts";
import { ServerProcess } from "./server-process.ts";
import { SseClient, until } from "./sse-client.ts";

/* What compose.yaml describes, without containers: the configurations for several nodes before three of them on one Redis. */

const ROOT = new URL("../../../", import.meta.url).pathname;
const NODES = ["node1", "node2", "node3"];
const tls = { rejectUnauthorized: false };

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

/** Which node has the stream that is open. */
async function holder(nodes: readonly ServerProcess[]): Promise<ServerProcess> {
  for (;;) {
    for (const node of nodes) {
      const { streams } = (await (await fetch(`${node.url}/stats`)).json()) as { streams: number };
      if (streams === 1) return node;
    }
  }
}

for (const config of ["nginx.conf", "Caddyfile.nodes"] as const) {
  const reason = missingFor(config) || missing("redis");
  for (const withTls of [false, true]) {
    test.skipIf(reason !== "")(
      `${config}${withTls ? " with TLS" : ""}: a stream goes on at another node when its own is killed${reason}`,
      async () => {
        await using broker = await BrokerProcess.start("redis");
        await using stack = new AsyncDisposableStack();
        const nodes = await Promise.all(
          NODES.map(async () => stack.use(await ServerProcess.start("--log", broker.url, "--no-demos"))),
        );
        const ports = nodes.map(({ port }) => port);
        await using proxy = await ProxyProcess.start(config, ports, { withTls });
        const post = async (data: string): Promise<void> => {
          const headers = { "content-type": "text/plain" };
          const request = { method: "POST", body: data, headers, tls };
          await until(async () => {
            const { status } = await fetch(`${proxy.url}/publish?topic=t`, request);
            // Caddy's configuration says why.
            if (config === "Caddyfile.nodes" && status === 502) return false;
            expect(status).toBe(200); // no publisher sees that a node is gone
            return true;
          });
        };
        const isReady = (): Promise<boolean> =>
          fetch(`${proxy.url}/readyz`, { tls }).then(
            ({ ok }) => ok,
            () => false,
          );
        await until(isReady);
        const seen: string[] = [];
        let lastEventId = "";
        for (let round = 0; round < 3; round++) {
          const headers: Record<string, string> = lastEventId === "" ? {} : { "last-event-id": lastEventId };
          await using client = await SseClient.open(`${proxy.url}/events?topic=t`, headers, tls);
          await until(() => client.control("sse:ready").length === 1);
          await post(`${round}`);
          await client.receive(round === 0 ? 1 : 2);
          seen.push(...client.data);
          ({ lastEventId } = client);
          expect(client.control("sse:gap")).toEqual([]);
          if (round === 2) break;
          const node = await holder(
            nodes.filter((each) => each.process.exitCode === null && !each.process.killed),
          );
          await node.kill();
          await until(() => client.ended);
          await post(`${round} while away`);
        }
        expect(seen).toEqual(["0", "0 while away", "1", "1 while away", "2"]);
      },
    );
  }
}
