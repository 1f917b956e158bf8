/** Hono's `streamSSE` on Bun: a loop for each client, that waits for its queue and for every write. */
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { ClientQueue } from "./client-queue.ts";
import { nextId } from "./event-ids.ts";

const clients = new Set<ClientQueue>();

const app = new Hono()
  .get("/events", (context) =>
    streamSSE(context, async (stream) => {
      const queue = new ClientQueue();
      clients.add(queue);
      stream.onAbort(() => {
        clients.delete(queue);
        queue.end();
      });
      await stream.write(":\n\n");
      for await (const event of queue) await stream.writeSSE(event);
    }),
  )
  .post("/publish", async (context) => {
    const event = { id: nextId(), data: await context.req.text() };
    for (const client of clients) client.push(event);
    return context.json({ id: event.id });
  });

Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv[2]), idleTimeout: 0, fetch: app.fetch });
