/* The same in Node: what is promised to run there, and what is not. */
import { once } from "node:events";
import { EventSource, subscribe } from "@sse/client";
import { createHandler } from "@sse/http";
import { toNodeListener } from "@sse/http/node";
import { createHub, RecordingSink } from "@sse/hub";
import { openNatsLog } from "@sse/hub/nats";
import { openRedisLog } from "@sse/hub/redis";
import { SqliteLog } from "@sse/hub/sqlite";
import { decodeEvents, encodeEvent } from "@sse/protocol";
import express from "express";

const events = [];
for await (const { data } of decodeEvents(new Blob([encodeEvent({ data: "hello" })]).stream()))
  events.push(data);

const data = `data:text/event-stream,${encodeURIComponent(encodeEvent({ data: "subscribed" }))}`;
const options = { fetch: () => fetch(data), parse: null };
for await (const event of subscribe("http://localhost/", options)) {
  events.push(event.data);
  break;
}
events.push(typeof EventSource);

const hub = createHub({ log: new SqliteLog("events.db") });
const sink = new RecordingSink();
const opening = await hub.open({ topics: ["orders/*"] });
opening.attach(sink);
await hub.publish("orders/42", { event: "paid", data: { total: 99 } });
const app = express().use(toNodeListener(createHandler({ hub })));
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${server.address().port}`;
const body = JSON.stringify({ topic: "orders/43", data: "over Express" });
await fetch(`${url}/publish`, { method: "POST", headers: { "content-type": "application/json" }, body });
for await (const event of decodeEvents((await fetch(`${url}/events?topic=orders/43&replay=all`)).body)) {
  if (event.type !== "message") continue;
  events.push(event.data);
  break;
}
events.push((await fetch(`${url}/else`)).status);
server.close();
server.closeAllConnections();
await hub.close();
events.push(/^event: paid\ndata: \{"total":99\}\nid: .+\n\n/m.test(sink.text));

for (const load of [
  () => openRedisLog({ url: "redis://localhost" }), // these need packages that are not installed
  () => openNatsLog({ url: "nats://localhost" }),
]) {
  events.push(await load().catch((error) => error.message));
}
console.log(JSON.stringify(events));
