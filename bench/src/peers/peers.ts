import { bare } from "./bare.ts";
import { betterSse } from "./better-sse.ts";
import { elysiaSse } from "./elysia-sse.ts";
import { floor, floorTick, floorTopics } from "./floor.ts";
import { go } from "./go.ts";
import { hono } from "./hono.ts";
import { hub, hubSqlite } from "./hub.ts";
import { nchan } from "./nchan.ts";
import type { Peer } from "./peer.ts";
import { sketch } from "./sketch.ts";

/** Every server that the hub is compared with, and the hub. */
export const PEERS: readonly Peer[] = [
  hub,
  hubSqlite,
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
