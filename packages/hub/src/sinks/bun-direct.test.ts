import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Server, Socket } from "bun";
import { HttpClient } from "../../test/http-client.ts";
import { until } from "../../test/until.ts";
import { sinkContract } from "../testing/sink-contract.ts";
import {
  type Attachable,
  createHub,
  directStream,
  type Hub,
  type Opening,
  type Sink,
  type Stream,
} from "../index.ts";

/*
 * Against real sockets: what Bun does with direct streams is nowhere promised, and changed before.
 */

let hub: Hub;
let server: Server<undefined>;
let opened: Stream[] = [];
/** Why streams have closed. */
const closed = new Map<Stream, string>();

beforeAll(() => {
  hub = createHub({
    onClose: (stream, reason) => closed.set(stream, reason),
    writeDeadline: 500,
    heartbeat: null,
  });
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    fetch: () => {
      const opening = hub.open({ topics: ["t"] }) as Opening;
      const attach = (sink: Sink): Stream => {
        const stream = opening.attach(sink);
        opened.push(stream);
        return stream;
      };
      const body = directStream({ attach, cancel: () => opening.cancel() }, false);
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    },
  });
});

afterAll(async () => {
  await hub.close();
  await server.stop(true);
});

for (const isDevelopment of [false, true]) {
  let next: Attachable;
  let own: Server<undefined>;
  beforeAll(() => {
    own = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      development: isDevelopment,
      fetch: () => new Response(directStream(next, isDevelopment)),
    });
  });
  afterAll(() => own.stop(true));
  const connectTo = (opening: Attachable, method = "GET"): Promise<HttpClient> => {
    next = opening;
    return HttpClient.connect(own.port!, method);
  };
  sinkContract(`directStream${isDevelopment ? " in development" : ""}`, {
    connect: connectTo,
    connectHead: (opening) => connectTo(opening, "HEAD"),
    leaveAtOnce: async (opening) => {
      const reader = directStream(opening, isDevelopment).getReader();
      opening.onAttach = () => void reader.cancel();
      await reader.read();
    },
  });
}

interface Client {
  socket: Socket;
  text: () => string;
  packets: string[];
  ended: Promise<void>;
}

async function connect(method = "GET", paused = false): Promise<Client> {
  opened = [];
  const packets: string[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: server.port!,
    socket: {
      open: (it) => {
        if (paused) it.pause();
        it.write(`${method} / HTTP/1.1\r\nhost: x\r\n\r\n`);
      },
      data: (_, bytes) => void packets.push(bytes.toString()),
      close: () => resolve(),
      error: () => resolve(),
    },
  });
  return { socket, packets, text: () => packets.join(""), ended };
}

describe("a direct stream", () => {
  test("sends its head and its first event in the first packet", async () => {
    const { socket, packets } = await connect();
    await until(() => packets.length > 0);
    expect(packets[0]).toStartWith("HTTP/1.1 200 OK\r\n");
    expect(packets[0]).toContain("event: sse:ready\n");
    socket.end();
  });

  test("is not opened by HEAD", async () => {
    const { socket, text } = await connect("HEAD");
    await until(() => text().includes("\r\n\r\n"));
    expect(opened).toEqual([]);
    socket.end();
  });

  test.each([
    ["ends", (socket: Socket) => void socket.end()],
    ["half-closes", (socket: Socket) => socket.shutdown(true)],
    ["resets", (socket: Socket) => socket.terminate()],
  ])("is closed when the client %s", async (_, leave) => {
    const { socket, text } = await connect();
    await until(() => text().includes("sse:ready"));
    leave(socket);
    await until(() => closed.has(opened[0]!));
    expect(closed.get(opened[0]!)).toBe("client");
  });

  test("sends the events of a turn in one packet", async () => {
    const { socket, packets, text } = await connect();
    await until(() => text().includes("sse:ready"));
    const before = packets.length;
    await Promise.all(["1", "2", "3"].map((data) => hub.publish("t", { data })));
    await until(() => text().includes("data: 3"));
    expect(packets.slice(before).length).toBe(1);
    socket.end();
  });

  test("blocks when its reader stalls, and gives it everything when it goes on", async () => {
    const { socket, text } = await connect();
    await until(() => text().includes("sse:ready"));
    socket.pause();
    const data = "x".repeat(60_000);
    let sent = 0;
    while (opened[0]!.state !== "blocked") {
      await hub.publish("t", { data: `${sent++} ${data}` });
      expect(sent).toBeLessThan(1000);
    }
    await hub.publish("t", { data: `${sent++} ${data}` });
    socket.resume();
    await until(() => opened[0]!.state === "live" && text().includes(`data: ${sent - 1} `));
    const seen = [...text().matchAll(/data: (\d+) /g)].map(([, n]) => Number(n));
    expect(seen).toEqual(Array.from({ length: sent }, (_, at) => at));
    socket.end();
  });

  test("is reset, not ended, when its reader stalls past the deadline", async () => {
    const { socket, text, ended } = await connect();
    await until(() => text().includes("sse:ready"));
    socket.pause();
    while (opened[0]!.state !== "blocked") await hub.publish("t", { data: "x".repeat(60_000) });
    await until(() => closed.has(opened[0]!));
    expect(closed.get(opened[0]!)).toBe("slow");
    socket.resume();
    await ended;
    expect(text()).not.toEndWith("0\r\n\r\n"); // the last chunk of a response that is complete
  });

  test("ends with what was written when the hub closes it", async () => {
    const { text } = await connect();
    await until(() => text().includes("sse:ready"));
    await hub.end("t");
    await until(() => text().endsWith("0\r\n\r\n"));
    expect(text()).toContain("event: sse:end\n");
    expect(closed.get(opened[0]!)).toBe("ended");
  });
});
