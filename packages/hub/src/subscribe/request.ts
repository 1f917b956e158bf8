import { HubError } from "../errors.ts";
import type { PositionRequest } from "../log/event-log.ts";
import { SelectorSet } from "../topics/topic.ts";

/** What a client asks for. */
export interface StreamRequest {
  /** Topics and patterns. */
  topics: readonly string[];
  /** The id of the last event that the client has seen; "" and undefined: it has seen none. */
  lastEventId?: string | undefined;
  /** For a client without a cursor: all that the log holds, the last N events, or none, which is the default. */
  replay?: "all" | number | undefined;
  /** Default `catch-up`. */
  lag?: LagPolicy | undefined;
  /**
   * `json`: the data of each event is `{"topic": ..., "key"?: ..., "data": ...}`, so that who asks for a pattern knows the topic
   * of each. `data` in it is the JSON value that was published, or a string. Control events are as always. Default: none.
   */
  envelope?: "json" | undefined;
  /**
   * How control events come: as `event`, which is the default, or as `comment`, which a client does not dispatch, for readers that
   * take every event for theirs. Their ids count all the same.
   */
  control?: "event" | "comment" | undefined;
  /**
   * Milliseconds from the opening after which the stream is closed, as `auth-expired`, within a second; default: never.
   * The client may come back with a new permission, and goes on where it was.
   */
  expiresIn?: number | undefined;
  /** Whose stream it is, for `maxStreamsPerAddress`: any text that stands for an address; default: not counted. */
  address?: string | undefined;
  /** Whose stream it is, for `maxStreamsPerPrincipal`: any text that stands for a user; default: not counted. */
  principal?: string | undefined;
  /** Aborted: nobody wants the stream any more, and it gives back what it took. Looked at only when the log answers late. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * What a stream is given after it fell behind: everything it missed (`catch-up`), per topic and key the newest event of
 * what it missed (`latest`), or its end (`disconnect`).
 */
export type LagPolicy = "catch-up" | "latest" | "disconnect";

/**
 * The one door for requests of streams: what is asked of the log.
 *
 * @throws HubError `bad-selector` or `bad-request`
 */
export function parseRequest(
  { topics, lastEventId = "", replay = 0, lag = "catch-up", envelope, control = "event" }: StreamRequest,
  maxSelectors: number,
): PositionRequest {
  if (topics.length > maxSelectors) {
    throw new HubError("bad-selector", `${topics.length} topics are more than the limit of ${maxSelectors}`);
  }
  if (!LAG_POLICIES.includes(lag)) {
    throw new HubError("bad-request", `lag must be one of ${LAG_POLICIES.join(", ")}`);
  }
  if (envelope !== undefined && envelope !== "json") {
    throw new HubError("bad-request", "envelope must be json, or left out");
  }
  if (control !== "event" && control !== "comment") {
    throw new HubError("bad-request", "control must be event or comment");
  }
  if (replay !== "all" && !(Number.isSafeInteger(replay) && replay >= 0)) {
    throw new HubError("bad-request", 'replay must be "all" or a whole number from 0 on');
  }
  const last = replay === "all" ? Infinity : replay;
  return { selectors: new SelectorSet(topics), lastEventId, replay: last, counted: true };
}

const LAG_POLICIES: readonly unknown[] = ["catch-up", "latest", "disconnect"] satisfies LagPolicy[];
