import { BrokerRefusal } from "../broker/broker.ts";
import type { NatsClient } from "./client.ts";

/** An error as those who run the log should read it. What the server answers with 5xx is mostly that it cannot do it at the moment. */
export function refusalOf({ nats, config }: NatsClient, error: unknown): unknown {
  if (!(error instanceof nats.JetStreamApiError)) return error;
  const { code, status, message } = error;
  const { num_replicas: replicas } = config;
  if (code === NO_CLUSTER_FOR_REPLICAS || (code === NO_SERVERS_FOR_REPLICAS && replicas !== 1)) {
    return new BrokerRefusal(
      `replicas=${replicas} wants as many servers with JetStream in a cluster, and there are not so many (${message})`,
      { cause: error },
    );
  }
  return status < 500 ? new BrokerRefusal(message, { cause: error }) : error;
}

/** JetStream's codes for errors: nats-server, server/errors.json. */
const NO_CLUSTER_FOR_REPLICAS = 10_074;
const NO_SERVERS_FOR_REPLICAS = 10_005;
