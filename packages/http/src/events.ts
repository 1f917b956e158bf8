import type { Hub } from "@sse/hub";
import { Admission } from "./admission.ts";
import { answerErrors } from "./answers/refuse.ts";
import type { Authorize } from "./auth/access.ts";
import { contextOf, type ServerContext } from "./context.ts";
import { openStream } from "./routes/stream.ts";

/** What the streams of a route are of, and who may read them. */
export interface EventsOptions {
  /** The selectors of a request's stream; default: those that its query names, as in `/events?topic=a`. */
  topics?: (request: Request) => readonly string[] | Promise<readonly string[]>;
  /** What a request may do; default: everything. What {@link topics} answers has to be allowed, too. */
  authorize?: Authorize | undefined;
  /** Of the same hub: trusted proxies, overload; default: one without any of them. */
  admission?: Admission | undefined;
}

/**
 * Answers requests with streams, in a route of one's own: `app.get("/orders/:id", (c) => stream(c.req.raw))`. They resume, are
 * refused and end as those of `/events`. What `topics` throws is answered 500, or as what it is: a `Refusal`.
 */
export function events(
  hub: Hub,
  { topics, authorize, admission = new Admission(hub) }: EventsOptions = {},
): (request: Request, context?: ServerContext) => Promise<Response> {
  const answerError = answerErrors(admission);
  return async (request, given) => {
    try {
      const only = await topics?.(request);
      return await openStream(admission, request, contextOf(request, given), {
        authorize,
        ...(only && { topics: only }),
      });
    } catch (error) {
      return answerError({ error });
    }
  };
}
