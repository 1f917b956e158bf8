import type { WireState } from "./wire-reader.ts";

/** A reader's state as the page shows it: `tone` is one of the states that the style sheet knows. */
interface StateWords {
  readonly tone: string;
  readonly name: string;
  readonly detail: string;
}

const RESET_WORDS: Readonly<Record<string, string>> = {
  epoch: "the id is of an earlier life of the log",
  evicted: "the log no longer holds what came after that id",
  "unknown-id": "the server does not know that id",
};

/** @param why what to say of a reader that is closed */
export function wireStateWords(state: WireState, why = ""): StateWords {
  switch (state.is) {
    case "closed":
      return { tone: "paused", name: "not connected", detail: why };
    case "connecting":
      return { tone: "connecting", name: "connecting", detail: "" };
    case "ended":
      return { tone: "ended", name: "ended", detail: "204: all of its topics have ended, and all was had" };
    case "refused":
      return { tone: "failed", name: "refused", detail: "" };
    case "waiting":
      return {
        tone: "retrying",
        name: "waiting",
        detail: `${state.why}; again in ${(state.wait / 1000).toFixed(1)} s`,
      };
    default:
      if (state.resume === "reset")
        return { tone: "gap", name: "reset", detail: RESET_WORDS[state.reason] ?? state.reason };
      return state.resume === "resumed"
        ? { tone: "resumed", name: "resumed", detail: `${state.replayed.toLocaleString("en")} replayed` }
        : {
            tone: "open",
            name: "open",
            detail: state.replayed > 0 ? `${state.replayed.toLocaleString("en")} replayed` : "",
          };
  }
}
