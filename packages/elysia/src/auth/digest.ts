import { createHash } from "node:crypto";

/** SHA-256. Secrets are compared, and looked up, by it only: how long that takes says nothing about them. */
export function digestOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}
