import {
  type Access,
  type Admission,
  answerErrors,
  type Authorize,
  DEFAULT_TOPIC,
  events,
  json,
  jsonAnswer,
  otherMethods,
  OTHER_METHODS,
  problems,
  publish,
  type PublicationParser,
  Refusal,
  type RequestBodies,
  fieldNames,
  readJson,
  requireFields,
  requireKnownOrigin,
  requirePublish,
  STREAM_PARAMETERS,
  STREAM_RESPONSES,
  withAccess,
} from "@sse/elysia";
import type { Hub, Message } from "@sse/hub";
import type { Server } from "bun";
import { type DocumentDecoration, Elysia } from "elysia";
import { residentMemory } from "./overload-watch.ts";

/** How long a job takes, in milliseconds, and in how many steps it tells of its progress. */
const JOB_TIME = 5000;
const JOB_STEPS = 20;
/** Jobs at work at the same time. */
const MAX_JOBS = 100;

interface Demo {
  readonly topic: string;
  /** Milliseconds. */
  readonly period: number;
  readonly message: (hub: Hub) => Message;
}

/** What the tutorials push, each at its own pace. */
const DEMOS: readonly Demo[] = [
  { topic: "demo/random", period: 2000, message: () => ({ data: String(Math.floor(Math.random() * 1000)) }) },
  { topic: "demo/ticker", period: 3000, message: () => ({ event: "add", data: "some data" }) },
  { topic: "demo/status", period: 10_000, message: (hub) => ({ data: status(hub) }) },
  { topic: "demo/clock", period: 1000, message: () => ({ data: `The time is ${unixDate(new Date())}` }) },
];

function status(hub: Hub): Record<string, unknown> {
  const { streams, published, deliveries, log } = hub.stats();
  return {
    status: hub.closing ? "closing" : "up",
    uptime: Math.round(process.uptime()),
    memory: residentMemory(),
    streams,
    published,
    deliveries,
    logEvents: log.events,
    logBytes: log.bytes,
  };
}

/** A time as `date` prints it in the C locale: `Fri May  8 13:13:23 UTC 2020`. */
export function unixDate(time: Date): string {
  const [weekday, day, month, year, clock] = time.toUTCString().replace(",", "").split(" ");
  return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${clock} UTC ${year}`;
}

/** How often it is looked for what is due, in milliseconds: who begins to listen is soon told something. */
const LOOK_EVERY = 200;

/** Publishes the demo topics while somebody listens. Returns what stops them. */
export function startDemos(hub: Hub): () => void {
  const due = new Map(DEMOS.map((demo) => [demo, 0]));
  const timer = setInterval(() => {
    const now = performance.now();
    for (const [demo, time] of due) {
      if (now < time || hub.closing || hub.listeners(demo.topic) === 0) continue;
      // In step with the last one, unless it has rested since.
      due.set(demo, (now - time < demo.period ? time : now) + demo.period);
      hub.publish(demo.topic, demo.message(hub)).catch(() => {}); // the next one is due soon
    }
  }, LOOK_EVERY);
  return () => clearInterval(timer);
}

const RANDOM_TOPICS = ["demo/random"];

const text = { type: "string" } as const;

const SEND_EVENT: DocumentDecoration = {
  operationId: "sendEvent",
  summary: "Publishes a message to the topic `default`",
  requestBody: {
    required: true,
    content: {
      "application/json": {
        schema: {
          type: "object",
          required: ["message"],
          additionalProperties: false,
          properties: { message: text },
        },
      },
    },
  },
  responses: { 200: json("Kept.", { id: text }), ...problems(400, 401, 403, 408, 413, 429, 503) },
};

const RANDOM: DocumentDecoration = {
  operationId: "random",
  summary: "Streams the topic `demo/random`",
  parameters: STREAM_PARAMETERS,
  responses: STREAM_RESPONSES,
};

const JOBS: DocumentDecoration = {
  operationId: "startJob",
  summary: "Starts a job of five seconds, and tells the topic of its progress",
  responses: { 200: json("Started.", { topic: text }), ...problems(401, 403, 429, 503) },
};

/** The endpoints of the tutorials: `POST /send-event`, `GET /random`, and `POST /demo/jobs`. */
export function demoRoutes(
  admission: Admission,
  {
    bodies,
    origins,
    authorize,
  }: { bodies: RequestBodies; origins: readonly string[]; authorize: Authorize | undefined },
) {
  const { hub } = admission;
  let jobs = 0;
  let lastJob = 0;

  const startJob = (request: Request, server: Server<unknown> | null, access?: Access): Promise<Response> => {
    requireKnownOrigin(request, origins);
    const number = Math.max(lastJob + 1, Date.now()); // of its own also after a restart
    const topic = `demo/jobs/${number}`;
    if (access !== undefined) requirePublish(access, topic);
    if (jobs >= MAX_JOBS)
      throw new Refusal(429, `${MAX_JOBS} jobs are at work; start another when one is done`, {}, "jobs");
    const publisher = admission.publisherOf(request, server, access);
    admission.charge(publisher, JOB_STEPS + 1);
    jobs++;
    lastJob = number;
    const started = new Promise<void>((resolve, reject) => {
      void runJob(hub, topic, resolve)
        .catch(reject)
        .finally(() => jobs--);
    });
    return admission.refund(publisher, JOB_STEPS + 1, started).then(() => jsonAnswer({ topic }));
  };

  return new Elysia({ name: "demos" })
    .onError(answerErrors(admission))
    .post(
      "/send-event",
      ({ request, server }) =>
        publish(admission, request, server, { authorize, bodies, origins }, () => parseMessage),
      { parse: "none", detail: SEND_EVENT },
    )
    .all("/send-event", otherMethods("POST, OPTIONS"), OTHER_METHODS)
    .get(
      "/random",
      ({ request, server }) => events(admission, request, server, { authorize, topics: RANDOM_TOPICS }),
      {
        detail: RANDOM,
      },
    )
    .all("/random", otherMethods("GET, HEAD, OPTIONS"), OTHER_METHODS)
    .post(
      "/demo/jobs",
      ({ request, server }) => withAccess(authorize, request, (access) => startJob(request, server, access)),
      { parse: "none", detail: JOBS },
    )
    .all("/demo/jobs", otherMethods("POST, OPTIONS"), OTHER_METHODS);
}

const SEND_EVENT_FIELDS = fieldNames("message");

const parseMessage: PublicationParser = async (body) => {
  const { message } = requireFields(await readJson(body), SEND_EVENT_FIELDS, "the body");
  if (typeof message === "string") return { topic: DEFAULT_TOPIC, data: message };
  throw new Refusal(400, 'message must be a string, as {"message":"hello"}');
};

/** @param started called when the log has the first event: from then on, what fails is that the server shuts down */
async function runJob(hub: Hub, topic: string, started: () => void): Promise<void> {
  let completion = 0;
  for (let step = 1; step <= JOB_STEPS; step++) {
    const part = ((100 - completion) / (JOB_STEPS - step + 1)) * (0.5 + Math.random());
    completion = step === JOB_STEPS ? 100 : Math.min(99.99, completion + part);
    const data = { status: "in_progress", completion: Number(completion.toFixed(2)) };
    await hub.publish(topic, { event: "progress", data });
    started();
    await Bun.sleep(JOB_TIME / JOB_STEPS);
  }
  await hub.publish(topic, { event: "status", data: "Done", end: true });
}
