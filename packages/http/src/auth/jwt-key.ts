import { createPublicKey } from "node:crypto";
import { createLocalJWKSet, importJWK, type JWK, type JWTVerifyGetKey } from "jose";

/** The key that signatures are checked with, and the algorithms that this kind of key is for: no token chooses others. */
export interface JwtKey {
  /** The `alg` that a token may have. */
  readonly algorithms: readonly string[];
  /** The key for a token, by its header. */
  readonly find: JWTVerifyGetKey;
}

/** RFC 7518, 3.2: a key for HS256 has at least the size of the hash. */
const MIN_SECRET_BYTES = 32;
const MIN_RSA_BITS = 2048;
/** What the keys of a set can be for. */
export const KEY_SET_ALGORITHMS = ["RS256", "ES256", "EdDSA", "Ed25519"];

/** The keys could not be had: no fault of the token. */
export class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable";
}

/**
 * A secret that issuers and this server share; HS256.
 *
 * @throws TypeError when it is shorter than 32 bytes of UTF-8
 */
export function secretKey(secret: string): JwtKey {
  return hmacKey(new TextEncoder().encode(secret));
}

function hmacKey(bytes: Uint8Array): JwtKey {
  if (bytes.byteLength < MIN_SECRET_BYTES) {
    throw new TypeError(
      `is ${bytes.byteLength} bytes long; HS256 needs ${MIN_SECRET_BYTES} (openssl rand -base64 32)`,
    );
  }
  return { algorithms: ["HS256"], find: () => Promise.resolve(bytes) };
}

/**
 * A key from a file's text: a public key in PEM, a JWK, or a JWK set. RSA is for RS256, P-256 for ES256, Ed25519 for
 * EdDSA, a JWK of type `oct` for HS256.
 *
 * @throws TypeError for another kind of key, one that is too short, or a private one
 */
export async function readKey(text: string): Promise<JwtKey> {
  const trimmed = text.trim();
  if (!trimmed.startsWith("{")) return await pemKey(trimmed);
  let json: { keys?: unknown };
  try {
    json = JSON.parse(trimmed) as typeof json;
  } catch {
    throw new TypeError("is neither PEM nor JSON");
  }
  if (json.keys === undefined) return await jwkKey(json as JWK);
  const keys = json.keys as JWK[];
  if (!Array.isArray(keys) || keys.length === 0) throw new TypeError("is a JWK set without keys");
  for (const jwk of keys) {
    if (jwk?.kty === "oct") throw new TypeError("holds a secret in a JWK set; use a JWK of its own for it");
    algorithmsOf(jwk);
  }
  return { algorithms: KEY_SET_ALGORITHMS, find: createLocalJWKSet({ keys }) };
}

async function pemKey(text: string): Promise<JwtKey> {
  if (text.includes("PRIVATE KEY")) throw isPrivate();
  if (text.split("-----BEGIN ").length !== 2) throw new TypeError("is not one public key in PEM or JWK");
  let jwk: JWK;
  try {
    jwk = createPublicKey(text).export({ format: "jwk" }) as JWK;
  } catch {
    throw new TypeError("is no public key that can be read");
  }
  return await jwkKey(jwk);
}

async function jwkKey(jwk: JWK): Promise<JwtKey> {
  if (jwk.kty === "oct") {
    if (typeof jwk.k !== "string") throw new TypeError("is a JWK without its key");
    if (jwk.alg !== undefined && jwk.alg !== "HS256") throw otherAlgorithm(jwk.alg);
    return hmacKey(Buffer.from(jwk.k, "base64url"));
  }
  const algorithms = algorithmsOf(jwk);
  try {
    const key = await importJWK(jwk, algorithms[0]);
    return { algorithms, find: () => Promise.resolve(key) };
  } catch {
    throw new TypeError("is a JWK that cannot be read");
  }
}

/** What a key is for, whatever a token says. */
function algorithmsOf(jwk: JWK): readonly string[] {
  if (typeof jwk !== "object" || jwk === null) throw new TypeError("holds something that is no JWK");
  if (jwk.d !== undefined) throw isPrivate();
  const algorithms = kindOf(jwk);
  if (jwk.alg !== undefined && !algorithms.includes(jwk.alg)) throw otherAlgorithm(jwk.alg);
  return algorithms;
}

function kindOf({ kty, crv, n }: JWK): readonly string[] {
  if (kty === "RSA") {
    const bits = Buffer.from(String(n), "base64url").byteLength * 8;
    if (bits < MIN_RSA_BITS) throw new TypeError(`is an RSA key of ${bits} bits; it takes ${MIN_RSA_BITS}`);
    return ["RS256"];
  }
  if (kty === "EC" && crv === "P-256") return ["ES256"];
  if (kty === "OKP" && crv === "Ed25519") return ["EdDSA", "Ed25519"];
  throw new TypeError(`is a key of the kind ${kty} ${crv ?? ""}; known are RSA, EC P-256 and OKP Ed25519`);
}

function otherAlgorithm(algorithm: string): TypeError {
  return new TypeError(`is for ${algorithm}; known are HS256, RS256, ES256 and EdDSA`);
}

function isPrivate(): TypeError {
  return new TypeError("holds a private key; give the server only the public one");
}
