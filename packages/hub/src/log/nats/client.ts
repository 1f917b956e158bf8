import type { JetStreamClient, JetStreamManager, StreamConfig, StreamInfo } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";

/** What the log uses of the packages of NATS. */
export type NatsPackages = typeof import("@nats-io/transport-node") & typeof import("@nats-io/jetstream");

/** A connection, and the stream that the log is in. */
export interface NatsClient {
  readonly nats: NatsPackages;
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly jetstream: JetStreamClient;
  /** The name of the stream, and what its subjects begin with. */
  readonly prefix: string;
  /** What a stream is made with. */
  readonly config: Partial<StreamConfig>;
  /** Told of a stream that was there. */
  readonly onFound: (info: StreamInfo) => void;
}
