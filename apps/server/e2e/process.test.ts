import { describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { HUB_DEFAULTS } from "@sse/hub";
import { freePort } from "@sse/hub/test/broker-process.ts";
import { SETTINGS } from "../src/settings.ts";
import { runServer, ServerProcess } from "./server-process.ts";
import { publish, SseClient, until, withGrowingTime } from "./sse-client.ts";

/* The server's life as a process: how it starts, refuses to start, stops, and comes back. */

describe("starting", () => {
  test.each([
    [["--port", "70000"], {}, "--port must be a port number"],
    [["--port", "x"], {}, "--port must be a port number"],
    [[], { PORT: "-1" }, "PORT must be a port number"],
    [["--heartbeat", "3 seconds"], {}, "--heartbeat must be a whole number"],
    [["--max-log-events", "10k"], {}, "--max-log-events must be a whole number"],
    [["--log", "postgres://x"], {}, "--log must be sqlite:PATH or memory:"],
    [["--log", "sqlite:"], {}, "--log names no file after sqlite:"],
    [["--log", "redis://:secret@x?prefx=y"], {}, "--log has an unknown parameter; redis: takes prefix"],
    [["--log", "nats://x?prefix=a.b"], {}, "--log has a prefix that is not"],
    [["--durability", "high"], {}, "--durability must be one of full, normal, off"],
    [
      ["--durability", "full", "--log", "memory:"],
      {},
      "--durability is of a log in a SQLite file, and the log is memory:; leave it out",
    ],
    [
      ["--log", "redis://:secret@x"],
      { SSE_DURABILITY: "off" },
      "SSE_DURABILITY is of a log in a SQLite file",
    ],
    [["--drain", "0"], {}, "--drain must be a whole number from 0 on with a unit"],
    [[], { SSE_LOG_LEVEL: "loud" }, "SSE_LOG_LEVEL must be one of debug, info, warn, error"],
    [["--cors-origins", "example.com"], {}, "--cors-origins must be a list of origins"],
    [["--cors-origins", "*"], {}, "--cors-origins must be a list of origins"],
    [[], { SSE_OPEN: "maybe" }, 'SSE_OPEN must be "true" or "false"'],
    [["--host", "0.0.0.0"], {}, "add --open if that is what you want"],
    [["--host", "192.0.2.1", "--open"], {}, "cannot listen on 192.0.2.1"],
    [
      ["--heartbeat", "15"],
      {},
      "--heartbeat must be a whole number from 1 on with a unit (ms, s, m, h, d), as 15s",
    ],
    [["--max-log-events", "0"], {}, "--max-log-events must be a whole number from 1 on"],
    [["--max-streams", "many"], {}, "--max-streams must be a whole number from 1 on"],
    [
      [],
      { SSE_MAX_STREAMS_PER_ADDRESS: "0" },
      "SSE_MAX_STREAMS_PER_ADDRESS must be a whole number from 1 on",
    ],
    [["--trusted-proxies", "10.0.0.0/8,proxy"], {}, "--trusted-proxies must be addresses and networks"],
    [["--publish-rate", "fast"], {}, "--publish-rate must be a whole number of events from 1 on, as 100/s"],
    [["--max-descriptors", "0%"], {}, "--max-descriptors must be a whole number from 1 on"],
    [["--max-memory", "101%"], {}, "--max-memory must be a whole number from 1 on with a unit"],
    [["--max-lag", "1"], {}, "--max-lag must be a whole number from 1 on with a unit"],
    [["--max-age", "0s"], {}, "--max-age must be a whole number from 1 on with a unit"],
    [["--idle-timeout", "2s"], {}, "--idle-timeout must be from 8s to 255s"],
    [["--peer-timeout", "20s"], {}, "--peer-timeout 20s is shorter than --write-deadline 30s"],
    [
      ["--max-event-bytes", "8MiB"],
      {},
      "--max-event-bytes 8388608 can never be reached with --max-body-bytes 4194304",
    ],
    [
      ["--max-bodies-bytes", "7MiB"],
      {},
      "--max-bodies-bytes 7340032 has no room for two bodies of --max-body-bytes 4194304",
    ],
    [["--body-timeout", "0s"], {}, "--body-timeout must be a whole number from 1 on with a unit"],
    [[], { HOST: "myhost" }, "HOST would let"],
    [
      ["--host", "no.such.host.invalid", "--open"],
      {},
      "cannot listen: the host that --host names has no address",
    ],
    [["--unknown"], {}, "unknown flag --unknown (--help lists all settings)"],
    [["--heart-beat", "1s"], {}, "unknown flag --heart-beat; did you mean --heartbeat?"],
    [["--cors-origin=https://a.example"], {}, "unknown flag --cors-origin; did you mean --cors-origins?"],
    [["stray"], {}, "--help lists all settings"],
  ])("%j with %j is refused in one line", async (args, env, message) => {
    const { code, out, error } = await runServer(args, env);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(error).toStartWith("error: ");
    expect(error).toContain(message);
    expect(error.trim().split("\n").length).toBe(1);
  });

  test("on a port that is taken is refused, and says so", async () => {
    await using server = await ServerProcess.start();
    const { code, error } = await runServer(["--port", String(server.port)]);
    expect({ code, error }).toEqual({
      code: 2,
      error: `error: port ${server.port} is in use; stop what listens there, or choose another with --port\n`,
    });
  });

  test("--help lists every setting with its default", async () => {
    const { code, out } = await runServer(["--help"]);
    expect(code).toBe(0);
    for (const { flag, env, fallback } of SETTINGS) {
      expect(out).toContain(flag === null ? env : `--${flag}${fallback ? ` ${fallback}` : ""}`);
      if (flag !== null) expect(out).toContain(`(${env})`);
    }
    expect(out).toContain(`--heartbeat ${HUB_DEFAULTS.heartbeat / 1000}s`);
  });

  test("takes the environment, and flags before it", async () => {
    await using server = await ServerProcess.start("--no-demos", "--max-event-bytes", "1KiB");
    expect((await fetch(`${server.url}/random`)).status).toBe(404);
    expect(publish(server.url, { topic: "t", data: "x".repeat(1025) })).rejects.toThrow(
      "over the limit of 1024 bytes",
    );
    const options = await fetch(`${server.url}/publish`, { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([204, "POST, OPTIONS"]);
  });
});

test("without authentication, warns when it may be called by a name that others can know", async () => {
  const isWarned = ({ lines }: ServerProcess): boolean =>
    lines.some((line) => line.includes('"warn"') && line.includes("no authentication is configured"));
  await using named = await ServerProcess.start("--allowed-hosts", "localhost,sse.example.com");
  await using open = await ServerProcess.start("--open", "--host", "127.0.0.1");
  await until(() => isWarned(named) && isWarned(open));
  await using local = await ServerProcess.start("--allowed-hosts", "localhost,app.localhost,127.0.0.2,[::1]");
  const secret = { SSE_JWT_SECRET: "a secret of at least 32 bytes, for tests" };
  await using authenticated = await ServerProcess.startWith(secret);
  for (const server of [local, authenticated]) {
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200); // it has said what it says at its start
    expect(isWarned(server)).toBe(false);
  }
});

describe("coming back", () => {
  test("after a kill, an id from before is told the reset and the gap, and given all that is new", async () => {
    const port = await freePort();
    const before = await ServerProcess.start("--port", String(port));
    const { id } = await publish(before.url, { topic: "t", data: "lost" });
    await before.kill();
    await using server = await ServerProcess.start("--port", String(port));
    await publish(server.url, { topic: "t", data: "1" });
    await using client = await SseClient.open(`${server.url}/events?topic=t`, {
      "last-event-id": id as string,
    });
    await publish(server.url, { topic: "t", data: "2" });
    expect(await client.receive(2)).toEqual(["1", "2"]);
    expect(client.control("sse:ready")).toEqual([{ resume: "reset", replayed: 1, reason: "epoch" }]);
    expect(client.control("sse:gap")).toMatchObject([{ reason: "epoch", from: id }]);
    expect(client.events.map(({ type }) => type)).toEqual(["sse:ready", "sse:gap", "message", "message"]);
  });
});

describe("stopping", () => {
  test("SIGTERM tells every stream when to come back, closes them over the time given, and exits", async () => {
    await withGrowingTime(async (drain) => {
      await using server = await ServerProcess.start("--drain", `${drain}ms`);
      const clients = await Promise.all(
        Array.from({ length: 20 }, () => SseClient.open(`${server.url}/events?topic=t`)),
      );
      await until(() => clients.every(({ events }) => events.length > 0));
      await publish(server.url, { topic: "t", data: "last" });
      server.process.kill("SIGTERM");
      // Refused: it has ended meanwhile.
      const late = await askLate(server.url).catch(() => null);
      if (late === null) return false;
      expect(late.stream).toMatch(
        /^event: sse:closing\nretry: [0-9]+\ndata: \{"reason":"drain","retry":[0-9]+\}\n\n$/,
      );
      expect([late.other.status, late.other.headers.get("retry-after")]).toEqual([503, "5"]);
      expect([late.publish.status, late.publish.headers.get("retry-after")]).toEqual([503, "5"]);
      expect(await server.process.exited).toBe(0);
      await until(() => clients.every(({ ended }) => ended));
      for (const client of clients) {
        expect(client.data).toEqual(["last"]);
        expect(client.control("sse:closing")).toMatchObject([{ reason: "drain", retry: expect.any(Number) }]);
      }
      const waits = clients.map((client) => client.control("sse:closing")[0]!.retry);
      expect(new Set(waits).size).toBeGreaterThan(10);
      expect(server.lines.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual([
        "listening",
        "stopping",
        "stopped",
      ]);
      return true;
    });
  });

  /** What a server answers who comes while it drains. */
  async function askLate(url: string): Promise<{ stream: string; other: Response; publish: Response }> {
    await until(async () => (await fetch(`${url}/readyz`)).status === 503);
    const stream = await fetch(`${url}/events`, { headers: { accept: "text/event-stream" } });
    const other = await fetch(`${url}/events`, { headers: { accept: "*/*" } });
    const text = { method: "POST", body: "x", headers: { "content-type": "text/plain" } };
    return { stream: await stream.text(), other, publish: await fetch(`${url}/publish?topic=t`, text) };
  }

  test("without time to drain, closes all streams at once, and tells them", async () => {
    await using server = await ServerProcess.start("--drain", "0s");
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => SseClient.open(`${server.url}/events?topic=t`)),
    );
    await until(() => clients.every(({ events }) => events.length > 0));
    server.process.kill("SIGTERM");
    expect(await server.process.exited).toBe(0);
    await until(() => clients.every(({ ended }) => ended));
    for (const client of clients) {
      expect(client.control("sse:closing")).toMatchObject([{ reason: "drain" }]);
    }
  });

  test("SIGTERM does not wait for a body that never ends, nor for a reader that never reads", async () => {
    await using server = await ServerProcess.start("--drain", "300ms", "--write-deadline", "off");
    const dial = (request: string): Promise<Socket> =>
      new Promise((resolve) => {
        const socket = connect(server.port, "127.0.0.1", () => {
          socket.write(request);
          resolve(socket);
        });
        socket.on("error", () => {});
      });
    const body = await dial(
      "POST /publish HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    );
    const reader = await dial("GET /events?topic=t HTTP/1.1\r\nhost: localhost\r\n\r\n");
    reader.pause();
    const stats = async (): Promise<{ streams: number; blocked: number }> =>
      (await (await fetch(`${server.url}/stats`)).json()) as { streams: number; blocked: number };
    await until(async () => (await stats()).streams === 1);
    const data = "x".repeat(1_000_000);
    while ((await stats()).blocked === 0) await publish(server.url, { topic: "t", data });
    server.process.kill("SIGTERM");
    expect(await server.process.exited).toBe(0);
    body.destroy();
    reader.destroy();
  });

  test("a second SIGTERM ends it at once", async () => {
    await using server = await ServerProcess.start("--drain", "1h");
    await using client = await SseClient.open(`${server.url}/events`);
    await until(() => client.events.length > 0);
    // At the same time, as the same signal comes from a terminal and from `bun run`: two of one kind would be one.
    server.process.kill("SIGSTOP");
    for (const signal of ["SIGTERM", "SIGINT", "SIGCONT"] as const) server.process.kill(signal);
    await until(() => server.lines.some((line) => line.includes("stopping")));
    await Bun.sleep(300); // until a signal is another one
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
    server.process.kill("SIGTERM");
    expect(await server.process.exited).toBe(1);
  });
});

test("goes on, and stops in order, when nobody reads its log any more", async () => {
  const main = new URL("../src/main.ts", import.meta.url).pathname;
  const server = Bun.spawn(["bun", main, "--port", "0", "--log", "memory:", "--drain", "300ms"], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const reader = server.stdout.getReader();
  let lines = "";
  while (!lines.includes("listening")) lines += new TextDecoder().decode((await reader.read()).value);
  const { url } = JSON.parse(lines) as { url: string };
  await reader.cancel();
  await using client = await SseClient.open(`${url}/events?topic=t`);
  await until(() => client.control("sse:ready").length === 1);
  server.kill("SIGTERM");
  expect(await server.exited).toBe(0);
  await until(() => client.ended);
  expect(client.control("sse:closing")).toMatchObject([{ reason: "drain" }]);
  expect(await server.stderr.text()).toBe("");
});
