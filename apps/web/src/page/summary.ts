import { type FeedState, type FeedStatus, WANTS_TOKEN } from "./feed.ts";

/** One sentence for all feeds, and the state that colours it. */
export function summarize(statuses: readonly FeedStatus[]): { state: FeedState; sentence: string } {
  const count = (...states: FeedState[]) => statuses.filter(({ state }) => states.includes(state)).length;
  const broken = count("retrying", "failed", "closing");
  const paused = count("paused");
  const open = count("open", "resumed", "gap");
  if (open === 0 && statuses.some(({ detail }) => detail.startsWith(WANTS_TOKEN)))
    return { state: "failed", sentence: "The server wants a token, and this page has none." };
  if (broken > 0 && open === 0)
    return { state: "failed", sentence: "No connection. The feeds try again by themselves." };
  if (broken > 0) return { state: "retrying", sentence: `${feeds(open)} open, ${broken} reconnecting` };
  if (count("connecting") > 0) return { state: "connecting", sentence: "Connecting" };
  if (paused > 0) return { state: "paused", sentence: `${feeds(open)} open, ${paused} paused` };
  return { state: "open", sentence: `All ${feeds(open)} open` };
}

function feeds(count: number): string {
  return count === 1 ? "1 feed" : `${count} feeds`;
}
