import { HubError, type Message } from "../src/index.ts";
import type { SimulatedNode } from "./node.ts";
import type { Data, Publication, Registry } from "./oracle/registry.ts";
import type { RunContext } from "./run-context.ts";

type Outgoing = Message<Data> & { topic: string };

/** Publishes, alone and in arrays, and again with the same ids where it has no answer, or by mistake. */
export class Publishers {
  readonly #run: RunContext;
  readonly #registry: Registry;
  readonly #sent: Publication[] = [];
  #ids = 0;

  constructor(run: RunContext, registry: Registry) {
    this.#run = run;
    this.#registry = registry;
  }

  publish(node: SimulatedNode): void {
    const { random } = this.#run;
    const count = random.chance(0.7) ? 1 : 1 + random.below(random.chance(0.1) ? 40 : 5);
    const publication = this.#registry.publication(Array.from({ length: count }, () => this.#message()));
    this.#sent.push(publication);
    if (this.#sent.length > 30) this.#sent.shift();
    this.#send(node, publication);
  }

  repeat(node: SimulatedNode): void {
    if (this.#sent.length === 0) return;
    const publication = this.#run.random.pick(this.#sent);
    if (publication.messages.every(({ id }) => id !== undefined)) this.#send(node, publication);
  }

  /** Publishers that have had no answer try until they have one. */
  repeatUnanswered(node: SimulatedNode): void {
    for (const publication of this.#sent)
      if (
        !publication.isAnswered &&
        publication.attempts === 0 &&
        publication.messages.every(({ id }) => id !== undefined)
      )
        this.#send(node, publication);
  }

  #message(): Outgoing {
    const { random, config } = this.#run;
    const topic = random.pick(config.topics);
    const id = random.chance(config.ids) ? { id: `p${this.#ids++}` } : {};
    const isEnd = random.chance(config.ends);
    if (isEnd && random.chance(0.5)) return { topic, end: true, ...id };
    const text = this.#registry.data(this.#filler());
    return {
      topic,
      data: config.json > 0 && random.chance(config.json) ? [text] : text,
      ...id,
      ...(random.chance(0.3) && { event: random.pick(["add", "update", "message"]) }),
      ...(random.chance(0.5) && { key: random.pick(["x", "y", "z"]) }),
      ...(isEnd && { end: true }),
    };
  }

  #filler(): string {
    const { random, config } = this.#run;
    const character = random.pick(["x", "x", "é", "😀"]);
    if (config.bigData > 0 && random.chance(0.5))
      return character.repeat((config.bigData - 20 + random.below(40)) / character.length);
    if (random.chance(0.8)) return character.repeat(random.below(4));
    return Array.from({ length: 1 + random.below(3) }, () => "y".repeat(random.below(30))).join(
      random.pick(["\n", "\r\n", "\r", "\n\n", ": "]),
    );
  }

  #send(node: SimulatedNode, publication: Publication): void {
    const { hub } = node;
    if (hub === null) return;
    const { trace, counts } = this.#run;
    const { messages } = publication;
    counts.publishes += messages.length;
    trace.note(" publish", node.name, publication.name);
    const attempt = this.#registry.attempt(publication, node);
    const ids =
      messages.length === 1 && this.#run.random.chance(0.8)
        ? hub.publish(messages[0]!.topic, messages[0]!).then((id) => [id])
        : hub.publishMany(messages);
    ids.then(
      (answer) => {
        if (node.isGone) return; // nobody is left to say so
        trace.note(" kept", publication.name, ...answer);
        node.answered(answer);
        this.#registry.acknowledged(attempt, answer);
      },
      (error: unknown) => {
        if (node.isGone) return;
        trace.note(" refused", publication.name, error instanceof HubError ? error.code : String(error));
        this.#registry.refused(attempt, error);
      },
    );
  }
}
