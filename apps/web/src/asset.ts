/** One file of the page. `immutable` ones carry a hash in their name and may be cached for ever. */
export interface Asset {
  readonly body: Uint8Array;
  /** The `content-type`. */
  readonly type: string;
  readonly immutable: boolean;
}
