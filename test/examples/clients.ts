import { connect } from "../../examples/servers/graphql-sse/client.ts";
import { createClient } from "../../examples/servers/trpc/client.ts";
import { SseClient, until } from "../../apps/server/e2e/sse-client.ts";

/* One interface to all example servers: over plain HTTP, and with the official clients of tRPC and GraphQL over SSE. */

/** A client with a token. A refused request rejects with an error whose message has the HTTP status. */
export interface Client {
  publish(topic: string, data: string, options?: { end: boolean }): Promise<string>;
  /** Resolves when the stream is open. */
  follow(topic: string, lastEventId?: string): Promise<Following>;
  /** How many streams the server has open. */
  streams(): Promise<number>;
}

/** An open stream. */
export interface Following {
  /** The data of the published events so far. */
  readonly data: readonly string[];
  /** The topics that the server said have ended. */
  readonly endedTopics: readonly string[];
  /** True once the server has ended the stream. */
  readonly done: boolean;
  stop(): void;
}

/** @param url where `/events` and `/publish` are */
export function httpClient(url: string, token: string): Client {
  const headers = { authorization: `Bearer ${token}` };
  const succeed = (response: Response): Response => {
    if (response.status !== 200) throw new Error(`status ${response.status}`);
    return response;
  };
  return {
    async publish(topic, data, { end = false } = { end: false }) {
      const response = await fetch(`${url}/publish`, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: JSON.stringify({ topic, data, end }),
      });
      return ((await succeed(response).json()) as { id: string }).id;
    },
    async follow(topic, lastEventId = "") {
      const client = await SseClient.open(`${url}/events?topic=${topic}`, {
        ...headers,
        ...(lastEventId !== "" && { "last-event-id": lastEventId }),
      });
      succeed(client.response);
      await until(() => client.control("sse:ready").length === 1);
      return {
        get data() {
          return client.data;
        },
        get endedTopics() {
          return client.control("sse:end").map(({ topic: ended }) => ended as string);
        },
        get done() {
          return client.ended;
        },
        stop: () => client.close(),
      };
    },
    async streams() {
      const response = await fetch(`${url}/stats`, { headers });
      return ((await succeed(response).json()) as { streams: number }).streams;
    },
  };
}

/** What the tRPC and GraphQL servers yield. */
interface Yielded {
  readonly kind: string;
  readonly topic?: string | null;
  readonly data?: string | null;
}

/** Collects what is yielded, until there is no more. */
class Collected implements Following {
  readonly data: string[] = [];
  readonly endedTopics: string[] = [];
  done = false;
  /** Resolves when the stream is open, and rejects when it was refused. */
  readonly ready = Promise.withResolvers<void>();
  stop: () => void = () => {};

  add({ kind, topic, data }: Yielded): void {
    if (kind === "ready") this.ready.resolve();
    if (kind === "event") this.data.push(data!);
    if (kind === "end") this.endedTopics.push(topic!);
  }

  finish(error?: Error): void {
    this.done = true;
    if (error !== undefined) this.ready.reject(error);
  }
}

export function trpcClient(url: string, token: string): Client {
  const client = createClient(url, token);
  return {
    publish: (topic, data, { end } = { end: false }) =>
      client.publish.mutate({ topic, data, end }).catch((error: unknown) => {
        throw withTrpcStatus(error);
      }),
    async follow(topic, lastEventId) {
      const collected = new Collected();
      const subscription = client.events.subscribe(
        { topic, lastEventId },
        {
          onData: ({ data }) => collected.add(data),
          onComplete: () => collected.finish(),
          onError: (error) => collected.finish(withTrpcStatus(error)),
        },
      );
      collected.stop = () => subscription.unsubscribe();
      await collected.ready.promise;
      return collected;
    },
    streams: () => client.streams.query(),
  };
}

const withTrpcStatus = (error: unknown): Error => {
  const { data } = error as { data?: { httpStatus: number } };
  return new Error(`status ${data?.httpStatus}`, { cause: error });
};

export function graphqlClient(url: string, token: string): Client {
  const client = connect(url, token);
  async function* iterate<Data>(query: string, variables: Record<string, unknown>, stop?: Collected) {
    const results = client.iterate<Data>({ query, variables });
    if (stop !== undefined) stop.stop = () => void results.return?.();
    try {
      for await (const { data, errors } of results) {
        if (errors !== undefined) throw new Error(`status ${String(errors[0]!.extensions["status"])}`);
        yield data!;
      }
    } catch (error) {
      const { response } = error as { response?: Response };
      throw response === undefined ? error : new Error(`status ${response.status}`, { cause: error });
    }
  }
  async function once<Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> {
    for await (const data of iterate<Data>(query, variables)) return data;
    throw new Error("no result");
  }
  return {
    async publish(topic, data, { end } = { end: false }) {
      const query = `mutation ($topic: String!, $data: String!, $end: Boolean!) {
        publish(topic: $topic, data: $data, end: $end)
      }`;
      return (await once<{ publish: string }>(query, { topic, data, end })).publish;
    },
    async follow(topic, lastEventId) {
      const query = `subscription ($topic: String!, $lastEventId: ID) {
        events(topic: $topic, lastEventId: $lastEventId) { kind topic data }
      }`;
      const collected = new Collected();
      const results = iterate<{ events: Yielded }>(query, { topic, lastEventId }, collected);
      void (async () => {
        try {
          for await (const { events } of results) collected.add(events);
          collected.finish();
        } catch (error) {
          collected.finish(error as Error);
        }
      })();
      await collected.ready.promise;
      return collected;
    },
    streams: async () => (await once<{ streams: number }>("{ streams }")).streams,
  };
}
