import { HubError, type MaybePromise } from "@sse/hub";
import { errors, type JWTPayload, jwtVerify } from "jose";
import { Refusal } from "../problem.ts";
import { type Access, accessOf, parseGrant, unauthorized } from "./access.ts";
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
const KNOWN_FOR = 60_000;

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
  const known = new Map<string, { access: Access; until: number }>();
  const options = {
    algorithms: [...key.algorithms],
    clockTolerance: clockTolerance / 1000,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };

  const verify = async (token: string, digest: string): Promise<Access> => {
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(token, key.find, { ...options, currentDate: new Date(now()) }));
    } catch (error) {
      throw refusalOf(error);
    }
    const expires = payload.exp === undefined ? null : payload.exp * 1000 + clockTolerance;
    // Apart from the names of tokens, which no subject must be able to take.
    const principal = payload.sub === undefined ? `token ${digest}` : `subject ${payload.sub}`;
    const access = grantedBy(payload["sse"], expires, principal);
    if (known.size >= MAX_KNOWN) known.delete(known.keys().next().value!);
    known.set(digest, { access, until: Math.min(expires ?? Infinity, now() + KNOWN_FOR) });
    return access;
  };

  return (token) => {
    const digest = digestKey(token);
    const found = known.get(digest);
    if (found !== undefined && now() < found.until) return found.access;
    known.delete(digest);
    return verify(token, digest);
  };
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
