/** `@sse/http`'s handler with its log in memory, on the HTTP server of the runtime that it runs in: Node's or Deno's. */
import { createServer } from "node:http";
import { createHandler } from "@sse/http";
import { toNodeListener } from "@sse/http/node";
import { createHub } from "@sse/hub";

const port = Number(process.argv[2]);
const hostname = "127.0.0.1";
// The generator is one address, and opens as many streams as it can.
const hub = createHub({ maxStreams: null, maxStreamsPerAddress: null });
const handler = createHandler({ hub });

const { Deno } = globalThis as { Deno?: { serve(options: object, handler: unknown): unknown } };
if (Deno !== undefined) Deno.serve({ hostname, port }, handler);
else {
  const server = createServer(toNodeListener(handler));
  // A publisher may rest for longer than Node's five seconds.
  server.keepAliveTimeout = 120_000;
  server.listen(port, hostname);
}
