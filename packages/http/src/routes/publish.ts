import type { EventId, Hub } from "@sse/hub";
import type { RequestContext } from "../context.ts";
import { NOSNIFF } from "../answers/json.ts";
import type { Admission } from "../admission.ts";
import { type Access, type Authorize, requirePublish, requirePublisher } from "../auth/access.ts";
import { isShort } from "../request/json.ts";
import { requireKnownOrigin } from "../request/origin.ts";
import {
  parseJsonBody,
  parserOf,
  type Publication,
  publicationOf,
  type PublicationParser,
  type Several,
} from "../request/publications.ts";
import { receive } from "../request/receive.ts";
import type { RequestBodies } from "../request/request-bodies.ts";
import { inSlices, type Sliced } from "../request/slices.ts";
import { isTraced, tracePublish } from "../tracing.ts";

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
export async function publish(
  admission: Admission,
  request: Request,
  context: RequestContext,
  { authorize, bodies, origins }: PublishOptions,
  parse: (request: Request) => PublicationParser = parserOf,
): Promise<Response> {
  const since = performance.now();
  let access: Access | undefined;
  let publisher: string | null = null;
  let parseBody = parseJsonBody;
  const admit = (found: Access | undefined): void => {
    access = found;
    requireKnownOrigin(request, origins);
    if (access !== undefined) requirePublisher(access);
    publisher ??= admission.publisherOf(request, context, access);
    parseBody = parse(request);
  };
  const body = await receive(request, { bodies, authorize, admit });
  try {
    const parsed = parseBody(body.text);
    const given = parsed instanceof Promise ? await parsed : parsed;
    const ids =
      "parts" in given
        ? await publishAll(admission, request, publisher!, access, given)
        : await publishOne(admission, request, publisher!, access, given, isShort(body.text));
    admission.onPublished(performance.now() - since);
    return new Response(`{${typeof ids === "string" ? `"id":"${ids}"` : idList(ids)}}\n`, JSON_ANSWER);
  } finally {
    body.release();
  }
}

function publishOne(
  admission: Admission,
  request: Request,
  publisher: string,
  access: Access | undefined,
  event: Publication,
  isQuick: boolean,
): Promise<EventId> {
  const { topic } = event;
  if (access !== undefined) requirePublish(access, topic);
  admission.charge(publisher, 1);
  const { hub } = admission;
  let published: Promise<EventId>;
  if (isTraced()) published = tracePublish(request, [topic], 1, () => hub.publish(topic, event));
  else published = isQuick ? hub.publish(topic, event) : inTurn(() => hub.publish(topic, event));
  return admission.refund(publisher, 1, published);
}

/** To check a long text, line by line, takes a millisecond: of hundreds that come together, each slice has some. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  return await inSlices(
    (function* (): Sliced<Promise<T>> {
      yield;
      return work();
    })(),
  );
}

async function publishAll(
  admission: Admission,
  request: Request,
  publisher: string,
  access: Access | undefined,
  several: Several,
): Promise<readonly EventId[]> {
  const batch = admission.hub.batch();
  const topics = new Set<string>();
  const checking = inSlices(checkAll(several, access, batch, topics));
  if (checking instanceof Promise) await checking;
  admission.charge(publisher, batch.size);
  const published = isTraced()
    ? tracePublish(request, topics, batch.size, () => batch.publish())
    : batch.publish();
  return admission.refund(publisher, batch.size, published);
}

/**
 * @param topics filled with those that there are, each of which is checked once
 * @throws Refusal 400, 401 or 403. HubError for what cannot be published, and for too many
 */
function* checkAll(
  { unit, parts }: Several,
  access: Access | undefined,
  batch: ReturnType<Hub["batch"]>,
  topics: Set<string>,
): Sliced<void> {
  let cost = 0;
  let index = 0;
  let last: unknown; // events that come together are often of one topic
  const where = (): string => `${unit} ${index}`;
  for (const part of parts) {
    if (part === undefined) {
      yield;
      continue;
    }
    cost += part.length;
    index = part.first;
    for (const value of part.values) {
      const event = publicationOf(value, where);
      const { topic } = event;
      if (topic !== last && !topics.has(topic)) {
        if (access !== undefined) requirePublish(access, topic);
        topics.add(topic);
      }
      last = topic;
      batch.add(event);
      index++;
      cost += EVENT_COST;
      if (cost < STEP_COST) continue;
      cost = 0;
      yield;
    }
  }
}

/** What an event costs besides its text, in characters, and what may be done before the loop can go on: some hundredth of a slice. */
const EVENT_COST = 512;
const STEP_COST = 16_384;

/** An id holds nothing that JSON would have to escape. */
function idList(ids: readonly string[]): string {
  return ids.length === 0 ? `"ids":[]` : `"ids":["${ids.join('","')}"]`;
}
