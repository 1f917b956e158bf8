import { hash } from "node:crypto";

/*
 * SHA-256. Secrets are compared, and looked up, by it only: how long that takes says nothing about them. In one call,
 * because it is made for every request: `createHash` takes three times as long.
 */

export function digestOf(secret: string): Buffer {
  return hash("sha256", secret, "buffer");
}

/** As a key of a map. */
export function digestKey(secret: string): string {
  return hash("sha256", secret, "base64");
}
