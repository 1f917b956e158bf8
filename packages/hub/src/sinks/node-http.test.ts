import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { type AddressInfo, connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HttpClient } from "../../test/http-client.ts";
import { until } from "../../test/until.ts";
import {
  attachResponse,
  createHub,
  type Hub,
  type NodeResponse,
  type Opening,
  type Stream,
} from "../index.ts";
import type { Attachable, Sink } from "./sink.ts";
import { RecordedOpening, type SinkClient, sinkContract } from "../testing/sink-contract.ts";

const encoder = new TextEncoder();
/** Whose turn it is to be attached. */
let next: (response: NodeResponse) => void;
const answer = (
  _: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
): void => {
  response.setHeader("content-type", "text/event-stream");
  next(response);
};
const listen = async (server: { listen(port: number, host: string, done: () => void): unknown }) => {
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
};
const attach = (opening: Attachable): void => {
  next = (response) => attachResponse(opening, response);
};

describe("HTTP/1.1", () => {
  let server: Server;
  const port = (): number => (server.address() as AddressInfo).port;
  beforeAll(async () => {
    server = createServer(answer);
    await listen(server);
  });
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  sinkContract("attachResponse, HTTP/1.1", {
    connect: async (opening) => {
      attach(opening);
      return await HttpClient.connect(port());
    },
    connectHead: async (opening) => {
      attach(opening);
      return await HttpClient.connect(port(), "HEAD");
    },
    leaveAtOnce: async (opening) => {
      next = (response) => {
        opening.onAttach = () => void response.destroy();
        attachResponse(opening, response);
      };
      return await HttpClient.connect(port());
    },
  });

  test("a client that has left before is not attached", async () => {
    const log: string[] = [];
    const opening = { attach: () => expect.unreachable(), cancel: () => void log.push("cancel") };
    next = (response) => {
      response.destroy();
      attachResponse(opening, response);
    };
    await HttpClient.connect(port());
    await until(() => log.length > 0);
  });

  test("what a middleware has put in place of `write` is called", async () => {
    const written: string[] = [];
    next = (response) => {
      const write = response.write.bind(response);
      response.write = (bytes) => {
        written.push(Buffer.from(bytes).toString());
        return write(bytes);
      };
      attachResponse(opening, response);
    };
    const opening = {
      attach(sink: Sink) {
        void sink.write(encoder.encode("hello"));
        return { gone() {} };
      },
      cancel: () => expect.unreachable(),
    };
    const client = await HttpClient.connect(port());
    await until(() => client.text() === "hello");
    expect(written).toEqual(["hello"]);
    client.leave();
  });

  describe("a middleware that changes things when the head is written", () => {
    const hooks: [string, (response: ServerResponse, written: string[]) => void][] = [
      [
        "has put a `write` of its own in place",
        (response, written) => {
          const write = response.write.bind(response);
          response.write = (bytes) => {
            written.push(Buffer.from(bytes).toString());
            return write(bytes);
          };
        },
      ],
      ["has set chunks", (response) => void response.setHeader("transfer-encoding", "chunked")],
    ];
    test.each(hooks)("%s", async (what, hook) => {
      const written: string[] = [];
      const opening = new RecordedOpening();
      next = (response) => {
        const its = response as ServerResponse;
        const writeHead = its.writeHead.bind(its);
        its.writeHead = (status: number) => {
          hook(its, written);
          return writeHead(status);
        };
        attachResponse(opening, response);
      };
      const client = await HttpClient.connect(port());
      await until(() => client.text() === "hello ");
      await opening.sink!.write(encoder.encode("two"));
      await until(() => client.text() === "hello two");
      expect(written.includes("two")).toBe(what.includes("write"));
      client.leave();
    });

    test("throws: the opening is cancelled, or its sink has thrown", async () => {
      const opening = new RecordedOpening();
      let isAsked = false;
      next = (response) => {
        (response as ServerResponse).writeHead = () => {
          throw new Error("no head");
        };
        try {
          attachResponse(opening, response);
        } catch {
          response.destroy();
        }
        isAsked = true;
      };
      await HttpClient.connect(port());
      await until(() => isAsked);
      expect(["attach", "cancel"]).toContain(opening.log[0]!);
    });
  });

  test("a head that was written and not sent goes out before the first bytes", async () => {
    next = (response) => {
      (response as ServerResponse).writeHead(200, { "content-type": "text/event-stream" });
      attachResponse({ attach: () => ({ gone() {} }), cancel: () => expect.unreachable() }, response);
    };
    const client = await HttpClient.connect(port());
    await until(() => client.all.startsWith("HTTP/1.1 200 OK"));
    client.leave();
  });

  test("streams that follow each other on a connection leave nothing behind on it", async () => {
    const opening = new RecordedOpening();
    let listeners: number[] = [];
    next = (response) => {
      attachResponse(opening, response);
      listeners = (response as ServerResponse)
        .socket!.eventNames()
        .map((name) => (response as ServerResponse).socket!.listenerCount(name));
      opening.sink!.close();
    };
    const client = await HttpClient.connect(port());
    const ends = (): number => client.all.split("\r\n0\r\n\r\n").length - 1;
    await until(() => ends() === 1);
    const first = listeners;
    for (let streams = 2; streams < 5; streams++) {
      client.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      await until(() => ends() === streams);
    }
    expect(listeners).toEqual(first);
    expect(client.all.match(/hello /g)).toHaveLength(4);
    client.leave();
  });

  test("a client of HTTP/1.0 is sent no chunks", async () => {
    const opening = new RecordedOpening();
    attach(opening);
    const socket = connectTcp(port(), "127.0.0.1");
    let all = "";
    socket.on("data", (bytes) => (all += bytes.toString()));
    socket.write("GET / HTTP/1.0\r\n\r\n");
    await until(() => all.endsWith("\r\n\r\nhello "));
    await opening.sink!.write(encoder.encode("two"));
    opening.sink!.close();
    await until(() => all.endsWith("\r\n\r\nhello two"));
    socket.destroy();
  });

  test("a stream whose connection the server cuts does not look whole", async () => {
    const alone = createServer(answer);
    await listen(alone);
    attach(new RecordedOpening());
    const client = await HttpClient.connect((alone.address() as AddressInfo).port);
    await until(() => client.text() === "hello ");
    alone.close();
    alone.closeAllConnections();
    await until(() => client.ended() !== null);
    expect(client.ended()).toBe("aborted");
  });

  test("what is cut while its end is being sent is closed", async () => {
    const opening = new RecordedOpening();
    let isClosed = false;
    next = (response) => {
      attachResponse(opening, response);
      const { socket } = response as ServerResponse;
      socket!.on("end", () => process.nextTick(() => opening.sink!.abort()));
      socket!.on("close", () => (isClosed = true));
    };
    const client = await HttpClient.connect(port());
    await until(() => client.text() === "hello ");
    client.socket.end();
    await until(() => isClosed);
    client.leave();
  });

  test("a response that waits for another on its connection comes after it", async () => {
    const waiting: NodeResponse[] = [];
    next = (response) => void waiting.push(response);
    const client = await HttpClient.connect(port());
    client.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await until(() => waiting.length === 2);
    const [first, second] = waiting;
    let its: Sink;
    attachResponse(
      {
        attach(sink) {
          its = sink;
          void sink.write(encoder.encode("one "));
          return { gone() {} };
        },
        cancel: () => expect.unreachable(),
      },
      second!,
    );
    first!.end();
    await until(() => client.all.endsWith("one \r\n") || client.all.endsWith("one "));
    void its!.write(encoder.encode("two"));
    await until(() => client.all.includes("two"));
    expect(client.all.match(/HTTP\/1.1 200 OK/g)).toHaveLength(2);
    client.leave();
  });

  describe("of a hub", () => {
    let hub: Hub;
    let opened: Stream[];
    const closed = new Map<Stream, string>();
    beforeAll(() => {
      hub = createHub({
        onClose: (stream, reason) => closed.set(stream, reason),
        writeDeadline: 500,
        heartbeat: null,
      });
    });
    afterAll(() => hub.close());
    beforeEach(() => {
      opened = [];
      const opening = hub.open({ topics: ["t"] }) as Opening;
      attach({
        attach: (sink) => {
          const stream = opening.attach(sink);
          opened.push(stream);
          return stream;
        },
        cancel: () => opening.cancel(),
      });
    });

    test("sends its head and its first event in the first packet, and the events of a turn in one", async () => {
      const { packets, text, socket } = await open();
      expect(packets[0]).toStartWith("HTTP/1.1 200 OK\r\n");
      expect(packets[0]).toContain("event: sse:ready\n");
      const before = packets.length;
      await Promise.all(["1", "2", "3"].map((data) => hub.publish("t", { data })));
      await until(() => text().includes("data: 3"));
      expect(packets.length - before).toBe(1);
      socket.destroy();
    });

    test.each([
      ["ends", (client: HttpClient) => void client.socket.end()],
      ["resets", (client: HttpClient) => void client.socket.resetAndDestroy()],
    ])("is closed when the client %s", async (_, leave) => {
      const client = await open();
      leave(client.client);
      await until(() => closed.has(opened[0]!));
      expect(closed.get(opened[0]!)).toBe("client");
      client.socket.destroy();
    });

    test("blocks when its reader stalls, and gives it everything when it goes on", async () => {
      const { socket, text } = await open();
      socket.pause();
      const data = "x".repeat(60_000);
      let sent = 0;
      // A reader that keeps up is behind for a moment too, with frames that are as large as what Node keeps.
      for (let blocked = 0; blocked < 20;) {
        await hub.publish("t", { data: `${sent++} ${data}` });
        blocked = opened[0]!.state === "blocked" ? blocked + 1 : 0;
        expect(sent).toBeLessThan(5000);
      }
      socket.resume();
      await until(() => opened[0]!.state === "live" && text().includes(`data: ${sent - 1} `));
      const seen = [...text().matchAll(/data: (\d+) /g)].map(([, n]) => Number(n));
      expect(seen).toEqual(Array.from({ length: sent }, (_, at) => at));
      socket.destroy();
    });

    async function open() {
      const client = await HttpClient.connect(port());
      await until(() => client.text().includes("sse:ready"));
      return { client, socket: client.socket, packets: client.packets, text: () => client.text() };
    }
  });
});

describe("HTTP/1.1, but not over TCP", () => {
  const folder = mkdtempSync(join(tmpdir(), "sse-sink-"));
  const pipe = join(folder, "pipe");
  const overPipe = createServer(answer);
  let overTls: TlsServer;
  beforeAll(async () => {
    await new Promise<void>((resolve) => void overPipe.listen(pipe, resolve));
    overTls = createTlsServer(makeCertificate(folder), answer);
    await listen(overTls);
  });
  afterAll(() => {
    for (const server of [overPipe, overTls]) {
      server.close();
      server.closeAllConnections();
    }
    rmSync(folder, { recursive: true });
  });

  sinkContract("attachResponse, HTTP/1.1 over a pipe", {
    connect: async (opening) => {
      attach(opening);
      return await HttpClient.connect(pipe);
    },
  });
  // A client over TLS does not pause in Deno.
  if (!("Deno" in globalThis))
    sinkContract("attachResponse, HTTP/1.1 over TLS", {
      connect: async (opening) => {
        attach(opening);
        return await HttpClient.connect((overTls.address() as AddressInfo).port, "GET", "/", true);
      },
    });
});

/** A certificate that nobody else has signed, and its key. Needs `openssl`. */
function makeCertificate(folder: string): { cert: Buffer; key: Buffer } {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const command =
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
  const [program, ...args] = command.split(" ");
  execFileSync(program!, [...args, "-keyout", key, "-out", cert], { stdio: "ignore" });
  return { cert: readFileSync(cert), key: readFileSync(key) };
}

describe("HTTP/2", () => {
  const server = createHttp2Server(answer);
  let session: ClientHttp2Session;
  beforeAll(async () => {
    await listen(server);
    session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
  afterAll(() => {
    session.destroy();
    server.close();
  });

  const request = (method = "GET"): SinkClient => {
    const stream = session.request({ ":path": "/", ":method": method });
    const parts: string[] = [];
    let ended: "closed" | "aborted" | null = null;
    stream.setEncoding("latin1");
    stream.on("data", (text: string) => void parts.push(text));
    stream.on("end", () => {
      ended ??= stream.rstCode === constants.NGHTTP2_NO_ERROR ? "closed" : "aborted";
    });
    stream.on("aborted", () => {
      ended = "aborted";
    });
    stream.on("error", () => {
      ended = "aborted";
    });
    return {
      text: () => parts.join(""),
      ended: () => ended,
      pause: () => void stream.pause(),
      resume: () => void stream.resume(),
      leave: () => stream.close(constants.NGHTTP2_CANCEL),
    };
  };

  sinkContract("attachResponse, HTTP/2", {
    connect: async (opening) => {
      attach(opening);
      return request();
    },
    connectHead: async (opening) => {
      attach(opening);
      return request("HEAD");
    },
    leaveAtOnce: async (opening) => {
      next = (response) => {
        opening.onAttach = () => response.stream!.close(constants.NGHTTP2_CANCEL);
        attachResponse(opening, response);
      };
      return request();
    },
  });
});
