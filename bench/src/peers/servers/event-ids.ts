import { randomBytes } from "node:crypto";

const epoch = randomBytes(5).toString("hex");
let last = 0;

/** An id as long as the hub's: ten characters that are new with every process, and a count. */
export function nextId(): string {
  return `${epoch}-${++last}`;
}
