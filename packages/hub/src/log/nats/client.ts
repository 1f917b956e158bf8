import type { JetStreamClient, JetStreamManager, StreamConfig, StreamInfo } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Clock } from "../../clock.ts";
import type { EndedTopics } from "./ended-topics.ts";

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
  readonly clock: Clock;
  /** The node's own, from one connection to the next. */
  readonly ends: { table: EndedTopics };
  /** Told of a stream that was there. */
  readonly onFound: (info: StreamInfo) => void;
  /** Tells those who run it, once of each kind. */
  readonly warn: (kind: "foreign" | "ends", message: string) => void;
}

/** What the log uses of the packages of NATS. */
export type NatsPackages = typeof import("@nats-io/transport-node") & typeof import("@nats-io/jetstream");

/** The most bytes of a message that the server takes. */
export function maxPayload({ info }: NatsConnection): number {
  return info?.max_payload ?? 2 ** 20;
}
