/** What a client asks for, matched word by word: knows nothing of the hub's way to do it. */
export class Selection {
  readonly words: readonly string[];
  /** Those without a wildcard. */
  readonly topics: readonly string[];
  readonly hasPatterns: boolean;
  readonly #known = new Map<string, boolean>();

  constructor(words: readonly string[]) {
    this.words = words;
    this.topics = words.filter((word) => !word.includes("*"));
    this.hasPatterns = this.topics.length < words.length;
  }

  has(topic: string): boolean {
    let known = this.#known.get(topic);
    if (known === undefined)
      this.#known.set(topic, (known = this.words.some((word) => selects(word, topic))));
    return known;
  }
}

function selects(word: string, topic: string): boolean {
  const wanted = word.split("/");
  const segments = topic.split("/");
  for (const [at, each] of wanted.entries()) {
    if (each === "**") return segments.length > at;
    if (at >= segments.length || (each !== "*" && each !== segments[at])) return false;
  }
  return segments.length === wanted.length;
}
