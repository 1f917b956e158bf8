import { SignJWT } from "jose";
import { accessOf, type Grant } from "./access.ts";
import { secretKey } from "./jwt-key.ts";

/** What is to stand in a token, and who signs it. */
export interface MintOptions extends Grant {
  /** Shared with the server; 32 bytes at least. */
  secret: string;
  /** Milliseconds until it expires. */
  ttl: number;
  /** `sub`: whose token it is. */
  subject?: string | undefined;
  /** `iss`; default: none. */
  issuer?: string | undefined;
  /** `aud`; default: none. */
  audience?: string | undefined;
  /** `jti`; default: a random UUID. */
  id?: string | undefined;
  /** When it is made, in milliseconds since 1970; default now. */
  now?: number | undefined;
}

/**
 * Makes a JWT for {@link createJwtVerifier} with {@link secretKey}.
 *
 * @throws TypeError (as a rejection) for a secret that is too short, HubError `bad-selector` for a selector that is none
 */
export async function mintToken({
  secret,
  ttl,
  subject,
  issuer,
  audience,
  id = crypto.randomUUID(),
  now = Date.now(),
  ...grant
}: MintOptions): Promise<string> {
  secretKey(secret);
  accessOf(grant);
  const issued = Math.floor(now / 1000);
  const token = new SignJWT({ sse: grant })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuedAt(issued)
    .setExpirationTime(issued + Math.max(1, Math.round(ttl / 1000)))
    .setJti(id);
  if (subject !== undefined) token.setSubject(subject);
  if (issuer !== undefined) token.setIssuer(issuer);
  if (audience !== undefined) token.setAudience(audience);
  return await token.sign(new TextEncoder().encode(secret));
}
