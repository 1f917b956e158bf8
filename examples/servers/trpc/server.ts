import { serve } from "@hono/node-server";
import { type Access, createAuthorize, readTokens } from "@sse/http";
import { createHub, parseTopic } from "@sse/hub";
import { initTRPC, tracked, TRPCError } from "@trpc/server";
import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import * as z from "zod";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(process.env.SSE_TOKENS ?? "[]") });
const { procedure, router } = initTRPC.context<Access>().create();

const appRouter = router({
  streams: procedure.query(() => hub.stats().streams),

  events: procedure
    .input(z.object({ topic: z.string(), lastEventId: z.string().optional() }))
    .subscription(async function* ({ ctx, input: { topic, lastEventId }, signal }) {
      if (!ctx.subscribe?.matches(parseTopic(topic))) throw new TRPCError({ code: "FORBIDDEN" });
      for await (const event of hub.iterate({ topics: [topic], lastEventId, signal })) {
        // The client reconnects after this error. After a normal end it would not.
        if (event.kind === "closing") throw new TRPCError({ code: "SERVICE_UNAVAILABLE" });
        yield tracked(event.id, event);
      }
    }),

  publish: procedure
    .input(z.object({ topic: z.string(), data: z.string(), end: z.boolean().default(false) }))
    .mutation(({ ctx, input: { topic, data, end } }) => {
      if (!ctx.publish?.matches(parseTopic(topic))) throw new TRPCError({ code: "FORBIDDEN" });
      return hub.publish(topic, { data, end });
    }),
});
export type AppRouter = typeof appRouter;

async function createContext({ req }: { req: Request }): Promise<Access> {
  try {
    return await authorize(req);
  } catch (cause) {
    throw new TRPCError({ code: "UNAUTHORIZED", cause });
  }
}

serve({
  fetch: (req) => fetchRequestHandler({ endpoint: "/trpc", req, router: appRouter, createContext }),
  port: Number(process.env.PORT ?? 3000),
});
