import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { connect, type Socket } from "node:net";
import { ServerProcess } from "./server-process.ts";
import { publish, SseClient, until } from "./sse-client.ts";

/* What is limited, against the server as a process of its own: who is refused, how, and that nobody else is hurt. */

const SECRET = "a secret of at least 32 bytes, for tests";
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function bearer(sub: string | undefined): Record<string, string> {
  const claims = { sub, jti: Math.random(), sse: { subscribe: ["**"], publish: ["**"], admin: true } };
  const text = `${base64({ alg: "HS256", typ: "JWT" })}.${base64(claims)}`;
  const signature = createHmac("sha256", SECRET).update(text).digest("base64url");
  return { authorization: `Bearer ${text}.${signature}` };
}

/** Asks as an EventSource does, and as another client does, and expects to be sent away for the time being. */
async function expectNoRoom(
  url: string,
  status: 429 | 503,
  detail: string,
  headers: Record<string, string> = {},
): Promise<void> {
  const plain = await fetch(url, { headers: { accept: "*/*", ...headers } });
  expect([plain.status, plain.headers.get("content-type")]).toEqual([status, "application/problem+json"]);
  expect(plain.headers.get("retry-after")).toMatch(/^[1-9][0-9]*$/);
  expect(((await plain.json()) as { detail: string }).detail).toContain(detail);
  const stream = await fetch(url, { headers: { accept: "text/event-stream", ...headers } });
  expect([stream.status, stream.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  const [, retry, data] =
    /^event: sse:closing\nretry: ([0-9]+)\ndata: (.*)\n\n$/.exec(await stream.text()) ?? [];
  expect(JSON.parse(data!)).toEqual({ reason: "overload", retry: Number(retry) });
}

async function refused(
  server: ServerProcess,
  headers: Record<string, string> = {},
): Promise<Record<string, number>> {
  const text = await (await fetch(`${server.url}/metrics`, { headers })).text();
  const counts = [...text.matchAll(/^sse_refused_total\{reason="([^"]+)"\} ([0-9]+)$/gm)];
  return Object.fromEntries(counts.map(([, reason, count]) => [reason, Number(count)]));
}

async function streams(server: ServerProcess, headers: Record<string, string> = {}): Promise<number> {
  const stats = (await (await fetch(`${server.url}/stats`, { headers })).json()) as { streams: number };
  return stats.streams;
}

const open = async (url: string, headers: Record<string, string> = {}): Promise<SseClient> => {
  const client = await SseClient.open(url, headers);
  await until(() => client.events.length > 0);
  expect(client.events[0]!.type).toBe("sse:ready");
  return client;
};

const IDLE = 8000;
let patient: ServerProcess;
/** By what they do: when the server has closed them; they are all under way while the other tests of this file run. */
const closed = new Map<string, Promise<string>>();
let quiet: SseClient;

beforeAll(async () => {
  patient = await ServerProcess.start("--idle-timeout", `${IDLE}ms`, "--heartbeat", "off");
  quiet = await open(`${patient.url}/events?topic=quiet`);
  const dial = (name: string, request: string, drip: string | null): void => {
    const { promise, resolve } = Promise.withResolvers<string>();
    let text = "";
    const socket = connect(patient.port, "127.0.0.1", () => void socket.write(request));
    const timer = drip === null ? undefined : setInterval(() => socket.write(drip), 500);
    socket.on("data", (bytes) => void (text += bytes.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(timer);
      resolve(text);
    });
    closed.set(name, promise);
  };
  const post = "POST /publish HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
  dial("says nothing", "", null);
  dial("sends a header by the byte", "GET /events HTTP/1.1\r\nhost: localhost\r\nx: ", "a");
  dial("sends headers without an end", "GET /events HTTP/1.1\r\nhost: localhost\r\n", "x: y\r\n");
  dial("sends a body by the byte", `${post}content-length: 100000\r\n\r\n`, " ");
  dial("sends chunks without an end", `${post}transfer-encoding: chunked\r\n\r\n`, "1\r\n \r\n");
  dial("asks once, and then half", "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /heal", "t");
});
afterAll(() => patient[Symbol.asyncDispose]());

describe("streams", () => {
  test("are limited in all, by address and by topic; those that run go on, and one that ends makes room", async () => {
    await using server = await ServerProcess.start(
      ..."--max-streams 5 --max-streams-per-address 2 --max-streams-per-topic 3 --trusted-proxies 127.0.0.1".split(
        " ",
      ),
    );
    const from = (address: string): Record<string, string> => ({ "x-forwarded-for": `evil, ${address}` });
    const url = `${server.url}/events?topic=t`;
    const first = await open(url, from("192.0.2.1"));
    await open(url, from("192.0.2.1"));
    await expectNoRoom(url, 429, "your address has 2 streams", from("192.0.2.1"));
    await open(url, from("2001:db8::1"));
    await expectNoRoom(url, 503, "one of the topics has 3 streams", from("192.0.2.2"));
    await open(`${server.url}/events?topic=u`, from("2001:db8::ffff:1"));
    await expectNoRoom(`${server.url}/events?topic=v`, 429, "your address", from("2001:db8::2"));
    await open(`${server.url}/events?topic=u`, from("192.0.2.3"));
    await expectNoRoom(`${server.url}/events?topic=v`, 503, "the server has 5 streams", from("192.0.2.4"));
    expect(await refused(server)).toEqual({
      "too-many-streams-of-address": 4,
      "too-many-streams-of-topic": 2,
      "too-many-streams": 2,
    });
    await publish(server.url, { topic: "t", data: "goes on" });
    expect(await first.receive(1)).toEqual(["goes on"]);
    first.close();
    await until(async () => (await streams(server)) === 4);
    await open(url, from("192.0.2.4"));
  });

  test("are limited by the subject of the token, whichever token it is, also over tickets", async () => {
    await using server = await ServerProcess.startWith(
      { SSE_JWT_SECRET: SECRET },
      ..."--max-streams-per-principal 2 --anonymous-subscribe public/**".split(" "),
    );
    const url = `${server.url}/events?topic=t`;
    await open(url, bearer("me"));
    const response = await fetch(`${server.url}/tickets`, { method: "POST", headers: bearer("me") });
    await open(`${url}&ticket=${((await response.json()) as { ticket: string }).ticket}`);
    await expectNoRoom(url, 429, "your token has 2 streams", bearer("me"));
    await open(url, bearer("you"));
    // Tokens without a subject stand for themselves, and who has none is nobody.
    const nameless = bearer(undefined);
    await open(url, nameless);
    await open(url, nameless);
    await expectNoRoom(url, 429, "your token", nameless);
    await open(url, bearer(undefined));
    for (let at = 0; at < 3; at++) await open(`${server.url}/events?topic=public/1`);
    expect((await fetch(url)).status).toBe(401);
    expect((await refused(server, bearer("you")))["unauthorized"]).toBe(1);
  });

  test("that nobody trusts to be forwarded are counted by their peer", async () => {
    await using server = await ServerProcess.start("--max-streams-per-address", "1");
    await open(`${server.url}/events`, { "x-forwarded-for": "192.0.2.1" });
    await expectNoRoom(`${server.url}/events`, 429, "your address", { "x-forwarded-for": "192.0.2.2" });
  });

  test("are refused with more selectors than are allowed", async () => {
    await using server = await ServerProcess.start("--max-selectors", "2");
    expect((await fetch(`${server.url}/events?topic=a&topic=b&topic=c`)).status).toBe(400);
    await open(`${server.url}/events?topic=a&topic=b`);
  });

  test("are counted exactly, however 20,000 of one address come and go", async () => {
    const LIMIT = 50;
    await using server = await ServerProcess.start("--max-streams-per-address", String(LIMIT));
    const memory = await server.memory();
    const kinds = ["GET", "GET", "GET", "HEAD"];
    const sockets = new Set<Socket>();
    for (let round = 0; round < 200; round++) {
      await Promise.all(
        Array.from({ length: 100 }, (_, at) => {
          const { promise, resolve } = Promise.withResolvers<void>();
          const socket = connect(server.port, "127.0.0.1", () => {
            socket.write(`${kinds[at % 4]} /events?topic=${at % 7} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
            if (at % 5 === 0) socket.resetAndDestroy(); // before there is an answer
          });
          sockets.add(socket);
          socket.on("data", () => {
            if (at % 3 === 0) socket.destroy();
            else if (at % 3 === 1) socket.resetAndDestroy();
            resolve(); // the others stay a while
          });
          socket.on("error", () => {});
          socket.on("close", () => {
            sockets.delete(socket);
            resolve();
          });
          return promise;
        }),
      );
      if (round % 3 === 2) for (const socket of sockets) socket.destroy();
    }
    for (const socket of sockets) socket.destroy();
    await until(async () => (await streams(server)) === 0);
    const stats = (await (await fetch(`${server.url}/stats`)).json()) as { addresses: number };
    expect(stats.addresses).toBe(0);
    expect(((await server.memory()) - memory) / 2 ** 20).toBeLessThan(128);
    for (let at = 0; at < LIMIT; at++) await open(`${server.url}/events`);
    await expectNoRoom(`${server.url}/events`, 429, `your address has ${LIMIT} streams`);
  });
});

describe("publishing", () => {
  test("is limited by a rate, in which an array counts as what it holds, for each subject apart", async () => {
    await using server = await ServerProcess.startWith({ SSE_JWT_SECRET: SECRET }, "--publish-rate", "1/s");
    const post = (body: unknown, headers: Record<string, string>, path = "/publish"): Promise<Response> =>
      fetch(`${server.url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      });
    const many = Array.from({ length: 1000 }, (_, at) => ({ topic: "t", data: String(at) }));
    const began = performance.now();
    expect((await post(many, bearer("a"))).status).toBe(200);
    for (const [body, path] of [
      [{ topic: "t", data: "x" }, "/publish"],
      [many, "/publish"],
      [{ message: "x" }, "/send-event"],
      [{}, "/demo/jobs"],
    ] as const) {
      const over = await post(body, bearer("a"), path);
      expect([path, over.status]).toEqual([path, 429]);
      const wait = Number(over.headers.get("retry-after"));
      expect(wait).toBeLessThan(1000);
      expect(wait).toBeGreaterThanOrEqual(999 - Math.ceil((performance.now() - began) / 1000));
    }
    expect((await post({ topic: "t", data: "x" }, bearer("b"))).status).toBe(200);
    expect((await refused(server, bearer("c")))["publish-rate"]).toBe(4);
    const client = await SseClient.open(`${server.url}/events?topic=t&replay=all`, bearer("c"));
    expect((await client.receive(1001)).length).toBe(1001);
  });

  test("without tokens is limited by address", async () => {
    await using server = await ServerProcess.start(
      ..."--publish-rate 1 --trusted-proxies 127.0.0.0/8".split(" "),
    );
    const post = async (address: string): Promise<number> =>
      (
        await fetch(`${server.url}/publish?topic=t`, {
          method: "POST",
          headers: { "content-type": "text/plain", "x-forwarded-for": address },
          body: "x",
        })
      ).status;
    const began = performance.now();
    const statuses = await Promise.all(Array.from({ length: 100 }, () => post("192.0.2.1")));
    const taken = statuses.filter((status) => status === 200).length;
    expect(statuses.filter((status) => status === 429).length).toBe(100 - taken);
    expect(taken).toBeGreaterThanOrEqual(2);
    expect(taken).toBeLessThanOrEqual(2 + Math.ceil((performance.now() - began) / 1000));
    expect(await post("192.0.2.2")).toBe(200);
  });
});

describe("a server that is short of", () => {
  test("memory takes no new streams, and says so to who balances", async () => {
    await using server = await ServerProcess.start("--max-memory", "1MiB");
    await until(async () => (await fetch(`${server.url}/readyz`)).status === 503);
    await expectNoRoom(`${server.url}/events`, 503, "memory");
    await publish(server.url, { topic: "t", data: "x" });
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(await refused(server)).toEqual({ memory: 2 });
  });

  test("time takes no new streams until it has some again; those that run go on", async () => {
    await using server = await ServerProcess.start("--max-lag", "2s");
    await using client = await open(`${server.url}/events?topic=t`);
    const isShort = (): boolean => server.lines.some((line) => line.includes("sends new streams away"));
    while (!isShort()) {
      server.process.kill("SIGSTOP");
      await Bun.sleep(2500);
      server.process.kill("SIGCONT");
      await Bun.sleep(50);
    }
    await publish(server.url, { topic: "t", data: "goes on" });
    expect(await client.receive(1)).toEqual(["goes on"]);
    // It opens again after a second of ease.
    await until(() => server.lines.some((line) => line.includes("takes new streams again")));
    await using late = await open(`${server.url}/events?topic=t`);
    expect(late.ended).toBe(false);
  });

  test("descriptors keeps some, whoever wants them: streams, and connections that hardly begin to ask", async () => {
    const LIMIT = 256;
    await using server = await ServerProcess.startUnder([
      "bash",
      "-c",
      `ulimit -n ${LIMIT} && exec "$@"`,
      "bash",
    ]);
    await using first = await open(`${server.url}/events?topic=t`);
    const sockets: Socket[] = [];
    const dial = (request: string): Socket => {
      const socket = connect(server.port, "127.0.0.1", () => void socket.write(request));
      socket.on("error", () => {});
      socket.on("data", () => {});
      sockets.push(socket);
      return socket;
    };
    for (let at = 0; at < 2 * LIMIT; at++) dial("GET /events?topic=t HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await until(async () => (await fetch(`${server.url}/readyz`)).status === 503);
    await expectNoRoom(`${server.url}/events`, 503, "connections");
    expect(await streams(server)).toBeLessThan(LIMIT);
    await publish(server.url, { topic: "t", data: "goes on" });
    expect(await first.receive(1)).toEqual(["goes on"]);
    // Nothing is left for anybody: who is there already goes on, and there is room again when they hang up.
    for (let at = 0; at < 2 * LIMIT; at++) dial("G");
    await Bun.sleep(1000); // in which it looks at itself, without a descriptor to look with
    expect(server.process.exitCode).toBeNull();
    for (const socket of sockets) socket.destroy();
    await until(async () => (await fetch(`${server.url}/readyz`)).status === 200);
    await publish(server.url, { topic: "t", data: "and on" });
    expect(await first.receive(2)).toEqual(["goes on", "and on"]);
    await using late = await open(`${server.url}/events?topic=t`);
    expect(late.ended).toBe(false);
  });
});

test("keys that cannot be had are no fault of the client: it is to come back", async () => {
  await using server = await ServerProcess.start("--jwt-jwks", "http://127.0.0.1:1/keys");
  const key = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
  const text = `${base64({ alg: "ES256", kid: "1" })}.${base64({ sse: { subscribe: ["**"] } })}`;
  const signature = await crypto.subtle.sign(
    { name: "ECDSA", hash: "SHA-256" },
    key.privateKey,
    new TextEncoder().encode(text),
  );
  const token = `${text}.${Buffer.from(signature).toString("base64url")}`;
  await expectNoRoom(`${server.url}/events`, 503, "keys", { authorization: `Bearer ${token}` });
});

test("a stream ends at its maximum age, and goes on where it was, without a gap", async () => {
  await using server = await ServerProcess.start("--max-age", "2s", "--retry", "10ms");
  const seen: string[] = [];
  let lastEventId = "";
  let published = 0;
  for (let life = 0; life < 3; life++) {
    const headers: Record<string, string> = lastEventId === "" ? {} : { "last-event-id": lastEventId };
    await using client = await open(`${server.url}/events?topic=t`, headers);
    while (!client.ended) {
      await publish(server.url, { topic: "t", data: String(published++) });
      await Bun.sleep(5);
    }
    expect(client.control("sse:closing")).toEqual([{ reason: "max-age", retry: expect.any(Number) }]);
    expect(client.control("sse:gap")).toEqual([]);
    ({ lastEventId } = client);
    seen.push(...client.data);
  }
  await using last = await open(`${server.url}/events?topic=t`, { "last-event-id": lastEventId });
  await until(() => seen.length + last.data.length >= published);
  expect([...seen, ...last.data]).toEqual(Array.from({ length: published }, (_, at) => String(at)));
});

describe("a client that takes its time", () => {
  test.each([
    "says nothing",
    "sends a header by the byte",
    "sends headers without an end",
    "sends a body by the byte",
    "sends chunks without an end",
    "asks once, and then half",
  ])("and %s is cut off, and the stream beside it is not", async (name) => {
    const text = await closed.get(name)!;
    expect(text.startsWith("HTTP/1.1 200 OK")).toBe(name === "asks once, and then half");
    expect(quiet.ended).toBe(false);
  });

  test("a flood of headers is refused at once", async () => {
    for (const flood of [`x: ${"y".repeat(100_000)}\r\n`, "x: y\r\n".repeat(5000)]) {
      const response = await new Promise<string>((resolve) => {
        const socket = connect(patient.port, "127.0.0.1", () => {
          socket.write(`GET /events HTTP/1.1\r\nhost: localhost\r\n${flood}\r\n`);
        });
        let text = "";
        socket.on("data", (bytes) => void (text += bytes.toString("latin1")));
        socket.on("error", () => {});
        socket.on("close", () => resolve(text));
      });
      expect(response).toMatch(/^(HTTP\/1.1 431 |$)/);
    }
    expect(await streams(patient)).toBe(1);
  });
});
