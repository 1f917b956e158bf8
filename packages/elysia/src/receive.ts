import { type Access, type Authorize, unauthorized } from "./auth/access.ts";
import type { Body, RequestBodies } from "./request-bodies.ts";

/** After this time everything that a request may do is found out anew, in milliseconds: a session may have ended. */
const KNOWN_FOR = 1000;

/** How a request's body is read. */
export interface Receiving {
  readonly bodies: RequestBodies;
  /** What the request may do; default: everything. */
  readonly authorize: Authorize | undefined;
  /**
   * Told what the request may do; refuses what cannot be answered before the body is read. Told again after it, where that
   * was found out anew.
   *
   * @throws what the client is answered
   */
  readonly admit: (access: Access | undefined) => void;
  /** The most bytes in the body; default: those of all bodies. */
  readonly maxBytes?: number | undefined;
}

/**
 * Reads the body of a request that may do what it asks for. It is there only if the request still may when all of it has come:
 * access ends with its time, and by whatever else `authorize` looks at where the body took longer than a second.
 *
 * @returns the body: to be released once the request is answered
 * @throws Refusal of the body, or what `authorize` and `admit` throw
 */
export function receive(request: Request, { bodies, authorize, admit, maxBytes }: Receiving): Promise<Body> {
  if (authorize !== undefined) return receiveFrom(request, authorize, { bodies, admit, maxBytes });
  admit(undefined);
  return bodies.read(request, maxBytes);
}

async function receiveFrom(
  request: Request,
  authorize: Authorize,
  { bodies, admit, maxBytes }: Omit<Receiving, "authorize">,
): Promise<Body> {
  const found = authorize(request);
  let access = found instanceof Promise ? await found : found;
  admit(access);
  const body = await bodies.read(request, maxBytes);
  try {
    if (performance.now() - body.since > KNOWN_FOR) {
      access = await authorize(request);
      admit(access);
    }
    if (access.expires !== null && access.expires <= Date.now()) throw unauthorized("the token has expired");
    return body;
  } catch (error) {
    body.release();
    throw error;
  }
}
