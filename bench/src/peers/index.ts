export { PEERS } from "./peers.ts";
