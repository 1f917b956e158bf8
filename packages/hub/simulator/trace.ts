/** What happened in a run: a hash of it always, so that two runs can be compared; the words only when they are wanted. */
export class Trace {
  readonly lines: string[] | null;
  #hash = 0x811c9dc5;

  constructor(isWanted: boolean) {
    this.lines = isWanted ? [] : null;
  }

  note(what: string, ...details: readonly (string | number)[]): void {
    this.#mix(what);
    for (const detail of details) this.#mix(detail);
    this.lines?.push(details.length === 0 ? what : `${what} ${details.join(" ")}`);
  }

  #mix(what: string | number): void {
    let hash = this.#hash;
    if (typeof what === "number") hash = Math.imul(hash ^ (what | 0), 0x01000193);
    else for (let at = 0; at < what.length; at++) hash = Math.imul(hash ^ what.charCodeAt(at), 0x01000193);
    this.#hash = hash;
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }
}
