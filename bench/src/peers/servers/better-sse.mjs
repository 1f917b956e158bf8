/** A better-sse channel on node:http, as in its own documentation; text is sent as it is, and the ids are ours. */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const HEARTBEAT = 15_000;

const channel = createChannel();
const epoch = randomBytes(5).toString("hex");
let last = 0;

async function open(request, response) {
  const session = await createSession(request, response, {
    keepAlive: HEARTBEAT,
    serializer: (data) => data,
  });
  channel.register(session);
}

function publish(request, response) {
  let data = "";
  request.setEncoding("utf8");
  request.on("data", (text) => (data += text));
  request.on("end", () => {
    const id = `${epoch}-${++last}`;
    channel.broadcast(data, "message", { eventId: id });
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ id }));
  });
}

const server = createServer((request, response) => {
  if (request.method === "GET" && request.url?.startsWith("/events")) return void open(request, response);
  if (request.method === "POST" && request.url?.startsWith("/publish")) return publish(request, response);
  response.writeHead(404).end();
});
// A publisher may rest for longer than Node's five seconds.
server.keepAliveTimeout = 120_000;
server.listen(Number(process.argv[2]), "127.0.0.1");
