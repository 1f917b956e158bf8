import {
  type Access,
  type Admission,
  answerErrors,
  type Authorize,
  emptyAnswer,
  events,
  fieldNames,
  OTHER_METHODS,
  otherMethods,
  problems,
  readJson,
  receive,
  type RequestBodies,
  requireAdmin,
  requireFields,
  requireKnownOrigin,
  STREAM_PARAMETERS,
  STREAM_RESPONSES,
} from "@sse/elysia";
import { MemoryLog, SelectorSet } from "@sse/hub";
import { type DocumentDecoration, Elysia } from "elysia";
import type { Maxima, MaximumDurations } from "./maximum-durations.ts";
import { residentMemory } from "./overload-watch.ts";

const STATS_EVENTS: DocumentDecoration = {
  operationId: "statsEvents",
  summary: "Streams what /stats says, once a second",
  parameters: STREAM_PARAMETERS,
  responses: STREAM_RESPONSES,
};

const STATS_PROBE: DocumentDecoration = {
  operationId: "statsProbe",
  summary: "Has a `probe` event come in /stats/events, for a client that measures how long it takes",
  requestBody: {
    required: true,
    content: {
      "application/json": {
        schema: { type: "object", additionalProperties: false, properties: { tab: {}, number: {} } },
      },
    },
  },
  responses: { 204: { description: "It is on its way." }, ...problems(400, 401, 403, 408, 413, 503) },
};

const TOPIC = "stats";
const TOPICS = [TOPIC];
/** Milliseconds between two samples. */
const PERIOD = 1000;
/** What is kept for who comes later: five minutes, however many probes are among it. */
const KEPT = { maxEvents: null, maxBytes: 4 * 1024 * 1024, maxAge: 300 * PERIOD };
/** The most bytes of a probe: the name of who sent it, and its number. */
const MAX_PROBE = 256;
const PROBE_FIELDS = fieldNames("tab", "number");
/** Who may see the state may read all of its namespace, which has nothing else. */
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
 * They have a namespace of their own: the state of a node does not belong into a log that nodes share, nor into every
 * stream of `**`, and takes the right to see `/stats` whatever may be subscribed to. Its streams are the hub's like all
 * others, and pass the same admission.
 *
 * `POST /stats/probe` sends a `probe` event the same way, so that a page can measure it without a trace in the users' log.
 *
 * @param options.durations observes the hub; each sample has the maxima of its second
 * @returns the routes, and what ends the samples
 */
export function statsStream(
  admission: Admission,
  {
    authorize,
    bodies,
    origins,
    durations,
  }: {
    authorize: Authorize | undefined;
    bodies: RequestBodies;
    origins: readonly string[];
    durations: MaximumDurations;
  },
) {
  const { hub } = admission;
  const namespace = hub.namespace(new MemoryLog(KEPT));
  const authorizeAdmin = adminsOf(authorize);
  let cpu = process.cpuUsage();
  let last = performance.now();
  const sample = (latency: Maxima): Record<string, unknown> => {
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
      watching: namespace.listeners(TOPIC),
      latency,
    };
  };
  const timer = setInterval(() => {
    const latency = durations.take(); // when nobody listens too: a sample is of its own second
    if (namespace.closing || namespace.listeners(TOPIC) === 0) return;
    namespace.publish(TOPIC, { event: "stats", data: sample(latency) }).catch(() => {}); // the next one is due soon
  }, PERIOD);
  const probe = async (request: Request): Promise<Response> => {
    const admit = (): void => requireKnownOrigin(request, origins);
    const how = { bodies, authorize: authorizeAdmin, admit, maxBytes: MAX_PROBE };
    const body = await receive(request, how);
    try {
      const data = requireFields(await readJson(body.text), PROBE_FIELDS, "the body");
      await namespace.publish(TOPIC, { event: "probe", data });
      return emptyAnswer();
    } finally {
      body.release();
    }
  };
  const routes = new Elysia({ name: "stats-stream" })
    .onError(answerErrors(admission))
    .get(
      "/stats/events",
      ({ request, server }) =>
        events(admission, request, server, { authorize: authorizeAdmin, topics: TOPICS, namespace }),
      { detail: STATS_EVENTS },
    )
    .all("/stats/events", otherMethods("GET, HEAD, OPTIONS"), OTHER_METHODS)
    .post("/stats/probe", ({ request }) => probe(request), {
      parse: "none",
      detail: STATS_PROBE,
    })
    .all("/stats/probe", otherMethods("POST, OPTIONS"), OTHER_METHODS);
  return { routes, stop: () => clearInterval(timer) };
}
