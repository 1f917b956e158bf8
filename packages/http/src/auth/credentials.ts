import { requireOwnPage } from "../request/origin.ts";
import { lastValue, queryOf } from "../request/query.ts";
import type { MaybePromise } from "@sse/hub";
import { type Access, accessOf, type Authorize, malformed, unauthorized } from "./access.ts";
import type { Verify } from "./jwt.ts";
import { findToken, type StaticToken } from "./static-tokens.ts";
import type { Tickets } from "./tickets.ts";

/** What a request may show, and how it is checked. */
export interface CredentialOptions {
  /** Checks JWTs; default: none is good. */
  jwt?: Verify | undefined;
  /** Tokens that are good as long as the server runs; default none. */
  tokens?: readonly StaticToken[] | undefined;
  /** Lets `?ticket=` stand for a token; default: not. */
  tickets?: Tickets | undefined;
  /** The name of a cookie that may hold the token; default null: none. */
  cookie?: string | null | undefined;
  /** Origins, besides the server's own, whose pages may use the cookie; default none. */
  origins?: readonly string[] | undefined;
  /** Selectors that everybody may subscribe to, without a token; default none. */
  anonymousSubscribe?: readonly string[] | undefined;
}

/**
 * Finds the token of a request: in `Authorization: Bearer`, as a ticket in the query, or in a cookie. Tokens in URLs are
 * not looked for: they would end up in histories and logs.
 *
 * A request without any is anonymous. One with a token that is not good is refused, even where none is needed: it should
 * learn of that.
 *
 * @returns for `sse({ authorize })`
 * @throws HubError `bad-selector` for an anonymous selector that is none
 */
export function createAuthorize({
  jwt,
  tokens = [],
  tickets,
  cookie = null,
  origins = [],
  anonymousSubscribe = [],
}: CredentialOptions): Authorize {
  const anonymous = accessOf({ subscribe: anonymousSubscribe }, { isAnonymous: true });

  const check = (token: string): MaybePromise<Access> => {
    const found = tokens.length === 0 ? null : findToken(tokens, token);
    if (found !== null) return found;
    if (jwt === undefined) throw unauthorized("the token is not known here");
    return jwt(token);
  };

  return (request) => {
    const header = request.headers.get("authorization");
    const ticket = tickets === undefined ? null : ticketOf(request);
    if (header !== null) {
      if (ticket !== null) throw malformed("there are a token and a ticket; send one of them");
      return check(bearerOf(header));
    }
    if (ticket !== null) return tickets!.redeem(ticket);
    const token = cookie === null ? null : cookieOf(request, cookie);
    if (token === null) return anonymous;
    requireOwnPage(request, origins);
    return check(token);
  };
}

/** RFC 6750, 2.1. */
function bearerOf(header: string): string {
  const token = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(header)?.[1];
  if (token !== undefined) return token;
  if (/^Bearer( |$)/i.test(header)) throw malformed("the header Authorization is not Bearer and one token");
  throw unauthorized("the header Authorization is of another scheme; it has to be Bearer and a token");
}

function ticketOf(request: Request): string | null {
  const query = queryOf(request.url);
  return query.includes("ticket=") ? lastValue(new URLSearchParams(query), "ticket") : null;
}

function cookieOf(request: Request, name: string): string | null {
  const start = `${name}=`;
  const found = (request.headers.get("cookie") ?? "")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(start));
  if (found.length > 1) throw unauthorized(`there are ${found.length} cookies with a token; send one`);
  const token = found[0]?.slice(start.length) ?? "";
  return token === "" ? null : token;
}
