import { connect as connectHttp2 } from "node:http2";
import { connect as connectTls } from "node:tls";

/** What a request was answered. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  text: string;
}

/** A request whose body is sent as the test wants it to. */
export interface BodySender {
  write(text: string | Uint8Array): void;
  end(): void;
  /** Hangs up. */
  destroy(): void;
  /** Rejects when there is none any more. */
  readonly answer: Promise<Answer>;
  /** When nothing more can be sent on it. */
  readonly closed: Promise<void>;
}

/** Sends requests of one protocol to a server on TLS, each on a connection of its own, or as many on one as HTTP/2 takes. */
export interface BodyClient extends Disposable {
  post(path: string, headers?: Record<string, string>): BodySender;
}

export const PROTOCOLS: Readonly<Record<string, (port: number) => BodyClient>> = {
  "HTTP/1.1": http1,
  "HTTP/2": http2,
};

function http1(port: number): BodyClient {
  const open = new Set<BodySender>();
  const post = (path: string, headers: Record<string, string> = {}): BodySender => {
    const answer = Promise.withResolvers<Answer>();
    const closed = Promise.withResolvers<void>();
    answer.promise.catch(() => {});
    const chunked = !("content-length" in headers);
    const fields = { host: "localhost", ...headers, ...(chunked && { "transfer-encoding": "chunked" }) };
    const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
    let received = "";
    socket.on("data", (bytes) => {
      received += bytes.toString("latin1");
      const [head, text] = received.split("\r\n\r\n", 2);
      if (text === undefined) return;
      const [status, ...rest] = head!.split("\r\n");
      const found = Object.fromEntries(
        rest.map((line) => {
          const colon = line.indexOf(":");
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
        }),
      );
      if (text.length >= Number(found["content-length"]))
        answer.resolve({ status: Number(status!.split(" ")[1]), headers: found, text });
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      answer.reject(new Error(`closed after ${JSON.stringify(received.slice(0, 100))}`));
      closed.resolve();
    });
    const write = (text: string | Uint8Array): void => {
      if (socket.destroyed || text.length === 0) return; // a chunk of nothing ends the body
      if (chunked) socket.write(`${Buffer.byteLength(text).toString(16)}\r\n`);
      socket.write(text);
      if (chunked) socket.write("\r\n");
    };
    const sender: BodySender = {
      write,
      end: () => void (chunked && socket.write("0\r\n\r\n")),
      destroy: () => void socket.destroy(),
      answer: answer.promise,
      closed: closed.promise,
    };
    open.add(sender);
    return sender;
  };
  return { post, [Symbol.dispose]: () => open.forEach((each) => each.destroy()) };
}

/** What Bun takes on one connection. */
const STREAMS = 200;

function http2(port: number): BodyClient {
  const connect = () => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    session.on("error", () => {});
    return session;
  };
  const sessions = [connect()];
  let streams = 0;
  const post = (path: string, headers: Record<string, string> = {}): BodySender => {
    if (streams++ >= STREAMS || sessions.at(-1)!.destroyed) {
      sessions.push(connect());
      streams = 1;
    }
    const answer = Promise.withResolvers<Answer>();
    const closed = Promise.withResolvers<void>();
    answer.promise.catch(() => {});
    const request = sessions.at(-1)!.request({ ":method": "POST", ":path": path, ...headers });
    let [status, text] = [0, ""];
    let found: Record<string, string> = {};
    request.on("response", (fields) => {
      status = Number(fields[":status"]);
      found = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
    });
    request.on("data", (bytes: Buffer) => void (text += bytes.toString()));
    request.on("end", () => void (status > 0 && answer.resolve({ status, headers: found, text })));
    request.on("error", () => {});
    request.on("close", () => {
      if (status === 0) answer.reject(new Error("closed without an answer"));
      else answer.resolve({ status, headers: found, text });
      closed.resolve();
    });
    return {
      write: (bytes) => void (request.destroyed || request.write(bytes)),
      end: () => void (request.destroyed || request.end()),
      destroy: () => request.close(8), // CANCEL
      answer: answer.promise,
      closed: closed.promise,
    };
  };
  return { post, [Symbol.dispose]: () => sessions.forEach((each) => each.destroy()) };
}
