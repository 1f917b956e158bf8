/* What runs in the oldest Node that the codec and the client are for. */
import { EventSource, subscribe } from "@sse/client";
import { decodeEvents, encodeEvent } from "@sse/protocol";

const events = [typeof EventSource];
for await (const { data } of decodeEvents(new Blob([encodeEvent({ data: "hello" })]).stream()))
  events.push(data);

const data = `data:text/event-stream,${encodeURIComponent(encodeEvent({ data: "subscribed" }))}`;
for await (const event of subscribe("http://localhost/", { fetch: () => fetch(data), parse: null })) {
  events.push(event.data);
  break;
}
console.log(JSON.stringify(events));
