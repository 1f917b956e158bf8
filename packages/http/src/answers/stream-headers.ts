import { CONTENT_TYPE } from "@sse/protocol";
import { NOSNIFF } from "./json.ts";

/**
 * `no-transform` and `x-accel-buffering` keep proxies from holding events back. `connection: close` in Bun, because it keeps
 * `timeout(request, 0)` on a socket that is reused, which would then never time out. `transfer-encoding` must not be set:
 * Elysia would read such a stream and write it anew.
 */
export const STREAM_HEADERS = Object.freeze({
  ...NOSNIFF,
  "content-type": CONTENT_TYPE,
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
  ...("Bun" in globalThis && { connection: "close" }),
});
