/** Elysia's generator with `sse()` on Bun: a loop for each client, that waits for its queue. */
import { Elysia, sse } from "elysia";
import { ClientQueue } from "./client-queue.ts";
import { nextId } from "./event-ids.ts";

const clients = new Set<ClientQueue>();

new Elysia({ serve: { idleTimeout: 0, reusePort: false } })
  .get("/events", async function* events({ request }) {
    const queue = new ClientQueue();
    clients.add(queue);
    request.signal.addEventListener("abort", () => {
      clients.delete(queue);
      queue.end();
    });
    // Elysia sends the response head with what is yielded first.
    yield sse({ event: "ready", data: "" });
    for await (const { id, data } of queue) yield sse({ id, data });
  })
  .post(
    "/publish",
    ({ body }) => {
      const id = nextId();
      for (const client of clients) client.push({ id, data: body as string });
      return { id };
    },
    { parse: "text" },
  )
  .listen({ hostname: "127.0.0.1", port: Number(process.argv[2]) });
