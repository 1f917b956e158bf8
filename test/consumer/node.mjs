/* The same in Node: what is promised to run there, and what is not. */
import { EventSource, subscribe } from "@sse/client";
import { createHub, RecordingSink } from "@sse/hub";
import { openNatsLog } from "@sse/hub/nats";
import { openRedisLog } from "@sse/hub/redis";
import { SqliteLog } from "@sse/hub/sqlite";
import { decodeEvents, encodeEvent } from "@sse/protocol";

const events = [];
for await (const { data } of decodeEvents(new Blob([encodeEvent({ data: "hello" })]).stream()))
  events.push(data);

const data = `data:text/event-stream,${encodeURIComponent(encodeEvent({ data: "subscribed" }))}`;
const once = { fetch: () => fetch(data), parse: null };
for await (const event of subscribe("http://localhost/", once)) {
  events.push(event.data);
  break;
}
events.push(typeof EventSource);

const hub = createHub({ log: new SqliteLog("events.db") });
const sink = new RecordingSink();
const opening = await hub.open({ topics: ["orders/*"] });
opening.attach(sink);
await hub.publish("orders/42", { event: "paid", data: { total: 99 } });
await hub.close();
events.push(/^event: paid\ndata: \{"total":99\}\nid: .+\n\n/m.test(sink.text));

for (const load of [
  () => openRedisLog({ url: "redis://localhost" }), // these need packages that are not installed
  () => openNatsLog({ url: "nats://localhost" }),
  () => import("@sse/elysia"),
]) {
  events.push(await load().catch((error) => error.message));
}
console.log(JSON.stringify(events));
