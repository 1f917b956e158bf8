import type { MaybePromise } from "@sse/hub";
import { type Access, type Authorize, unauthorized, withAccess } from "./auth/access.ts";
import type { RequestBodies } from "./request-bodies.ts";

/** After this time everything that a request may do is found out anew, in milliseconds: a session may have ended. */
const KNOWN_FOR = 1000;

/** How a request's body is read. */
export interface Receiving<T> {
  readonly bodies: RequestBodies;
  /** What the request may do; default: everything. */
  readonly authorize: Authorize | undefined;
  /**
   * Refuses what cannot be answered, before the body is read; and again after it, when what may be done was found out anew.
   *
   * @throws what the client is answered
   */
  readonly admit: (access: Access | undefined) => T;
  /** The most bytes in the body; default: those of all bodies. */
  readonly maxBytes?: number;
}

interface Found<T> {
  readonly access: Access | undefined;
  /** What `admit` has answered. */
  readonly admitted: T;
}

/** A body that is complete, of a request that may still do what it asks for. */
export interface Received<T> extends Found<T> {
  readonly text: string;
}

/**
 * Reads the body of a request that may do what it asks for, and goes on if it still may when all of it is there: access ends
 * with its time, and by whatever else `authorize` looks at where the body took longer than a second.
 *
 * @param next answers; the body counts until then
 * @throws Refusal of the body, or what `authorize` and `admit` throw
 */
export async function receive<T, Answer>(
  request: Request,
  { bodies, authorize, admit, maxBytes }: Receiving<T>,
  next: (received: Received<T>) => MaybePromise<Answer>,
): Promise<Answer> {
  const look = (): MaybePromise<Found<T>> => withAccess(authorize, request, found);
  const found = (access: Access | undefined): Found<T> => ({ access, admitted: admit(access) });
  const first = look();
  let { access, admitted } = first instanceof Promise ? await first : first;
  const body = await bodies.read(request, maxBytes);
  try {
    if (access !== undefined) {
      if (performance.now() - body.since > KNOWN_FOR) ({ access, admitted } = await look());
      if (access !== undefined && access.expires !== null && access.expires <= Date.now())
        throw unauthorized("the token has expired");
    }
    return await next({ text: body.text, access, admitted });
  } finally {
    body.release();
  }
}
