import { emptyAnswer } from "../answers/json.ts";
import { problem } from "../answers/problem.ts";

/** Answers a method that a path does not know: 405 with the ones it does (RFC 9110, 15.5.6), and OPTIONS with just those. */
export function otherMethods(allow: string): (given: { readonly request: Request }) => Response {
  return ({ request }) =>
    request.method === "OPTIONS"
      ? emptyAnswer({ allow })
      : problem(405, `${request.method} is not for this path; it knows ${allow}`, { allow });
}
