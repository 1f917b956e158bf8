import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { MaybePromise } from "@sse/hub";
import type { BunServer, RequestContext, ServerContext } from "../src/context.ts";
import { toNodeListener } from "../src/node.ts";

/** A server on a port of its own. */
export interface Served {
  readonly port: number;
  readonly url: string;
  stop(this: void): Promise<unknown>;
}

interface Answers {
  (request: Request, context?: ServerContext): MaybePromise<Response>;
}

interface OtherRuntimes {
  readonly Bun?: {
    serve(options: object): { port: number; stop(closesActive: boolean): Promise<void> };
  };
  readonly Deno?: {
    serve(options: object, handler: Answers): { addr: { port: number }; shutdown(): Promise<void> };
  };
}

/** Serves a handler the way people do in the runtime that this is. */
export async function serve(handler: Answers): Promise<Served> {
  const { Bun, Deno } = globalThis as OtherRuntimes;
  if (Bun !== undefined) {
    const fetch = (request: Request, server: BunServer) => handler(request, server);
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", development: false, fetch });
    return served(server.port, () => server.stop(true));
  }
  if (Deno !== undefined) {
    const aborter = new AbortController();
    const options = { port: 0, hostname: "127.0.0.1", signal: aborter.signal, onListen: () => {} };
    const server = Deno.serve(options, handler);
    return served(server.addr.port, async () => aborter.abort());
  }
  return serveNode(handler);
}

/** With `node:http`, in whatever runtime. */
export async function serveNode(
  handler: (request: Request, context: RequestContext) => MaybePromise<Response>,
): Promise<Served> {
  const server = createServer(toNodeListener(handler));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return served((server.address() as AddressInfo).port, async () => {
    server.close();
    server.closeAllConnections();
  });
}

function served(port: number, stop: () => Promise<unknown>): Served {
  return { port, url: `http://127.0.0.1:${port}`, stop };
}
