/**
 * A map that knows its oldest entry. An iterator that began anew each time would walk over all that were deleted since the
 * engine last tidied the map: with ten thousand of them, for longer than everything else takes.
 */
export class OldestFirstMap<Key, Value> extends Map<Key, Value> {
  #walk: Iterator<Key> = this.keys();
  /** The first key, as long as it is there; boxed, because a key can be anything. */
  #first: { readonly key: Key } | null = null;

  override delete(key: Key): boolean {
    if (this.#first?.key === key) this.#first = null;
    return super.delete(key);
  }

  override clear(): void {
    super.clear();
    this.#first = null;
    this.#walk = this.keys();
  }

  /** The entry that was added first of those that are there; undefined when there is none. */
  oldest(): [key: Key, value: Value] | undefined {
    if (this.#first === null) {
      let next = this.#walk.next();
      if (next.done === true) {
        this.#walk = this.keys(); // one that has come to the end stays there
        next = this.#walk.next();
      }
      if (next.done === true) return undefined;
      this.#first = { key: next.value };
    }
    const { key } = this.#first;
    return [key, this.get(key)!];
  }
}
