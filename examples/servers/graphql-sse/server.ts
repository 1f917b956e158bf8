import { serve } from "@hono/node-server";
import { makeExecutableSchema } from "@graphql-tools/schema";
import { type Access, createAuthorize, readTokens } from "@sse/http";
import { createHub, type HubEvent, parseTopic } from "@sse/hub";
import { GraphQLError } from "graphql";
import { createHandler } from "graphql-sse/lib/use/fetch";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(process.env.SSE_TOKENS ?? "[]") });

const typeDefs = `
  type Event { kind: String! id: ID! topic: String type: String data: String }
  type Query { streams: Int! }
  type Mutation { publish(topic: String!, data: String!, end: Boolean): ID! }
  type Subscription { events(topic: String!, lastEventId: ID): Event! }
`;

interface Arguments {
  topic: string;
  data: string;
  end?: boolean;
  lastEventId?: string;
}

const forbidden = (): GraphQLError => new GraphQLError("Forbidden", { extensions: { status: 403 } });

type Context = { access: Access }; // a type, because graphql-sse needs an index signature

const resolvers = {
  Query: {
    streams: () => hub.stats().streams,
  },
  Mutation: {
    publish(_: unknown, { topic, ...message }: Arguments, { access }: Context) {
      if (!access.publish?.matches(parseTopic(topic))) throw forbidden();
      return hub.publish(topic, message);
    },
  },
  Subscription: {
    events: {
      subscribe(_: unknown, { topic, lastEventId }: Arguments, { access }: Context) {
        if (!access.subscribe?.matches(parseTopic(topic))) throw forbidden();
        // Not a generator around it: when the client leaves, that would wait for the next event.
        return hub.iterate({ topics: [topic], lastEventId });
      },
      resolve: (event: HubEvent) => event,
    },
  },
};

const handler = createHandler<Context>({
  schema: makeExecutableSchema({ typeDefs, resolvers }),
  context: async ({ raw }) => ({ access: await authorize(raw) }),
  async authenticate({ raw }) {
    try {
      await authorize(raw);
      return null; // a connection for each subscription
    } catch {
      return [null, { status: 401, statusText: "Unauthorized" }];
    }
  },
});

serve({ fetch: handler, port: Number(process.env.PORT ?? 3000) });
