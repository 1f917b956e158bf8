import {
  type Access,
  Admission,
  type Authorize,
  events,
  OTHER_METHODS,
  otherMethods,
  requireAdmin,
  STREAM_PARAMETERS,
  STREAM_RESPONSES,
} from "@sse/elysia";
import { createHub, type Hub, MemoryLog, SelectorSet } from "@sse/hub";
import { type DocumentDecoration, Elysia } from "elysia";
import { residentMemory } from "./overload.ts";
import type { Slowest, SlowestTimes } from "./slowest.ts";

const STATS_EVENTS: DocumentDecoration = {
  operationId: "statsEvents",
  summary: "Streams what /stats says, once a second",
  parameters: STREAM_PARAMETERS,
  responses: STREAM_RESPONSES,
};

const TOPIC = "stats";
/** Milliseconds between two samples. */
const PERIOD = 1000;
/** Samples that are kept for who comes later: five minutes. */
const KEPT = 300;
/** Who may see the state may read all of this hub, which has nothing else. */
const ALL = new SelectorSet(["**"]);

function admin(access: Access): Access {
  requireAdmin(access);
  return { ...access, subscribe: ALL };
}

function adminsOf(authorize: Authorize | undefined): Authorize | undefined {
  if (authorize === undefined) return undefined;
  return (request) => {
    const access = authorize(request);
    return access instanceof Promise ? access.then(admin) : admin(access);
  };
}

/**
 * `GET /stats/events`: what `/stats` says, once a second while somebody listens, as `stats` events.
 *
 * They come from a hub of their own: the state of a node does not belong into a log that nodes share, nor into every
 * stream of `**`, and takes the right to see `/stats` whatever may be subscribed to.
 *
 * @param slowest observes the hub; each sample has what took longest in its second
 */
export function statsStream(hub: Hub, authorize: Authorize | undefined, slowest: Slowest) {
  const own = createHub({ log: new MemoryLog({ maxEvents: KEPT }) });
  const admission = new Admission(own);
  const authorizeAdmin = adminsOf(authorize);
  let cpu = process.cpuUsage();
  let last = performance.now();
  const sample = (times: SlowestTimes): Record<string, unknown> => {
    const used = process.cpuUsage(cpu);
    const now = performance.now();
    const elapsed = now - last;
    cpu = process.cpuUsage();
    last = now;
    return {
      time: Date.now(),
      uptime: Math.round(process.uptime()),
      memory: residentMemory(),
      cpu: Math.round(((used.user + used.system) / 1000 / elapsed) * 1000) / 1000,
      ...hub.stats(),
      lag: hub.slowest(1)[0]?.lag ?? 0,
      watching: own.listeners(TOPIC),
      latency: times,
    };
  };
  const timer = setInterval(() => {
    const times = slowest.take(); // when nobody listens too: a sample is of its own second
    if (own.closing || own.listeners(TOPIC) === 0) return;
    own.publish(TOPIC, { event: "stats", data: sample(times) }).catch(() => {}); // the next one is due soon
  }, PERIOD);
  const routes = new Elysia({ name: "stats-stream" })
    .get(
      "/stats/events",
      ({ request, server }) => events(admission, request, server, authorizeAdmin, [TOPIC]),
      {
        detail: STATS_EVENTS,
      },
    )
    .all("/stats/events", otherMethods("GET, HEAD, OPTIONS"), OTHER_METHODS);
  const stop = (within: number): Promise<void> => {
    clearInterval(timer);
    return own.close({ within });
  };
  return { routes, stop };
}
