import {
  type Attributes,
  type Context,
  context,
  propagation,
  ProxyTracerProvider,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import type { MaybePromise, Opening, StreamRequest } from "@sse/hub";

/*
 * Spans of OpenTelemetry, named as its conventions for messaging have it: `publish`, from when the events have passed all
 * checks until the log has them, and `subscribe`, until it is known where a stream begins. Without an SDK there are none,
 * and all that they cost is one look.
 */

const NAME = "@sse/elysia";
const SYSTEM = { "messaging.system": "sse" };

interface Kind<Answer> {
  readonly name: string;
  readonly kind: SpanKind;
  /** What is known from the answer on. */
  readonly told: (answer: Answer) => Attributes;
}

const PUBLISH: Kind<string | readonly string[]> = {
  name: "publish",
  kind: SpanKind.PRODUCER,
  told: (ids) => (typeof ids === "string" ? { "messaging.message.id": ids } : {}),
};

const SUBSCRIBE: Kind<Opening> = {
  name: "subscribe",
  kind: SpanKind.CONSUMER,
  told: ({ resume, replayed, gap }) => ({
    "sse.resume": resume,
    "sse.replayed": replayed,
    ...(gap !== null && { "sse.gap": gap }),
  }),
};

/**
 * For where {@link isTraced}.
 *
 * @param topics of the events that are about to be published
 * @param count of the events
 * @param publish answers an id, or one for each
 */
export function tracePublish<Ids extends string | readonly string[]>(
  request: Request,
  topics: Iterable<string>,
  count: number,
  publish: () => Promise<Ids>,
): Promise<Ids> {
  const [topic, another] = topics;
  return inSpan(request, PUBLISH, publish, {
    "messaging.operation.type": "send",
    "messaging.operation.name": "publish",
    ...(topic !== undefined && another === undefined && { "messaging.destination.name": topic }),
    ...(count > 1 && { "messaging.batch.message_count": count }),
  }) as Promise<Ids>;
}

/** @param open opens the stream, and asks the log where it begins */
export function traceSubscribe(
  request: Request,
  { topics, lag }: StreamRequest,
  open: () => MaybePromise<Opening>,
): MaybePromise<Opening> {
  if (!isTraced()) return open();
  return inSpan(request, SUBSCRIBE, open, {
    "messaging.operation.type": "receive",
    "messaging.operation.name": "subscribe",
    "messaging.destination.name": topics.join(" "),
    ...(lag !== undefined && { "sse.lag": lag }),
  });
}

/** Whether somebody has registered an SDK. */
export function isTraced(): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(NAME) !== undefined;
}

function inSpan<Told, Answer extends Told>(
  request: Request,
  { name, kind, told }: Kind<Told>,
  run: () => MaybePromise<Answer>,
  attributes: Attributes,
): MaybePromise<Answer> {
  const parent = parentOf(request);
  const span = trace
    .getTracer(NAME)
    .startSpan(name, { kind, attributes: { ...SYSTEM, ...attributes } }, parent);
  const done = (answer: Answer): Answer => {
    quietly(() => span.setAttributes(told(answer)).end());
    return answer;
  };
  try {
    const answer = context.with(trace.setSpan(parent, span), run);
    return answer instanceof Promise
      ? answer.then(done, (error: unknown) => fail(span, error))
      : done(answer);
  } catch (error) {
    return fail(span, error);
  }
}

/** The span that is going on here, else the one that the request's `traceparent` names (W3C Trace Context). */
function parentOf({ headers }: Request): Context {
  const active = context.active();
  if (trace.getSpan(active) !== undefined) return active;
  return propagation.extract(active, headers, {
    get: (carrier, key) => carrier.get(key) ?? undefined,
    keys: (carrier) => [...carrier.keys()],
  });
}

function fail(span: Span, error: unknown): never {
  const { message } = error as Error;
  quietly(() => {
    span.recordException(error as Error);
    span.setStatus({ code: SpanStatusCode.ERROR, message });
    span.end();
  });
  throw error;
}

/** An SDK that throws changes nothing of what has been done by then. */
function quietly(tell: () => void): void {
  try {
    tell();
  } catch (error) {
    console.error(error);
  }
}
