import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import type { BrokerProcess } from "@sse/hub/test/broker-process.ts";

/** An event as it stands in the broker, with the id that it goes by. */
export interface Stored {
  readonly id: string;
  readonly topic: string;
  readonly data: string;
}

/** What the broker holds, in its order, read by other ways than the server's. */
export function contents(broker: BrokerProcess): Promise<Stored[]> {
  return broker.kind === "redis" ? inRedis(broker.port) : inNats(broker.port);
}

/** By redis-cli. */
async function inRedis(port: number): Promise<Stored[]> {
  const cli = async (...command: string[]): Promise<unknown> => {
    const child = Bun.spawn(["redis-cli", "-p", String(port), "-3", "--json", ...command], {
      stdout: "pipe",
    });
    return JSON.parse(await child.stdout.text()) as unknown;
  };
  const epoch = (await cli("HGET", "{sse}", "epoch")) as string;
  const entries = (await cli("XRANGE", `{sse}:${epoch}:log`, "-", "+")) as [string, string[]][];
  return entries.map(([id, [, names, , value]]) => ({
    id: `${epoch}-${id.split("-")[0]}`,
    topic: names!.split("\0")[0]!,
    data: value!.slice(value!.indexOf("\n") + 1),
  }));
}

/** Message by message, by the stream's own numbers. */
async function inNats(port: number): Promise<Stored[]> {
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  const manager = await jetstreamManager(connection);
  const { config, state } = await manager.streams.info("sse");
  const epoch = /epoch=([a-z0-9]+)/.exec(config.description!)![1]!;
  const stored: Stored[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage("sse", { seq });
    const rows = message!.json<[topic: string, key: string, id: string, type: string, data: string][]>();
    for (const [at, [topic, , , , data]] of rows.entries()) {
      stored.push({ id: `${epoch}-${seq * 16_384 - rows.length + 1 + at}`, topic, data });
    }
  }
  await connection.close();
  return stored;
}
