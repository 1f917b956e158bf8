import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runServer, ServerProcess } from "./server-process.ts";
import { publish, SseClient, until } from "./sse-client.ts";

/* The server with a log in a file: what survives it, what it refuses, and a disk that is full. */

const folder = mkdtempSync(join(tmpdir(), "sse-server-"));
let files = 0;
const newPath = (): string => join(folder, `${++files}.db`);

describe("a restart on the same file", () => {
  test.each(["SIGTERM", "SIGKILL"] as const)("after %s resumes clients without a gap", async (signal) => {
    const log = ["--log", `sqlite:${newPath()}`];
    const before = await ServerProcess.start(...log);
    expect(before.lines.join()).toContain("a new log has begun");
    await using cut = await SseClient.open(`${before.url}/events?topic=t`);
    const event = { topic: "t", data: "1", id: "p" };
    const { id } = await publish(before.url, event);
    await cut.receive(1);
    await publish(before.url, { topic: "t", data: "2" });
    before.process.kill(signal);
    await before.process.exited;
    await using server = await ServerProcess.start(...log);
    expect(server.lines.join()).not.toContain("a new log has begun");
    expect(await publish(server.url, event)).toEqual({ id }); // published once
    await publish(server.url, { topic: "t", data: "3" });
    await using client = await SseClient.open(`${server.url}/events?topic=t`, {
      "last-event-id": id as string,
    });
    expect(await client.receive(2)).toEqual(["2", "3"]);
    expect(client.control("sse:ready")).toEqual([{ resume: "resumed", replayed: 2 }]);
    expect(client.control("sse:gap")).toEqual([]);
  });

  test("after the file was deleted tells clients the gap, and says why in a line", async () => {
    const path = newPath();
    const before = await ServerProcess.start("--log", `sqlite:${path}`);
    const { id } = await publish(before.url, { topic: "t", data: "lost" });
    before.process.kill("SIGTERM");
    await before.process.exited;
    rmSync(path);
    await using server = await ServerProcess.start("--log", `sqlite:${path}`);
    expect(server.lines[0]).toContain(`"reason":"${path} is new"`);
    await using client = await SseClient.open(`${server.url}/events?topic=t`, {
      "last-event-id": id as string,
    });
    await publish(server.url, { topic: "t", data: "new" });
    expect(await client.receive(1)).toEqual(["new"]);
    expect(client.control("sse:gap")).toMatchObject([{ reason: "epoch", from: id }]);
  });
});

describe("opening the log", () => {
  test("takes a file in ./data when nothing else is said", async () => {
    const cwd = join(folder, "cwd");
    mkdirSync(cwd);
    const { code } = await runServer(["--port", "0"], { SSE_LOG: "" }, { cwd, until: "listening" });
    expect(code).toBe(0);
    expect(existsSync(join(cwd, "data/events.db"))).toBe(true);
  });

  test.each<[string, (path: string) => void, string]>([
    ["a folder", (path) => mkdirSync(path), "is a folder"],
    ["no database", (path) => writeFileSync(path, "hello"), "is no SQLite database"],
  ])("is refused in one line when it is %s", async (_, make, message) => {
    const path = newPath();
    make(path);
    const { code, out, error } = await runServer(["--log", `sqlite:${path}`, "--port", "0"]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(error).toStartWith(`error: cannot open the log that --log names: ${path} ${message}`);
    expect(error.trim().split("\n").length).toBe(1);
  });

  test("is refused while another server has it", async () => {
    const path = newPath();
    await using server = await ServerProcess.start("--log", `sqlite:${path}`);
    const { code, error } = await runServer(["--log", `sqlite:${path}`, "--port", "0"]);
    expect({ code, error }).toEqual({
      code: 2,
      error: `error: cannot open the log that --log names: ${path} is in use by another process; stop that, or name another file\n`,
    });
    await publish(server.url, { topic: "t", data: "it goes on" });
  });
});

/** A place whose room ends while the server runs, and is there again later. */
interface SmallDisk {
  readonly name: string;
  readonly reason: string;
  /** @returns the folder */
  make(): string;
  fill(server: ServerProcess): void;
  free(server: ServerProcess): void;
}

const sh = (...command: string[]): number => Bun.spawnSync(command, { stderr: "ignore" }).exitCode;

/** Files that cannot grow: what a process can have done to it anywhere. */
const shortFiles: SmallDisk = {
  name: "files that cannot grow",
  reason: "disk I/O error",
  make: () => folder,
  fill: ({ process }) => void sh("prlimit", "--pid", `${process.pid}`, "--fsize=300000:"),
  free: ({ process }) => void sh("prlimit", "--pid", `${process.pid}`, "--fsize=unlimited:"),
};

/** A file system of its own, where the tests may mount one. */
const mount = join(folder, "mount");
const tmpfs: SmallDisk = {
  name: "a full file system",
  reason: "is full; make room on it",
  make: () => mount,
  fill: () => {},
  free: () => void sh("mount", "-o", "remount,size=64m", mount),
};
mkdirSync(mount);
const canMount = sh("mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", mount) === 0;
afterAll(() => {
  if (canMount) sh("umount", "-l", mount);
  rmSync(folder, { recursive: true });
});

test.each(canMount ? [shortFiles, tmpfs] : [shortFiles])(
  "with $name publishers are told, streams stay, nothing acknowledged is lost, and it recovers by itself",
  async (disk) => {
    await using server = await ServerProcess.start("--log", `sqlite:${join(disk.make(), "full.db")}`);
    const { url } = server;
    await using client = await SseClient.open(`${url}/events?topic=t`);
    disk.fill(server);
    const acknowledged: string[] = [];
    const send = async (data: string): Promise<Response> => {
      const body = JSON.stringify([
        { topic: "t", data },
        { topic: "t", data: `${data} more` },
      ]);
      const response = await fetch(`${url}/publish`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
      });
      if (response.status === 200) acknowledged.push(data, `${data} more`);
      return response;
    };
    let refused: Response | null = null;
    for (let count = 0; refused === null && count < 500; count++) {
      const response = await send(`${count} ${"x".repeat(2000)}`);
      if (response.status !== 200) refused = response;
    }
    expect(refused).toMatchObject({ status: 503 });
    expect(refused!.headers.get("retry-after")).toBe("5");
    expect(await refused!.json()).toMatchObject({ detail: expect.stringContaining(disk.reason) });
    await until(async () => {
      const ready = await fetch(`${url}/readyz`);
      return ready.status === 503 && (await ready.text()).includes(disk.reason);
    });
    const { log } = (await (await fetch(`${url}/stats`)).json()) as { log: { fault: string } };
    expect(log.fault).toContain(disk.reason);
    disk.free(server);
    await until(async () => (await fetch(`${url}/readyz`)).status === 200);
    expect((await send("afterwards")).status).toBe(200);
    expect(await client.receive(acknowledged.length)).toEqual(acknowledged);
    expect(client.control("sse:gap")).toEqual([]);
    await server.kill();
    await using again = await ServerProcess.start("--log", `sqlite:${join(disk.make(), "full.db")}`);
    await using replay = await SseClient.open(`${again.url}/events?topic=t&replay=all`);
    expect(await replay.receive(acknowledged.length)).toEqual(acknowledged);
  },
);
