import type { EventId, Hub } from "@sse/hub";
import type { Server } from "bun";
import { NOSNIFF } from "./answers.ts";
import type { Admission } from "./admission.ts";
import { type Access, type Authorize, requirePublish, requirePublisher } from "./auth/access.ts";
import { requireKnownOrigin } from "./origin.ts";
import {
  type Element,
  parserOf,
  type Publication,
  publicationOf,
  type PublicationParser,
} from "./publications.ts";
import { receive } from "./receive.ts";
import type { RequestBodies } from "./request-bodies.ts";
import { inSlices, type Sliced } from "./slices.ts";
import { isShort, parseJson, parseShortJson } from "./json.ts";
import { tracePublish } from "./tracing.ts";

/** What bounds a request to publish. */
export interface PublishOptions {
  /** What may be published; default: everything. */
  authorize?: Authorize | undefined;
  /** Those of the app. */
  bodies: RequestBodies;
  /** Whose pages may publish, besides the server's own. */
  origins: readonly string[];
}

/** Made once: Bun copies it for less than it takes to read an object. */
const JSON_ANSWER: ResponseInit = {
  headers: new Headers({ ...NOSNIFF, "content-type": "application/json" }),
};

/**
 * `POST /publish`: one event, or all or none of several; answered once they are kept.
 *
 * What is refused is not counted against the rate, and whatever is in the body, the event loop goes on beside it.
 *
 * @param parse finds the parser of a request's body; default: as `/publish` takes it
 */
export function publish(
  admission: Admission,
  request: Request,
  server: Server<unknown> | null,
  { authorize, bodies, origins }: PublishOptions,
  parse: (request: Request) => PublicationParser = parserOf,
): Promise<Response> {
  const since = performance.now();
  let publisher: string | null = null;
  const admit = (access: Access | undefined): PublicationParser => {
    requireKnownOrigin(request, origins);
    if (access !== undefined) requirePublisher(access);
    publisher ??= admission.publisherOf(request, server, access);
    return parse(request);
  };
  return receive(request, { bodies, authorize, admit }, async ({ text, access, admitted: parseBody }) => {
    const parsed = parseBody(text, admission.hub.maxBatch);
    const given = parsed instanceof Promise ? await parsed : parsed;
    const ids = Array.isArray(given)
      ? await publishAll(admission, request, publisher!, access, given)
      : await publishOne(admission, request, publisher!, access, given);
    admission.onPublished(performance.now() - since);
    return new Response(`{${typeof ids === "string" ? `"id":"${ids}"` : idList(ids)}}\n`, JSON_ANSWER);
  });
}

function publishOne(
  admission: Admission,
  request: Request,
  publisher: string,
  access: Access | undefined,
  event: Publication,
): Promise<EventId> {
  const { topic } = event;
  if (access !== undefined) requirePublish(access, topic);
  return admission.chargeFor(publisher, 1, () =>
    tracePublish(request, [topic], 1, () => admission.hub.publish(topic, event)),
  );
}

async function publishAll(
  admission: Admission,
  request: Request,
  publisher: string,
  access: Access | undefined,
  elements: readonly Element[],
): Promise<readonly EventId[]> {
  const batch = admission.hub.batch(elements.length);
  const topics = new Set<string>();
  const checking = inSlices(checkAll(elements, access, batch, topics));
  if (checking instanceof Promise) await checking;
  return admission.chargeFor(publisher, elements.length, () =>
    tracePublish(request, topics, elements.length, () => batch.publish()),
  );
}

/**
 * @param topics filled with those that there are, each of which is checked once
 * @throws Refusal 400, 401 or 403. HubError for what cannot be published
 */
function* checkAll(
  elements: readonly Element[],
  access: Access | undefined,
  batch: ReturnType<Hub["batch"]>,
  topics: Set<string>,
): Sliced<void> {
  let cost = 0;
  let last: unknown; // events that come together are often of one topic
  for (const element of elements) {
    const { text, where } = element;
    let { value } = element;
    if (text !== undefined)
      value = isShort(text) ? parseShortJson(text, where) : yield* parseJson(text, where);
    const event = publicationOf(value, where);
    const { topic } = event;
    if (topic !== last && !topics.has(topic)) {
      if (access !== undefined) requirePublish(access, topic);
      topics.add(topic);
    }
    last = topic;
    batch.add(event);
    cost += EVENT_COST + (text?.length ?? 0);
    if (cost < STEP_COST) continue;
    cost = 0;
    yield;
  }
}

/** What an event costs besides its text, in characters, and what may be done before the loop can go on: some hundredth of a slice. */
const EVENT_COST = 512;
const STEP_COST = 16_384;

/** An id holds nothing that JSON would have to escape. */
function idList(ids: readonly string[]): string {
  return ids.length === 0 ? `"ids":[]` : `"ids":["${ids.join('","')}"]`;
}
