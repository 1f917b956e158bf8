import { describe, expect, test } from "bun:test";
import { type BrokerKind, BrokerProcess, freePort, missing } from "@sse/hub/test/broker-process.ts";
import { contents, type Stored } from "./broker-contents.ts";
import { Hopper } from "./hopper.ts";
import { ServerProcess } from "../server-process.ts";
import { until } from "../sse-client.ts";

/*
 * Three nodes on one broker. Streams hop from node to node, publishers publish to any of them and try again until they are
 * answered, and all the while nodes and the broker are killed and started again. At the end every stream must have had what
 * the broker holds of its topics: all of it, once, in the broker's order.
 */

/** As `bun run test:chaos` sets it. */
const LONG = Bun.env.CHAOS_KILLS !== undefined;
const STREAMS = LONG ? 300 : 30;
const DEATHS = LONG ? 200 : 8;
/** The least that is published meanwhile. */
const EVENTS = 100;
const PUBLISHERS = LONG ? 16 : 6;
const TOPICS = ["a", "b", "c/1", "c/2", "d/1/x", "d/2/y"];
const SELECTORS = [["a"], ["a", "b"], ["c/*"], ["**"], ["d/**", "c/1"], ["d/*/x"]];

function matches(selectors: readonly string[], topic: string): boolean {
  const patterns = selectors.map((each) =>
    each.replace(/\*\*$/, ".+").replaceAll(/(?<=^|\/)\*(?=\/|$)/g, "[^/]*"),
  );
  return patterns.some((pattern) => new RegExp(`^${pattern}$`).test(topic));
}

/** Publishes until told to stop: single events and arrays, each again, to any node, until it is answered. */
class Publisher {
  readonly published: { topic: string; data: string }[][] = [];
  refused = 0;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(name: string, ports: readonly number[], random: () => number) {
    this.#done = this.#run(name, ports, random);
  }

  async #run(name: string, ports: readonly number[], random: () => number): Promise<void> {
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    for (let count = 0; !this.#stopped; count++) {
      const size = random() < 0.7 ? 1 : 2 + Math.floor(random() * 4);
      const batch = Array.from({ length: size }, (_, at) => ({
        topic: pick(TOPICS),
        data: `${name}.${count}.${at}`,
      }));
      const body = JSON.stringify(batch.map((event) => ({ ...event, id: event.data })));
      for (;;) {
        const response = await fetch(`http://127.0.0.1:${pick(ports)}/publish`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body,
          signal: AbortSignal.timeout(10_000),
        }).catch(() => null);
        if (response?.status === 200) break;
        if (response !== null && response.status !== 503) throw new Error(await response.text());
        this.refused++;
        await Bun.sleep(20 + random() * 80);
      }
      this.published.push(batch);
      await Bun.sleep(random() * 20);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }
}

/** Kills and starts again, in turn, the broker and the nodes. */
async function chaos(
  broker: BrokerProcess,
  nodes: ServerProcess[],
  start: (port: number) => Promise<ServerProcess>,
): Promise<void> {
  for (let turn = 0; turn < DEATHS; turn++) {
    await Bun.sleep(200 + Math.random() * 400);
    if (turn % 2 === 0) {
      const at = (turn / 2) % nodes.length;
      const { port } = nodes[at]!;
      await nodes[at]!.kill();
      await Bun.sleep(Math.random() * 300);
      nodes[at] = await start(port);
    } else {
      await broker.kill();
      await Bun.sleep(Math.random() * 500);
      await broker.start();
    }
  }
}

/** No loss, no repetition, no disorder: whole arrays, each once. */
function checkStored(stored: readonly Stored[], publishers: readonly Publisher[]): void {
  const places = new Map(stored.map(({ data }, place) => [data, place]));
  expect(places.size).toBe(stored.length);
  for (const batch of publishers.flatMap(({ published }) => published)) {
    const at = batch.map(({ data }) => places.get(data) ?? -1);
    expect(at).toEqual(batch.map((_, index) => at[0]! + index));
    expect(at[0]).not.toBe(-1);
  }
}

for (const kind of ["redis", "nats"] satisfies BrokerKind[]) {
  const reason = missing(kind);
  describe.skipIf(reason !== "")(`three nodes on ${kind}${reason}`, () => {
    test(
      "lose nothing, repeat nothing and keep the order, while they and the broker are killed in turn",
      async () => {
        await using broker = await BrokerProcess.start(kind);
        const ports = [await freePort(), await freePort(), await freePort()];
        const start = (port: number) =>
          ServerProcess.start("--port", String(port), "--log", broker.url, "--no-demos");
        const nodes = await Promise.all(ports.map(start));
        const hoppers = Array.from(
          { length: STREAMS },
          (_, at) => new Hopper(SELECTORS[at % SELECTORS.length]!, ports, Math.random),
        );
        await Promise.all(hoppers.map(({ ready }) => ready));
        const publishers = Array.from(
          { length: PUBLISHERS },
          (_, at) => new Publisher(`p${at}`, ports, Math.random),
        );
        await chaos(broker, nodes, start);
        await until(() => publishers.reduce((sum, { published }) => sum + published.length, 0) >= EVENTS);
        await Promise.all(publishers.map((publisher) => publisher.stop()));

        const stored = await contents(broker);
        checkStored(stored, publishers);
        const events = stored.length;
        const refused = publishers.reduce((sum, publisher) => sum + publisher.refused, 0);
        console.log(
          `${kind}: ${events} events, ${STREAMS} streams, ${DEATHS} deaths, ${refused} publishes tried again`,
        );
        const expected = hoppers.map(({ topics }) =>
          stored.filter(({ topic }) => matches(topics, topic)).map(({ id, data }) => ({ id, data })),
        );
        const haveAll = (): boolean =>
          hoppers.every((hopper, at) => hopper.events.length >= expected[at]!.length);
        await until(haveAll).catch(() => {}); // what is missing is shown below
        for (const [at, hopper] of hoppers.entries()) {
          hopper.stop();
          expect(hopper.wrong).toEqual([]);
          expect(hopper.events).toEqual(expected[at]!);
        }
        for (const node of nodes) await node.kill();
      },
      300_000 + DEATHS * 5000,
    );
  });
}
