/* What needs no types of a runtime: type-checked with those of the language and the web alone. */
import { subscribe } from "@sse/client";
import { createAuthorize, createHandler, events, readTokens } from "@sse/http";
import { createHub } from "@sse/hub";
import { SqliteLog } from "@sse/hub/sqlite";
import { decodeEvents } from "@sse/protocol";

const hub = createHub({ log: new SqliteLog("events.db") });
const authorize = createAuthorize({ tokens: readTokens("[]") });
const handlers = [createHandler({ hub, authorize }), events(hub, { topics: () => ["orders/42"] })];
for (const handler of handlers) {
  const answer = await handler(new Request("http://localhost/events"));
  for await (const event of decodeEvents(answer.body!)) console.log(event.data);
}
for await (const event of subscribe("http://localhost/events")) console.log(event.data);
for await (const event of hub.iterate({ topics: ["orders/42"] })) console.log(event.kind);
