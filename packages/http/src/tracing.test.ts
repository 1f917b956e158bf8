import { afterAll, beforeEach, expect, test } from "bun:test";
import { propagation, type ProxyTracerProvider, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { createHub, HubError, type MaybePromise, MemoryLog } from "@sse/hub";
import { createHandler } from "./handler.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const exporter = new InMemorySpanExporter();
const log = new MemoryLog();
const app = createHandler({ hub: createHub({ log, heartbeat: null }) });

const publish = (body: unknown, headers: Record<string, string> = {}): MaybePromise<Response> =>
  app(
    new Request("http://localhost/publish", {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    }),
  );

trace.setGlobalTracerProvider(
  new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
);
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
beforeEach(() => exporter.reset());
afterAll(() => {
  trace.disable();
  propagation.disable();
});

test("a publish is a span of its own, child of the one that its request names", async () => {
  const response = await publish(
    { topic: "orders/1", data: "x" },
    { traceparent: `00-${TRACE}-${PARENT}-01` },
  );
  const { id } = (await response.json()) as { id: string };
  const [span, ...others] = exporter.getFinishedSpans();
  expect(others).toEqual([]);
  expect(span).toMatchObject({ name: "publish", kind: SpanKind.PRODUCER });
  expect(span!.spanContext().traceId).toBe(TRACE);
  expect(span!.parentSpanContext?.spanId).toBe(PARENT);
  expect(span!.attributes).toEqual({
    "messaging.system": "sse",
    "messaging.operation.type": "send",
    "messaging.operation.name": "publish",
    "messaging.destination.name": "orders/1",
    "messaging.message.id": id,
  });
});

test("an array says how many, and one that is refused has no span", async () => {
  await publish([
    { topic: "a", data: "1" },
    { topic: "b", data: "2" },
  ]);
  await publish({ data: "no topic" });
  expect(exporter.getFinishedSpans().map(({ attributes }) => attributes)).toEqual([
    {
      "messaging.system": "sse",
      "messaging.operation.type": "send",
      "messaging.operation.name": "publish",
      "messaging.batch.message_count": 2,
    },
  ]);
});

test("a stream has one until it is known where it begins", async () => {
  const abort = new AbortController();
  const request = new Request("http://localhost/events?topic=a&topic=b/*&lastEventId=unknown&lag=latest", {
    signal: abort.signal,
  });
  await app(request);
  const [span] = exporter.getFinishedSpans();
  expect(span).toMatchObject({ name: "subscribe", kind: SpanKind.CONSUMER });
  expect(span!.attributes).toMatchObject({
    "messaging.destination.name": "a b/*",
    "sse.lag": "latest",
    "sse.resume": "reset",
    "sse.gap": "unknown-id",
  });
  abort.abort();
});

test("what the log cannot keep is told as an error", async () => {
  const failing = new MemoryLog();
  failing.append = () => {
    throw new HubError("log-failed", "the disk is full");
  };
  const broken = createHandler({ hub: createHub({ log: failing, heartbeat: null }) });
  const response = await broken(
    new Request("http://localhost/publish?topic=a", {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: "x",
    }),
  );
  expect(response.status).toBe(503);
  const [span] = exporter.getFinishedSpans();
  expect(span!.status).toEqual({ code: SpanStatusCode.ERROR, message: "the disk is full" });
  expect(span!.events).toHaveLength(1);
});

test("without an SDK there is none", async () => {
  trace.disable();
  await publish({ topic: "orders/1", data: "x" });
  expect(exporter.getFinishedSpans()).toEqual([]);
  expect((trace.getTracerProvider() as ProxyTracerProvider).getDelegateTracer("x")).toBeUndefined();
});
