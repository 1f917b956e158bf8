import { type FeedState, type FeedStatus, NO_ROOM, WANTS_TOKEN } from "./feed.ts";

/** One sentence for all feeds, and the state that colours it. */
export function summarize(statuses: readonly FeedStatus[]): { state: FeedState; sentence: string } {
  const count = (...states: FeedState[]) => statuses.filter(({ state }) => states.includes(state)).length;
  // Who may read some topics need not be allowed all of them: that is no fault.
  const locked = statuses.filter(({ detail }) => detail.startsWith(WANTS_TOKEN)).length;
  const broken = count("retrying", "failed", "closing") - locked;
  const paused = count("paused");
  const open = count("open", "resumed", "gap");
  if (open === 0 && locked > 0)
    return { state: "failed", sentence: "The server wants a token, and this page has none." };
  const waiting = statuses.filter(({ detail }) => detail === NO_ROOM).length;
  if (waiting > 0 && open === 0)
    return { state: "failed", sentence: "The server is full. The feeds come back once there is room." };
  if (waiting > 0 && waiting === broken)
    return {
      state: "retrying",
      sentence: `The server is full: ${feeds(open)} open, ${waiting} waiting for room`,
    };
  if (broken > 0 && open === 0)
    return { state: "failed", sentence: "No connection. The feeds try again by themselves." };
  if (broken > 0) return { state: "retrying", sentence: `${feeds(open)} open, ${broken} reconnecting` };
  if (count("connecting") > 0) return { state: "connecting", sentence: "Connecting" };
  if (paused > 0) return { state: "paused", sentence: `${feeds(open)} open, ${paused} paused` };
  if (locked > 0)
    return {
      state: "open",
      sentence: `${feeds(open)} open, ${locked} ${locked === 1 ? "wants" : "want"} a token`,
    };
  return { state: "open", sentence: `All ${feeds(open)} open` };
}

function feeds(count: number): string {
  return count === 1 ? "1 feed" : `${count} feeds`;
}
