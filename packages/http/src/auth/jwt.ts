import { HubError, type MaybePromise } from "@sse/hub";
import { errors, type JWTPayload, jwtVerify } from "jose";
import { Refusal } from "../answers/problem.ts";
import { type Access, accessOf, parseGrant, sizeOf, unauthorized } from "./access.ts";
import { digestKey } from "./digest.ts";
import { type JwtKey, KeysUnavailable } from "./jwt-key.ts";

/** What a JWT has to be. */
export interface JwtOptions {
  /** What its signature is checked with. */
  key: JwtKey;
  /** What `iss` has to be; default: anything. */
  issuer?: string | undefined;
  /** What `aud` has to hold; default: anything. */
  audience?: string | undefined;
  /** How far clocks may be apart, in milliseconds; default 5,000. */
  clockTolerance?: number | undefined;
  /** Milliseconds since 1970; default `Date.now`. */
  now?: (() => number) | undefined;
}

/** Checks a token. */
export type Verify = (token: string) => MaybePromise<Access>;

const CLOCK_TOLERANCE = 5000;
/** Tokens whose signature need not be checked again, and for how long: a key that is withdrawn must stop to count. */
const MAX_KNOWN = 10_000;
const MAX_KNOWN_BYTES = 32 * 1024 * 1024;
const KNOWN_FOR = 60_000;
/** Types of tokens that are access tokens: RFC 7519, 5.1, and RFC 9068, 2.1. */
const TYPES = new Set(["jwt", "at+jwt"]);
/** A subject that is longer is known by its hash: principals are kept in as many places as there are limits. */
const MAX_SUBJECT = 128;

/**
 * Checks JSON Web Tokens (RFC 7519) whose claim `sse` says what their bearer may do: {@link Grant}.
 *
 * A token that was found good is known by its hash for a minute, so that a publisher does not cost a signature per
 * request.
 *
 * @returns a function that throws, or rejects with, a Refusal: 401, or 503 while the keys cannot be had
 */
export function createJwtVerifier({
  key,
  issuer,
  audience,
  clockTolerance = CLOCK_TOLERANCE,
  now = Date.now,
}: JwtOptions): Verify {
  const known = new KnownTokens();
  const options = {
    algorithms: [...key.algorithms],
    clockTolerance: clockTolerance / 1000,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };

  const verify = async (token: string, digest: string): Promise<Access> => {
    requireCanonical(token);
    let payload: JWTPayload;
    try {
      const verified = await jwtVerify(token, key.find, { ...options, currentDate: new Date(now()) });
      requireAccessToken(verified.protectedHeader.typ);
      ({ payload } = verified);
    } catch (error) {
      throw refusalOf(error);
    }
    const expires = payload.exp === undefined ? null : payload.exp * 1000 + clockTolerance;
    const access = grantedBy(payload["sse"], expires, principalOf(token, payload.sub));
    known.add(digest, access, Math.min(expires ?? Infinity, now() + KNOWN_FOR));
    return access;
  };

  return (token) => {
    const digest = digestKey(token);
    return known.find(digest, now()) ?? verify(token, digest);
  };
}

/** Tokens that were found good, by their digest, the oldest first; bounded in bytes too, as a grant can be a long one. */
class KnownTokens {
  readonly #tokens = new Map<string, { access: Access; until: number; size: number }>();
  #size = 0;

  find(digest: string, now: number): Access | null {
    const found = this.#tokens.get(digest);
    if (found === undefined) return null;
    if (now < found.until) return found.access;
    this.#drop(digest);
    return null;
  }

  add(digest: string, access: Access, until: number): void {
    this.#drop(digest); // two requests may have brought it at once
    const size = sizeOf(access.subscribe) + sizeOf(access.publish);
    this.#tokens.set(digest, { access, until, size });
    this.#size += size;
    for (const oldest of this.#tokens.keys()) {
      if (this.#tokens.size <= MAX_KNOWN && this.#size <= MAX_KNOWN_BYTES) return;
      this.#drop(oldest);
    }
  }

  #drop(digest: string): void {
    this.#size -= this.#tokens.get(digest)?.size ?? 0;
    this.#tokens.delete(digest);
  }
}

/**
 * One token has one spelling (RFC 7515, 2): decoders take padding, spaces, "+" for "-", and bits that are left over, so that
 * one signature would be good for hundreds of texts.
 */
function requireCanonical(token: string): void {
  if (token.split(".", 4).every(isCanonical)) return;
  throw unauthorized("the token is no JSON Web Token in base64url without padding");
}

function isCanonical(part: string): boolean {
  return Buffer.from(part, "base64url").toString("base64url") === part;
}

/** An issuer signs other tokens with the same key, which must not count here: RFC 8725, 3.11. Most leave `typ` out. */
function requireAccessToken(type: unknown): void {
  if (type === undefined) return;
  if (typeof type === "string" && TYPES.has(type.toLowerCase().replace(/^application\//, ""))) return;
  throw unauthorized("the token's typ is neither JWT nor at+jwt: it was not made to be shown here");
}

/**
 * Without a subject it is what was signed: neither the signature, of which there can be many for one content (with ECDSA
 * everybody can make a second one), nor single claims, by which the tokens of different people may differ. The kinds of
 * principals have names of their own: no subject can be another kind's.
 */
function principalOf(token: string, subject: unknown): string {
  if (subject === undefined) return `content ${digestKey(token.slice(0, token.lastIndexOf(".")))}`;
  if (typeof subject !== "string") throw unauthorized("the token's sub must be a text");
  return subject.length <= MAX_SUBJECT ? `subject ${subject}` : `long subject ${digestKey(subject)}`;
}

function grantedBy(claim: unknown, expires: number | null, principal: string): Access {
  try {
    return accessOf(claim === undefined ? {} : parseGrant(claim, "the token's claim sse"), {
      expires,
      principal,
    });
  } catch (error) {
    if (error instanceof HubError || error instanceof TypeError) throw unauthorized(error.message);
    throw error;
  }
}

/** What was wrong, in words of our own: nothing of the token is in them. */
function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof KeysUnavailable) return new Refusal(503, error.message, {}, "keys");
  if (error instanceof errors.JWTExpired) return unauthorized("the token has expired");
  if (error instanceof errors.JWTClaimValidationFailed) {
    const claim = ["nbf", "iss", "aud", "exp", "iat"].find((each) => each === error.claim) ?? "a claim";
    return unauthorized(
      claim === "nbf" && error.reason === "check_failed"
        ? "the token is not valid yet"
        : `the token's ${claim} is missing, or not what it has to be here`,
    );
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return unauthorized("the token is signed with an algorithm that the server's key is not for");
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return unauthorized("the token's signature is not by a key that is known here");
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return unauthorized("the token does not name one of the keys that are known here");
  }
  return unauthorized("the token is no JSON Web Token that can be read");
}
