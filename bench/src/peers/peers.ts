import { betterSse } from "./better-sse.ts";
import { bare, elysiaSse, hono, sketch } from "./bun-servers.ts";
import { floor, floorTick, floorTopics } from "./floor.ts";
import { go } from "./go.ts";
import { hubDeno, hubNode } from "./handler.ts";
import { hub, hubSqlite } from "./hub.ts";
import { nchan } from "./nchan.ts";
import type { Peer } from "./peer.ts";

/** Every server that the hub is compared with, and the hub. */
export const PEERS: readonly Peer[] = [
  hub,
  hubSqlite,
  hubNode,
  hubDeno,
  floor,
  floorTick,
  floorTopics,
  go,
  betterSse,
  hono,
  elysiaSse,
  nchan,
  sketch,
  bare,
];
