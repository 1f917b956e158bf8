import { createDecoder } from "@sse/protocol";
import { publish } from "./sse-client.ts";

const PATIENCE = 60_000;
/** Streams that one client may be given before it has everything. */
const MOST_TRIES = 20;
/** Clients at a time: Bun's fetch has 256 requests under way at most. */
const AT_A_TIME = 40;
/** More events, and more bytes, than any log keeps in memory. */
const FILLER = { arrays: 8, small: 9000, large: 70, data: "x".repeat(1_000_000) };

interface Published {
  topic: string;
  data?: string;
  end?: boolean;
}

/** What happens to the topics of one client, before it comes back and while it does. */
export interface Race {
  /** What the client asks for. */
  readonly topics: readonly string[];
  /** Published before the restart, in one array. The client has had the first so many of them. */
  readonly before: readonly Published[];
  readonly had: number;
  /** Published one after the other while the client comes back. */
  readonly during: readonly Published[];
  /** What the client has to be given in all. */
  readonly data: readonly string[];
  /** True: its topics have ended before, so that a client may be told to stay away before the first of what is published. */
  readonly beginsAnew?: boolean;
  /** True: the client has asked for a pattern, which never ends, and leaves by itself. */
  readonly isEndless?: boolean;
}

/** How clients have fared; each is counted once. */
export interface Outcome {
  complete: number;
  /** Answered 204, which stops an EventSource for good, though there was more to be had. */
  turnedAway: number;
  /** Still open a minute after the last event, or closed time and again. */
  stuck: number;
  /** Given something else, in another order, twice, or a gap. */
  wrong: number;
}

/** @returns for each client the id that it comes back with */
export async function prepare(url: string, races: readonly Race[]): Promise<string[]> {
  const { ids } = (await publish(
    url,
    races.flatMap(({ before }) => before),
  )) as { ids: string[] };
  const cursors: string[] = [];
  let at = 0;
  for (const { before, had } of races) {
    cursors.push(ids[at + had - 1]!);
    at += before.length;
  }
  const small = Array.from({ length: FILLER.small }, (_, n) => ({ topic: "filler", data: String(n) }));
  for (let each = 0; each < FILLER.arrays; each++) await publish(url, small);
  for (let each = 0; each < FILLER.large; each++) await publish(url, { topic: "filler", data: FILLER.data });
  return cursors;
}

/**
 * Lets every client come back while the rest is published.
 *
 * @param nodes of one log; the first is published to, and clients come to each of them
 */
export async function run(
  nodes: readonly string[],
  races: readonly Race[],
  cursors: readonly string[],
): Promise<Outcome> {
  const outcome: Outcome = { complete: 0, turnedAway: 0, stuck: 0, wrong: 0 };
  for (let at = 0; at < races.length; at += AT_A_TIME) {
    await Promise.all(
      races.slice(at, at + AT_A_TIME).map(async (race, place) => {
        outcome[await one(nodes, race, cursors[at + place]!)]++;
      }),
    );
  }
  return outcome;
}

async function one(nodes: readonly string[], race: Race, cursor: string): Promise<keyof Outcome> {
  let hasBegun = false;
  const publishing = (async () => {
    for (const event of race.during) {
      await Bun.sleep(Math.random() * 3);
      await publish(nodes[0]!, event);
      hasBegun = true;
    }
  })();
  const client = new Client(race, cursor);
  for (let tries = 0; ; tries++) {
    const mayBeOver = race.beginsAnew === true && !hasBegun;
    const end = await client.connect(nodes[tries % nodes.length]!);
    if (end !== "over") {
      if (end === "closed" && tries < MOST_TRIES) continue;
      await publishing;
      return end === "closed" ? "stuck" : end;
    }
    await publishing;
    if (client.isComplete) return client.gaps === 0 ? "complete" : "wrong";
    if (!mayBeOver) return "turnedAway";
  }
}

/** Comes back with the id of its last event whenever its stream has closed, as an EventSource does. */
class Client {
  gaps = 0;
  readonly #race: Race;
  readonly #data: string[] = [];
  #lastEventId: string;

  constructor(race: Race, lastEventId: string) {
    this.#race = race;
    this.#lastEventId = lastEventId;
  }

  get isComplete(): boolean {
    return this.#data.length === this.#race.data.length;
  }

  async connect(node: string): Promise<"over" | "closed" | "complete" | "stuck" | "wrong"> {
    const { topics, isEndless, data } = this.#race;
    const leave = new AbortController();
    const query = topics.map((topic) => `topic=${topic}`).join("&");
    try {
      const response = await fetch(`${node}/events?${query}`, {
        headers: { "last-event-id": this.#lastEventId },
        signal: AbortSignal.any([leave.signal, AbortSignal.timeout(PATIENCE)]),
      });
      if (response.status === 204) return "over";
      if (response.status !== 200) return "wrong";
      const decoder = createDecoder({
        onEvent: (event) => {
          if (event.type === "sse:gap") this.gaps++;
          if (!event.type.startsWith("sse:")) this.#data.push(event.data);
        },
      });
      for await (const chunk of response.body!) {
        decoder.feed(chunk);
        this.#lastEventId = decoder.lastEventId || this.#lastEventId;
        if (this.#data.some((each, at) => each !== data[at])) return "wrong";
        if (isEndless && this.isComplete) return this.gaps === 0 ? "complete" : "wrong";
      }
      return "closed";
    } catch {
      return "stuck";
    } finally {
      leave.abort();
    }
  }
}
