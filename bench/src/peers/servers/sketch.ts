/**
 * The fewest lines of Elysia that share one frame per tick: direct streams with the default `highWaterMark`, each written to and
 * flushed once. No log, no topics, no limits, no answer to a reader that stalls.
 */
import { Elysia } from "elysia";
import { nextId } from "./event-ids.ts";

const encoder = new TextEncoder();
const clients = new Set<ReadableStreamDirectController>();
let frame = "";

function fanOut(): void {
  const bytes = encoder.encode(frame);
  frame = "";
  for (const client of clients) {
    void client.write(bytes);
    void client.flush();
  }
}

function stream(): ReadableStream {
  let client: ReadableStreamDirectController;
  return new ReadableStream({
    type: "direct",
    pull(controller) {
      clients.add((client = controller));
      void controller.write(":\n\n");
      void controller.flush();
    },
    cancel: () => void clients.delete(client),
  });
}

new Elysia({ serve: { idleTimeout: 0, reusePort: false } })
  .get("/events", () => new Response(stream(), { headers: { "content-type": "text/event-stream" } }))
  .post(
    "/publish",
    ({ body }) => {
      if (frame === "") setImmediate(fanOut);
      const id = nextId();
      frame += `id: ${id}\ndata: ${body as string}\n\n`;
      return { id };
    },
    { parse: "text" },
  )
  .listen({ hostname: "127.0.0.1", port: Number(process.argv[2]) });
