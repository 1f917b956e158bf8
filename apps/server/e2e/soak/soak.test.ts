import { expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@sse/hub/test/broker-process.ts";
import { NumberPublisher } from "../number-publisher.ts";
import { ServerProcess } from "../server-process.ts";
import { until } from "../sse-client.ts";
import { Attacker } from "./attacker.ts";
import type { Order, Report } from "./swarm.ts";

/*
 * Everything at once: streams that come and go, stall and return, all of them at a time now and then; a server that sends
 * old streams away, is restarted and killed; and somebody who does harm. `SOAK_SECONDS` says for how long; `bun run
 * test:soak` does it for ten minutes with 5,000 streams.
 */

const SECONDS = Number(Bun.env.SOAK_SECONDS ?? 8);
const IS_LONG = SECONDS >= 60;
const STREAMS = IS_LONG ? 5000 : 500;
/** Of the server: it is ended by a signal, then by force, and so on. */
const LIVES = IS_LONG ? 5 : 3;
/** A third of a life, in milliseconds. */
const PART = (SECONDS * 1000) / LIVES / 3;
const PUBLISH_EVERY = IS_LONG ? 100 : 30;
const ATTACK_EVERY = 10;
const PADDING = " x".repeat(400);
const MIB = 2 ** 20;
const FLAGS =
  `--no-demos --retry 100ms --return-window 1s --max-age ${Math.max(3, PART / 2000)}s ` +
  "--heartbeat 1s --write-deadline 2s --idle-timeout 8s --drain 1s";

interface Sample {
  memory: number;
  descriptors: number;
}

async function sample(server: ServerProcess): Promise<Sample> {
  const descriptors = (await readdir(`/proc/${server.process.pid}/fd`)).length;
  return { memory: await server.memory(), descriptors };
}

/** The values of a metric by its label, or under "" for one without. */
async function metric(server: ServerProcess, name: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const lines = [...text.matchAll(new RegExp(`^${name}(?:\\{[a-z]+="([^"]+)"\\})? ([0-9.]+)$`, "gm"))];
  return Object.fromEntries(lines.map(([, label = "", value]) => [label, Number(value)]));
}

const streamsOf = async (server: ServerProcess): Promise<number> =>
  (await metric(server, "sse_streams"))[""]!;
const sum = (values: Record<string, number>): number => Object.values(values).reduce((a, b) => a + b, 0);

/** The process of the readers. */
class Swarm implements Disposable {
  readonly #reports: Report[] = [];
  readonly #process = Bun.spawn(["bun", new URL("swarm.ts", import.meta.url).pathname], {
    ipc: (message: Report) => void this.#reports.push(message),
    stdout: "inherit",
    stderr: "inherit",
  });

  send(order: Order): void {
    this.#process.send(order);
  }

  /** Waits for a report of what was ordered last. */
  async reported(kind: Report["kind"]): Promise<Report> {
    await until(() => this.#reports.some((report) => report.kind === kind));
    return this.#reports.splice(0).find((report) => report.kind === kind)!;
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}

/** One life of a server: two storms, and what it took after the first of them and at its end. */
async function live(server: ServerProcess, swarm: Swarm): Promise<{ warm: Sample; end: Sample }> {
  await Bun.sleep(PART);
  swarm.send({ kind: "storm" });
  await swarm.reported("back");
  const warm = await sample(server);
  await Bun.sleep(PART);
  swarm.send({ kind: "storm" });
  await Bun.sleep(PART);
  await swarm.reported("back");
  const end = await sample(server);
  // Beside the streams there is the newest part of the log, which grows up to its bounds.
  expect(end.memory).toBeLessThan(warm.memory * 1.25 + 64 * MIB);
  // Those of connections that are gone take a moment.
  await until(async () => (await sample(server)).descriptors < STREAMS + 500);
  return { warm, end };
}

async function restart(server: ServerProcess, swarm: Swarm, flags: string[], byForce: boolean) {
  swarm.send({ kind: "killed", now: byForce });
  server.process.kill(byForce ? "SIGKILL" : "SIGTERM");
  expect(await server.process.exited).toBe(byForce ? 137 : 0);
  swarm.send({ kind: "return" });
  const next = await ServerProcess.start(...flags);
  await swarm.reported("back");
  swarm.send({ kind: "killed", now: false });
  return next;
}

async function expectNothingLeft(server: ServerProcess, idle: Sample): Promise<Record<string, number>> {
  await until(async () => (await streamsOf(server)) === 0);
  await until(async () => (await sample(server)).descriptors <= idle.descriptors + 10);
  const closed = await metric(server, "sse_streams_closed_total");
  // Every close has its reason.
  expect(sum(closed)).toBe(sum(await metric(server, "sse_streams_opened_total")));
  expect(closed.error).toBe(0);
  // The attacker's made up id is the only one that there is a gap after.
  const { "unknown-id": _, ...gaps } = await metric(server, "sse_gaps_total");
  expect(sum(gaps)).toBe(0);
  return closed;
}

test(
  `${STREAMS} streams, storms, restarts and attacks together for ${SECONDS} s: nothing lost, nothing left behind`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "sse-soak-"));
    const log = `sqlite:${join(folder, "events.db")}`;
    const flags = [...FLAGS.split(" "), "--log", log, "--port", String(await freePort())];
    let server = await ServerProcess.start(...flags);
    try {
      const idle = await sample(server);
      using swarm = new Swarm();
      using attacker = new Attacker(server.port, ATTACK_EVERY);
      using publisher = new NumberPublisher(server.url, PADDING);
      swarm.send({ kind: "open", port: server.port, streams: STREAMS });
      await swarm.reported("open");
      const published = publisher.goOn(PUBLISH_EVERY);
      let samples = await live(server, swarm);
      for (let life = 2; life <= LIVES; life++) {
        server = await restart(server, swarm, flags, life % 2 === 1);
        samples = await live(server, swarm);
      }
      publisher.enough();
      await published;
      await publisher.next();
      swarm.send({ kind: "finish", last: publisher.number });
      const { wrong, cuts, stalls, lives, wordless } = await swarm.reported("complete");
      expect(wrong).toEqual([]);
      attacker.stop();
      swarm.send({ kind: "stop" });
      const closed = await expectNothingLeft(server, idle);
      const [from, to] = [samples.warm, samples.end].map(({ memory }) => Math.round(memory / MIB));
      console.info(
        `${publisher.number} events, ${lives} streams opened, ${cuts} cut, ${stalls} stalls, ${wordless} closed without a word, ${attacker.attacks} attacks; ` +
          `in the last life: memory ${from} to ${to} MiB, closes ${JSON.stringify(closed)}`,
      );
    } finally {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    }
  },
  300_000 + SECONDS * 3000,
);
