import { timingSafeEqual } from "node:crypto";
import { type Access, accessOf, parseGrant } from "./access.ts";
import { digestOf } from "./digest.ts";

/** A token that is good for as long as it stands in the configuration. */
export interface StaticToken {
  /** SHA-256 of the token: the token itself is not kept. */
  readonly digest: Uint8Array;
  /** What it may do. */
  readonly access: Access;
}

const MIN_LENGTH = 16;
const MAX_TOKENS = 1000;
/** RFC 6750, 2.1: what can stand after `Bearer`. */
const BEARER = /^[A-Za-z0-9\-._~+/]+=*$/;

/**
 * Reads static tokens: a JSON list of `{"token": "...", "subscribe": ["orders/*"], "publish": [], "admin": false}`, or
 * with `"sha256"`, the hash in hex, in place of `"token"`.
 *
 * @throws TypeError naming the entry, and never its token, when one is of another shape
 */
export function readTokens(text: string): StaticToken[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new TypeError("is not JSON"); // the parser's message would quote it
  }
  if (!Array.isArray(json)) throw new TypeError("must be a JSON list of tokens");
  if (json.length > MAX_TOKENS) throw new TypeError(`has more than ${MAX_TOKENS} tokens; use JWTs`);
  const tokens = json.map((entry, index) => readToken(entry, `token ${index}`));
  if (new Set(tokens.map(({ access }) => access.principal)).size < tokens.length) {
    throw new TypeError("has a token twice");
  }
  return tokens;
}

function readToken(entry: unknown, where: string): StaticToken {
  if (typeof entry !== "object" || entry === null) throw new TypeError(`${where} must be a JSON object`);
  const { token, sha256, ...grant } = entry as Record<string, unknown>;
  try {
    const digest = digestGiven(token, sha256, where);
    const principal = `token ${digest.toString("base64url")}`;
    return { digest, access: accessOf(parseGrant(grant, where), { principal }) };
  } catch (error) {
    if (error instanceof TypeError) throw error;
    throw new TypeError(`${where} has a selector that cannot be one`, { cause: error });
  }
}

function digestGiven(token: unknown, sha256: unknown, where: string): Buffer {
  if ((token === undefined) === (sha256 === undefined)) {
    throw new TypeError(`${where} needs either "token" or "sha256"`);
  }
  if (token === undefined) {
    if (typeof sha256 === "string" && /^[0-9a-f]{64}$/i.test(sha256)) return Buffer.from(sha256, "hex");
    throw new TypeError(`${where}: sha256 must be 64 hexadecimal digits`);
  }
  if (typeof token === "string" && token.length >= MIN_LENGTH && BEARER.test(token)) return digestOf(token);
  throw new TypeError(
    `${where} must have at least ${MIN_LENGTH} characters out of A-Z, a-z, 0-9 and -._~+/ (openssl rand -hex 32)`,
  );
}

/** What the token allows; null when there is no such token. Takes the same time for each. */
export function findToken(tokens: readonly StaticToken[], token: string): Access | null {
  const digest = digestOf(token);
  let found: Access | null = null;
  for (const each of tokens) if (timingSafeEqual(each.digest, digest)) found = each.access;
  return found;
}
