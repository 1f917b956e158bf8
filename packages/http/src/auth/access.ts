import { firstUncovered, type MaybePromise, SelectorSet, type Topic } from "@sse/hub";
import { Refusal } from "../answers/problem.ts";

/** What one request may do. Made once for a token, and shared by all requests that bring it. */
export interface Access {
  /** What it may read; null: nothing. */
  readonly subscribe: SelectorSet | null;
  /** Where it may publish; null: nowhere. */
  readonly publish: SelectorSet | null;
  /** Whether it may see the server's own state: `/stats`, `/metrics`. */
  readonly admin: boolean;
  /** When it ends, in milliseconds since 1970, and its streams with it; null: never. */
  readonly expires: number | null;
  /**
   * Whose streams and events it is counted with: the subject of a token, or what was signed where it names none; null:
   * nobody's, so that they are counted by address. It is kept in many places: make it short.
   */
  readonly principal: string | null;
  /** True for a request that has shown nothing: it is asked for a token where one with a token is forbidden. */
  readonly isAnonymous: boolean;
}

/**
 * Finds out what a request may do, before anything is done.
 *
 * An answer that is there at once costs no promise. It must not depend on whether a topic exists, and what it throws is
 * the client's answer: a {@link Refusal}, best made by {@link unauthorized}.
 */
export type Authorize = (request: Request) => MaybePromise<Access>;

/** What a token says that its bearer may do: the claim `sse` of a JWT, or the fields of a static token. */
export interface Grant {
  /** Selectors; default none. */
  readonly subscribe?: readonly string[] | undefined;
  /** Selectors; default none. */
  readonly publish?: readonly string[] | undefined;
  /** Default false. */
  readonly admin?: boolean | undefined;
}

/** Selectors in one list of a grant: what a request may cost to be checked. */
const MAX_GRANTED = 256;
const FIELDS = ["subscribe", "publish", "admin"];

/**
 * @param options.expires default null
 * @param options.principal default null
 * @param options.isAnonymous default false
 * @throws HubError `bad-selector` for a selector that is none
 */
export function accessOf(
  { subscribe = [], publish = [], admin = false }: Grant,
  {
    expires = null,
    principal = null,
    isAnonymous = false,
  }: { expires?: number | null; principal?: string | null; isAnonymous?: boolean } = {},
): Access {
  return { subscribe: setOf(subscribe), publish: setOf(publish), admin, expires, principal, isAnonymous };
}

function setOf(selectors: readonly string[]): SelectorSet | null {
  return selectors.length === 0 ? null : new SelectorSet(selectors);
}

/** The most bytes of memory that selectors take, by measurement: what is kept for many clients is bounded by it. */
export function sizeOf(selectors: SelectorSet | null): number {
  if (selectors === null) return 0;
  return 512 + 8 * selectors.key.length + 80 * (selectors.topics.length + selectors.patterns.length);
}

/** Everything, for ever: what a request may do where nobody has to authenticate. */
export const FULL_ACCESS: Access = Object.freeze(
  accessOf({ subscribe: ["**"], publish: ["**"], admin: true }, { isAnonymous: true }),
);

/**
 * Reads a grant from JSON.
 *
 * @param where how messages call it
 * @throws TypeError when it is of another shape
 */
export function parseGrant(value: unknown, where: string): Grant {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`${where} must be a JSON object with ${FIELDS.join(", ")}`);
  }
  for (const field in value) {
    if (!FIELDS.includes(field)) {
      throw new TypeError(`${where} has an unknown field; known are ${FIELDS.join(", ")}`);
    }
  }
  const { subscribe, publish, admin } = value as Record<string, unknown>;
  if (admin !== undefined && typeof admin !== "boolean") {
    throw new TypeError(`${where}: admin must be true or false`);
  }
  return {
    subscribe: parseSelectors(subscribe, `${where}: subscribe`),
    publish: parseSelectors(publish, `${where}: publish`),
    admin,
  };
}

function parseSelectors(value: unknown, where: string): string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.some((each) => typeof each !== "string")) {
    throw new TypeError(`${where} must be a list of selectors, as ["orders/*"]`);
  }
  if (value.length > MAX_GRANTED) {
    throw new TypeError(`${where} has ${value.length} selectors, more than the limit of ${MAX_GRANTED}`);
  }
  return value as string[];
}

/** Cut for messages: a refused value may be a megabyte. */
function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}

type BearerError = "invalid_request" | "invalid_token" | "insufficient_scope";

/** A refusal with the challenge of RFC 6750, section 3. Nothing of a request is in it, so that no quoting is needed. */
function challenge(status: 400 | 401 | 403, error: BearerError | null, detail: string): Refusal {
  const code = error === null ? "" : `, error="${error}"`;
  return new Refusal(status, detail, { "www-authenticate": `Bearer realm="sse"${code}` });
}

/**
 * 401. A request without any token is told no error code, so that it learns how to authenticate and nothing else.
 *
 * @param detail what was wrong with the token, and never the token; default: there is none
 */
export function unauthorized(detail?: string): Refusal {
  if (detail !== undefined) return challenge(401, "invalid_token", detail);
  return challenge(401, null, "a token is needed: send it as Authorization: Bearer TOKEN");
}

/** 400 for a token that is sent in a way that cannot be understood. */
export function malformed(detail: string): Refusal {
  return challenge(400, "invalid_request", detail);
}

/** Whether or not there is such a topic. */
function forbidden(access: Access, what: string): Refusal {
  if (access.isAnonymous) return unauthorized();
  return challenge(403, "insufficient_scope", `the token does not allow to ${what}`);
}

/**
 * @throws Refusal 401 or 403 naming the first selector that is not wholly covered by what may be read; nothing is
 *   narrowed in silence. HubError `bad-selector` for one that is none
 */
export function requireSubscribe(access: Access, selectors: readonly string[]): void {
  const granted = access.subscribe;
  if (granted?.selectsAll) return; // the hub reads the selectors
  const first = granted === null ? selectors[0]! : firstUncovered(granted, new SelectorSet(selectors));
  if (first !== null) throw forbidden(access, `subscribe to ${shown(first)}`);
}

/** @throws Refusal 401 or 403 when it may publish nowhere: told before a body is read */
export function requirePublisher(access: Access): void {
  if (access.publish === null) throw forbidden(access, "publish");
}

/** @throws Refusal 401 or 403 naming the topic */
export function requirePublish(access: Access, topic: unknown): void {
  if (typeof topic !== "string" || access.publish?.selectsAll) return; // the hub says what is wrong with it
  if (access.publish?.matches(topic as Topic)) return;
  throw forbidden(access, `publish to ${shown(topic)}`);
}

/** @throws Refusal 401 or 403 */
export function requireAdmin(access: Access): void {
  if (!access.admin) throw forbidden(access, "see or change the server's state; it takes one with admin");
}

/** Goes on with what the request may do: undefined, and no more than this check, where everybody may do everything. */
export function withAccess<T>(
  authorize: Authorize | undefined,
  request: Request,
  next: (access: Access | undefined) => MaybePromise<T>,
): MaybePromise<T> {
  if (authorize === undefined) return next(undefined);
  const access = authorize(request);
  return access instanceof Promise ? access.then(next) : next(access);
}
