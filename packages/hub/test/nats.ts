import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { systemClock } from "../src/clock.ts";
import type { NatsClient } from "../src/log/nats/client.ts";
import { EndedTopics } from "../src/log/nats/ended-topics.ts";

/** What another program sees of the server, and does to it. */
export async function manage<T>(
  url: string,
  use: (manager: JetStreamManager, connection: NatsConnection) => Promise<T>,
): Promise<T> {
  const connection = await connect({ servers: url });
  try {
    return await use(await jetstreamManager(connection), connection);
  } finally {
    await connection.close();
  }
}

/**
 * Makes a stream for a log, which keeps it in memory. When it is deleted nothing is left of it: nats-server removes files a
 * moment later, and those of a stream with them that has been made anew by then.
 */
export async function makeStream(
  { streams }: JetStreamManager,
  name: string,
  description = "",
): Promise<void> {
  const { StorageType } = await import("@nats-io/jetstream");
  const config = { subjects: [`${name}.>`], allow_direct: true, storage: StorageType.Memory };
  await streams.add({ name, ...config, ...(description === "" ? {} : { description }) });
}

/** As a node has it of its connection. */
export async function natsClient(
  manager: JetStreamManager,
  connection: NatsConnection,
  prefix: string,
): Promise<NatsClient> {
  const nats = { ...(await import("@nats-io/jetstream")), ...(await import("@nats-io/transport-node")) };
  return {
    nats,
    connection,
    manager,
    jetstream: manager.jetstream(),
    prefix,
    config: { subjects: [`${prefix}.>`], allow_direct: true, num_replicas: 1 },
    clock: systemClock,
    ends: { table: new EndedTopics("", 0) },
    onFound: () => {},
    warn: () => {},
  };
}
