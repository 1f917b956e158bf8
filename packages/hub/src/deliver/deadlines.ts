import type { OpenStreams } from "./open-streams.ts";
import type { HubSettings } from "../options.ts";
import type { Stream } from "./stream.ts";

/**
 * The one timer for all that is due to streams by time: heartbeats, the deadline of blocked writes, the end of permissions and
 * of old age, and openings that nobody attaches. It walks the list of streams round and round, a part at each step, so that
 * duties are spread over the round even when all streams were opened, or last written to, at the same moment.
 *
 * @returns stops the timer
 */
export function startDeadlines(streams: OpenStreams, settings: HubSettings): () => void {
  const { clock } = settings;
  const heartbeat = settings.heartbeat ?? Infinity;
  const writeDeadline = settings.writeDeadline ?? Infinity;
  const round = Math.min(LONGEST_ROUND, heartbeat / 4, writeDeadline / 4);
  // A stream may be met late by one round, and once more when it moves within the list.
  const quiet = heartbeat - 2 * round;
  const { all } = streams;
  let next = 0;

  return clock.every(Math.max(1, round / STEPS), () => {
    const now = clock.now();
    for (let part = Math.ceil(all.length / STEPS); part > 0 && all.length > 0; part--) {
      if (next === 0 || next > all.length) next = all.length;
      const stream = all[--next]!; // downwards: what moves into this place was met already
      if (now >= stream.until && mayEnd(stream)) streams.close(stream, stream.endsBy);
      else if (stream.state === "blocked") {
        if (now - stream.blockedSince >= writeDeadline) streams.close(stream, "slow");
      } else if (stream.state === "opening") {
        if (isForgotten(stream, now)) stream.finish("client");
      } else if (now - lastWrite(stream) >= quiet) streams.heartbeat(stream);
    }
  });
}

/** Old age can wait until a frame that is on its way has arrived, so that the client is told. A permission cannot. */
function mayEnd({ state, endsBy }: Stream): boolean {
  return state !== "blocked" || endsBy !== "max-age";
}

function isForgotten({ sink, awaited, lastWrite: answered }: Stream, now: number): boolean {
  return sink === null && awaited === null && now - answered >= ATTACH_WITHIN;
}

function lastWrite({ state, lastWrite: own, cohort }: Stream): number {
  return state === "live" ? Math.max(own, cohort.lastWrite) : own;
}

const LONGEST_ROUND = 1000;
const STEPS = 10;
/** How long a stream may be without a sink after the log has answered, in milliseconds: who asked for it is gone. */
const ATTACH_WITHIN = 10_000;
