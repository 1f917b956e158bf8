import type { Failure } from "../failure.ts";
import type { Step } from "./history.ts";

/** What the tabs say to each other. Whoever holds the lock is the leader, and the only one who answers. */
export type Message =
  /** A tab wants what came after its cursor; null: it has none, and begins where the stream does for it. */
  | { readonly say: "join"; readonly from: string; readonly cursor: string | null }
  /** The leader's answer; `steps` null: that is not known here. `url` null: there is no stream now. */
  | {
      readonly say: "joined";
      readonly to: string;
      readonly cursor: string;
      readonly steps: readonly Step[] | null;
      readonly url: string | null;
    }
  /** A new leader goes on from this cursor. */
  | { readonly say: "lead"; readonly cursor: string }
  | { readonly say: "opened"; readonly url: string }
  | { readonly say: "step"; readonly step: Step }
  | { readonly say: "failed"; readonly failure: Failure }
  /** Bytes came that are no event. */
  | { readonly say: "alive" };
