import { describe, expect, test } from "bun:test";
import { createHub, type EventLog, type Hub } from "../src/index.ts";
import { connect, type Connection, dataOf } from "./client.ts";
import { until } from "./until.ts";

/** How many clients each race has, and how many of them run at a time. */
const CLIENTS = 1000;
const TOGETHER = 100;

interface Race {
  readonly topics: (client: number) => string[];
  /** What happened before; resolves with the id that the client has seen. */
  readonly before: (hub: Hub, client: number) => Promise<string>;
  /** What happens while the client comes. */
  readonly meanwhile: (hub: Hub, client: number) => Promise<unknown>;
  /** Whether the stream closes when the client has had the event. */
  readonly closes: boolean;
}

const result = { data: "the result" };
const RACES: Readonly<Record<string, Race>> = {
  "the last event of its topic": {
    topics: (client) => [`one/${client}`],
    before: (hub, client) => hub.publish(`one/${client}`, { data: "old" }),
    meanwhile: (hub, client) => hub.publish(`one/${client}`, { ...result, end: true }),
    closes: true,
  },
  "the last event of one of several topics, the others of which have ended": {
    topics: (client) => [`a/${client}`, `b/${client}`, `c/${client}`],
    before: async (hub, client) => {
      await hub.end(`a/${client}`);
      await hub.end(`c/${client}`);
      return await hub.publish(`b/${client}`, { data: "old" });
    },
    meanwhile: (hub, client) => hub.publish(`b/${client}`, { ...result, end: true }),
    closes: true,
  },
  "an event that a pattern selects": {
    topics: (client) => [`p/${client}/*`],
    before: (hub, client) => hub.publish(`p/${client}/x`, { data: "old" }),
    meanwhile: (hub, client) => hub.publish(`p/${client}/y`, { ...result, end: true }),
    closes: false,
  },
};

/**
 * What no client of a log may miss: the event that is published while it comes back.
 *
 * @param open a log that has next to nothing in memory
 */
export function raceTests(name: string, open: () => Promise<EventLog>): void {
  describe(`${name}: a client that comes back`, () => {
    const run = async (hub: Hub, { before, topics, meanwhile, closes }: Race): Promise<void> => {
      const ids = await inGroups((client) => before(hub, client));
      for (let at = 0; at < 3; at++) await hub.publish("filler", { data: "" });
      const race = async (client: number): Promise<Connection> => {
        await Bun.sleep(Math.random() * 3);
        const connection = connect(hub, { topics: topics(client), lastEventId: ids[client]! });
        await Bun.sleep(Math.random() * 3);
        await meanwhile(hub, client);
        return connection;
      };
      await inGroups(race, async (connections) => {
        await until(() => connections.every(({ opening, refused }) => opening !== null || refused !== null));
        expect(connections.filter(({ opening }) => opening?.over !== false)).toEqual([]);
        await until(() => connections.every(({ sink }) => dataOf(sink).length > 0));
        for (const { sink } of connections) expect(dataOf(sink)).toEqual(["the result"]);
        if (closes) await until(() => connections.every(({ sink }) => sink.ended === "closed"));
      });
    };

    test.each(Object.entries(RACES))("is given %s, which is published meanwhile", async (_, race) => {
      const hub = createHub({ log: await open() });
      await run(hub, race);
      await hub.close();
    });

    test("is not told that its topic has ended after it has begun anew", async () => {
      const hub = createHub({ log: await open() });
      const topic = (client: number) => `anew/${client}`;
      const ids = await inGroups((client) => hub.end(topic(client)));
      const isOver = connect(hub, { topics: [topic(0)], lastEventId: ids[0]! });
      await until(() => isOver.opening !== null);
      expect(isOver.opening!.over).toBe(true);
      const comeBack = async (client: number): Promise<void> => {
        await hub.publish(topic(client), { data: "again" });
        const { opening, refused, sink } = await settled(
          connect(hub, { topics: [topic(client)], lastEventId: ids[client]! }),
        );
        expect([opening?.over, refused]).toEqual([false, null]);
        await until(() => dataOf(sink).length > 0);
        expect(dataOf(sink)).toEqual(["again"]);
      };
      await inGroups(comeBack);
      await hub.close();
    });
  });
}

/** Does something for all clients, some at a time. */
async function inGroups<T>(
  work: (client: number) => Promise<T>,
  check: (group: readonly T[]) => Promise<void> = async () => {},
): Promise<T[]> {
  const results: T[] = [];
  for (let at = 0; at < CLIENTS; at += TOGETHER) {
    const group = await Promise.all(Array.from({ length: TOGETHER }, (_, client) => work(at + client)));
    await check(group);
    results.push(...group);
  }
  return results;
}

async function settled(connection: Connection): Promise<Connection> {
  await until(() => connection.opening !== null || connection.refused !== null);
  return connection;
}
