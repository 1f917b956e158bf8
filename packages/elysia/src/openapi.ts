import type { DocumentDecoration } from "elysia";

/* What the routes tell OpenAPI of themselves. None of it checks a request: that is done by who reads it. */

/** For the routes that answer other methods: they are no operations. */
export const OTHER_METHODS = { parse: "none", detail: { hide: true } } as const;

const WHEN = {
  400: "The request is wrong: the detail says where.",
  401: "A token is needed, or it is wrong or has ended.",
  403: "The token does not allow it, or a page of another origin makes a browser ask.",
  404: "There is nothing at this path.",
  408: "The body took too long to arrive.",
  413: "The body, or an event in it, is too large.",
  415: "Another content type, charset or content coding than those that are understood.",
  429: "Too many: come back after the time in `Retry-After`.",
  503: "The server shuts down, has no room for the body, or its log cannot be reached: come back after the time in `Retry-After`.",
} as const;

const text = { type: "string" } as const;
const id = {
  ...text,
  description: "The id that the log gave the event: a cursor.",
  example: "m3kq0z81xa-42",
} as const;

const PROBLEM = {
  type: "object" as const,
  required: ["status", "title", "detail"],
  properties: {
    status: { type: "integer" as const },
    title: text,
    detail: { ...text, description: "What was wrong, and what to do about it." },
  },
};

type Responses = NonNullable<DocumentDecoration["responses"]>;

/** Answers as `application/problem+json` (RFC 9457). */
export function problems(...statuses: (keyof typeof WHEN)[]): Responses {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      { description: WHEN[status], content: { "application/problem+json": { schema: PROBLEM } } },
    ]),
  );
}

/** An answer with this JSON object. */
export function json(description: string, properties: Record<string, object>): Responses[string] {
  return {
    description,
    content: {
      "application/json": { schema: { type: "object", required: Object.keys(properties), properties } },
    },
  };
}

const STREAM_TEXT = `The stream. Its first packet has a \`retry:\` line and \`sse:ready\`; a quiet one is sent a comment now and then.
Each event has an \`id\`, which resumes the stream there. Besides what is published there are the hub's own events:

| event | data |
| --- | --- |
| \`sse:ready\` | \`{"resume":"fresh"\\|"resumed"\\|"reset","replayed":N,"reason"?:...}\`, first on every stream; its id is where the stream begins |
| \`sse:gap\` | \`{"reason":"evicted"\\|"epoch"\\|"unknown-id"\\|"lag","from":id\\|null,"to":id}\`: what lies between was missed |
| \`sse:end\` | \`{"topic":...}\`: the topic has ended |
| \`sse:closing\` | \`{"reason":...,"retry":ms}\`: the server closes the stream; come back after the time |`;

const header = (description: string) => ({ description, schema: text });

/** A `text/event-stream`, and how it can fail. */
export const STREAM_RESPONSES: Responses = {
  200: {
    description: STREAM_TEXT,
    headers: {
      "Cache-Control": header("`no-cache, no-transform`"),
      "X-Accel-Buffering": header("`no`: nginx passes events on at once"),
    },
    content: {
      "text/event-stream": {
        example:
          'event: sse:ready\nretry: 2113\ndata: {"resume":"fresh","replayed":0}\nid: m3kq0z81xa-41\n\n' +
          'event: paid\ndata: {"total":99}\nid: m3kq0z81xa-42\n\n',
      },
    },
  },
  204: { description: "All that was asked for has ended and was read. An EventSource stays away." },
  ...problems(400, 401, 403, 429, 503),
};

const query = (name: string, schema: object, description: string) =>
  ({ in: "query", name, schema, description }) as const;

/** How a stream resumes. */
export const STREAM_PARAMETERS: NonNullable<DocumentDecoration["parameters"]> = [
  {
    in: "header",
    name: "Last-Event-ID",
    schema: text,
    description: "The cursor to resume from. An EventSource sends it.",
  },
  query("lastEventId", text, "The same, for clients that cannot send the header, which wins."),
  query(
    "replay",
    { oneOf: [{ const: "all" }, { type: "integer", minimum: 0 }] },
    "For a client without a cursor: all that the log holds, or the last so many events. Default: none.",
  ),
  query(
    "lag",
    { enum: ["catch-up", "latest", "disconnect"], default: "catch-up" },
    "What is given of what was missed: everything, per topic and key the newest, or the stream's end.",
  ),
  query(
    "envelope",
    { enum: ["json"] },
    'The data of each event is `{"topic":...,"key"?:...,"data":...}`: `data` in it is the JSON value that was published, or a ' +
      "string. The hub's own events are as always. Default: the data alone.",
  ),
  query(
    "control",
    { enum: ["event", "comment"], default: "event" },
    "Whether the hub's own events come as events, or as comments, which clients do not dispatch. Their ids count all the same.",
  ),
  query("ticket", text, "From `POST /tickets`, in place of a token, where there are tickets."),
];

/** `GET /events` */
export const EVENTS: DocumentDecoration = {
  operationId: "events",
  summary: "Streams the events of topics",
  parameters: [
    {
      ...query(
        "topic",
        { type: "array", items: text, default: ["default"] },
        "A topic, or a pattern: `*` is one segment, a final `**` one or more.",
      ),
      explode: true,
      example: ["orders/42", "news/**"],
    },
    ...STREAM_PARAMETERS,
  ],
  responses: STREAM_RESPONSES,
};

const FIELDS = {
  topic: { ...text, description: "Where it goes.", example: "orders/42" },
  event: { ...text, description: "The type; clients see `message` without it. `sse:` is reserved." },
  key: {
    ...text,
    description: "What it is about: `lag=latest` keeps the newest event of each topic and key.",
  },
  id: {
    ...text,
    description: "The publisher's own id: the same again is answered as before, and published once.",
  },
};

const EVENT = {
  type: "object" as const,
  required: ["topic"],
  additionalProperties: false,
  properties: {
    ...FIELDS,
    data: { description: "A string goes as it is, any other value as JSON. May be left out with `end`." },
    end: { type: "boolean" as const, description: "The topic ends, after the data if there is any." },
  },
};

/** `POST /publish` */
export const PUBLISH: DocumentDecoration = {
  operationId: "publish",
  summary: "Publishes events",
  description: "Answered once the log holds them. Several are published whole or not at all.",
  parameters: Object.entries(FIELDS).map(([name, { description }]) =>
    query(name, text, `With a text body only. ${description}`),
  ),
  requestBody: {
    required: true,
    content: {
      "application/json": { schema: { oneOf: [EVENT, { type: "array", items: EVENT }] } },
      "application/x-ndjson": { schema: { ...text, description: "An event on each line." } },
      "text/plain": { schema: { ...text, description: "The data; `topic` is in the query." } },
    },
  },
  responses: {
    200: {
      description: "Kept: the id of the event, or the ids of several.",
      content: {
        "application/json": {
          schema: {
            oneOf: [
              { type: "object", required: ["id"], properties: { id } },
              { type: "object", required: ["ids"], properties: { ids: { type: "array", items: id } } },
            ],
          },
        },
      },
    },
    ...problems(400, 401, 403, 408, 413, 415, 429, 503),
  },
};

/** `GET /healthz` */
export const HEALTHZ: DocumentDecoration = {
  operationId: "healthz",
  summary: "Whether the process lives",
  security: [],
  responses: { 200: json("It does.", { status: { const: "up" } }) },
};

/** `GET /readyz` */
export const READYZ: DocumentDecoration = {
  operationId: "readyz",
  summary: "Whether events are taken",
  security: [],
  responses: { 200: json("They are.", { status: { const: "ready" } }), ...problems(503) },
};

/** `GET /stats` */
export const STATS: DocumentDecoration = {
  operationId: "stats",
  summary: "The hub's state and counters",
  description: "With authentication, for tokens with `admin`.",
  responses: {
    200: json("As they are now.", {
      uptime: { type: "integer", description: "Seconds." },
      streams: { type: "integer" },
      published: { type: "integer" },
      slowest: {
        type: "array",
        items: { type: "object" },
        description: "The streams that are furthest behind.",
      },
    }),
    ...problems(401, 403),
  },
};

/** `POST /drain` */
export const DRAIN: DocumentDecoration = {
  operationId: "drain",
  summary: "Sends streams away, to come back",
  description:
    "Each is told `sse:closing` with a time of its own, and resumes on its return; the server goes on. With authentication, " +
    "for tokens with `admin`.",
  requestBody: {
    content: {
      "application/json": {
        schema: {
          type: "object",
          additionalProperties: false,
          properties: {
            topics: {
              type: "array",
              items: { ...text, minLength: 1 },
              minItems: 1,
              description:
                "Those that ask for one of these selectors, by the same word. Default: every stream.",
            },
            within: {
              type: "integer",
              minimum: 0,
              maximum: 3_600_000,
              default: 5000,
              description: "Milliseconds until the last of them is closed.",
            },
          },
        },
      },
    },
  },
  responses: {
    200: json("It has begun.", { streams: { type: "integer", description: "How many they are." } }),
    ...problems(400, 401, 403, 408, 413, 429, 503),
  },
};

/** `POST /tickets` */
export const TICKETS: DocumentDecoration = {
  operationId: "tickets",
  summary: "Gives a ticket that opens one stream",
  description: "For an EventSource, which cannot send a token: `GET /events?ticket=...`.",
  responses: {
    200: json("The ticket, and until when it can be used.", {
      ticket: text,
      expires: { ...text, format: "date-time" },
    }),
    ...problems(400, 401, 403, 429),
  },
};
