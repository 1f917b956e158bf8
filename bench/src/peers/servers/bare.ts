/** What a publish endpoint costs before it does anything: the body is parsed, and answered with an id for each event. */
import { Elysia } from "elysia";
import { nextId } from "./event-ids.ts";

new Elysia({ serve: { idleTimeout: 0, reusePort: false } })
  .post("/publish", ({ body }) => (Array.isArray(body) ? { ids: body.map(nextId) } : { id: nextId() }))
  .listen({ hostname: "127.0.0.1", port: Number(process.argv[2]) });
