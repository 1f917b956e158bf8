import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runServer, ServerProcess } from "./server-process.ts";
import { publish, SseClient, until } from "./sse-client.ts";

/* The server with a log in a file: what survives it, what it refuses, and a disk that is full. */

const folder = mkdtempSync(join(tmpdir(), "sse-server-"));
let files = 0;
const newPath = (): string => join(folder, `${++files}.db`);

const publishText = ({ url }: ServerProcess, body: string): Promise<Response> =>
  fetch(`${url}/publish?topic=t`, { method: "POST", body, headers: { "content-type": "text/plain" } });

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

describe("a file that somebody else changes", () => {
  test("is an older copy that was put back: clients of what it lacks are told, wherever the numbers are now", async () => {
    const [path, backup] = [newPath(), newPath()];
    const log = ["--log", `sqlite:${path}`];
    const publishAll = async (url: string, ...texts: string[]): Promise<string> => {
      const { ids } = await publish(
        url,
        texts.map((data) => ({ topic: "t", data })),
      );
      return (ids as string[]).at(-1)!;
    };
    const stop = async ({ process }: ServerProcess): Promise<void> => {
      process.kill("SIGTERM");
      await process.exited;
    };
    const first = await ServerProcess.start(...log);
    const kept = await publishAll(first.url, "1", "2");
    await stop(first);
    copyFileSync(path, backup);
    const second = await ServerProcess.start(...log);
    const lost = await publishAll(second.url, "3", "4");
    await stop(second);
    copyFileSync(backup, path);
    await using server = await ServerProcess.start(...log);
    await publishAll(server.url, "new 3", "new 4", "new 5");
    const open = (id: string) => SseClient.open(`${server.url}/events?topic=t`, { "last-event-id": id });
    await using known = await open(kept);
    expect(await known.receive(3)).toEqual(["new 3", "new 4", "new 5"]);
    expect(known.control("sse:gap")).toEqual([]);
    await using stranger = await open(lost);
    expect(await stranger.receive(5)).toEqual(["1", "2", "new 3", "new 4", "new 5"]);
    expect(stranger.control("sse:gap")).toMatchObject([{ reason: "epoch", from: lost }]);
  });

  test("is deleted while it is open: publishers are told within seconds, and what to do", async () => {
    const path = newPath();
    await using server = await ServerProcess.start("--log", `sqlite:${path}`);
    await publish(server.url, { topic: "t", data: "1" });
    await using client = await SseClient.open(`${server.url}/events?topic=t&replay=all`);
    for (const part of ["", "-wal"]) rmSync(path + part);
    const message = `${path} was deleted or replaced while it was open: restart the server`;
    await until(async () => {
      const ready = await fetch(`${server.url}/readyz`);
      return ready.status === 503 && (await ready.text()).includes(message);
    });
    const refused = await publishText(server, "2");
    expect([refused.status, await refused.text()]).toEqual([503, expect.stringContaining(message)]);
    expect(server.lines.join()).toContain("the log cannot be written: nothing can be published");
    expect(await client.receive(1)).toEqual(["1"]);
  });
});

describe("opening the log", () => {
  test("takes a file in ./data when nothing else is said", async () => {
    const cwd = join(folder, "cwd");
    mkdirSync(cwd);
    const { code, out } = await runServer(["--port", "0"], { SSE_LOG: "" }, { cwd, until: "listening" });
    expect(code).toBe(0);
    expect(out).toContain(`"log":"sqlite:${join(cwd, "data/events.db")}"`);
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
      error: `error: cannot open the log that --log names: ${path} is in use by process ${server.process.pid}; stop that, or name another file\n`,
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
    // Each second it tries whether there is room, for less than an event: what is too large has to come again meanwhile.
    await until(async () => {
      await send(`again ${acknowledged.length} ${"x".repeat(2000)}`);
      const ready = await fetch(`${url}/readyz`);
      const { log } = (await (await fetch(`${url}/stats`)).json()) as { log: { fault: string | null } };
      const isTold = ready.status === 503 && (await ready.text()).includes(disk.reason);
      return isTold && log.fault?.includes(disk.reason) === true;
    });
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

test.each(canMount ? ["tmpfs"] : [])(
  "on a disk that is full, a %s, a server starts for its readers, tells publishers, and recovers by itself; a new log is refused",
  async () => {
    const small = join(folder, "small");
    mkdirSync(small);
    sh("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small);
    try {
      const path = join(small, "events.db");
      const before = await ServerProcess.start("--log", `sqlite:${path}`);
      const acknowledged: string[] = [];
      for (;;) {
        const data = `${acknowledged.length} ${"x".repeat(3000)}`;
        const { status } = await publishText(before, data);
        if (status !== 200) break;
        acknowledged.push(data);
      }
      expect(acknowledged.length).toBeGreaterThan(50);
      await before.kill();
      sh("dd", "if=/dev/zero", `of=${join(small, "ballast")}`, "bs=4k");
      const { code, error } = await runServer(["--log", `sqlite:${join(small, "new.db")}`, "--port", "0"]);
      expect(code).toBe(2);
      expect(error).toContain("is full; make room on it");

      await using server = await ServerProcess.start("--log", `sqlite:${path}`);
      const full = await publishText(server, "no room");
      expect([full.status, await full.text()]).toEqual([
        503,
        expect.stringContaining("is full; make room on it"),
      ]);
      expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
      expect(server.lines.join()).toContain("the log cannot be written");
      await using client = await SseClient.open(`${server.url}/events?topic=t&replay=all`);
      expect(await client.receive(acknowledged.length)).toEqual(acknowledged);
      rmSync(join(small, "ballast"));
      sh("mount", "-o", "remount,size=64m", small);
      await until(async () => (await fetch(`${server.url}/readyz`)).status === 200);
      await publish(server.url, { topic: "t", data: "room" });
      expect((await client.receive(acknowledged.length + 1)).at(-1)).toBe("room");
      expect(client.control("sse:gap")).toEqual([]);
    } finally {
      sh("umount", "-l", small);
    }
  },
);
