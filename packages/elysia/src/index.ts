export { DEFAULT_TOPIC, events, STREAM_HEADERS } from "./events.ts";
export { requireKnownOrigin } from "./origin.ts";
export { MAX_BODY_BYTES, otherMethods, sse, type SseOptions } from "./plugin.ts";
export { problem, problemOf, type ProblemStatus, Refusal } from "./problem.ts";
export { parseJson, readText, requireFields } from "./publish.ts";
