import { HEARTBEAT } from "../control-events.ts";
import type { Delivery } from "./fan-out.ts";
import type { HubSettings } from "../options.ts";
import type { Stream } from "../subscribe/stream.ts";

const LONGEST_ROUND = 1000;
const STEPS = 10;

/**
 * The one timer for all that is due to streams by time: heartbeats, the deadline of blocked writes, and the end of
 * permissions and of old age. It walks the list of streams round and round, a part at each step, so that duties are spread over the round even when all streams
 * were opened, or last written to, at the same moment.
 *
 * @returns stops the timer
 */
export function startSweep(delivery: Delivery, settings: HubSettings): () => void {
  const { clock } = settings;
  const heartbeat = settings.heartbeat ?? Infinity;
  const writeDeadline = settings.writeDeadline ?? Infinity;
  const round = Math.min(LONGEST_ROUND, heartbeat / 4, writeDeadline / 4);
  // A stream may be met late by one round, and once more when it moves within the list.
  const quiet = heartbeat - 2 * round;
  const comment = new TextEncoder().encode(HEARTBEAT);
  const { streams } = delivery;
  let next = 0;

  return clock.every(Math.max(1, round / STEPS), () => {
    const now = clock.now();
    for (let part = Math.ceil(streams.length / STEPS); part > 0 && streams.length > 0; part--) {
      if (next === 0 || next > streams.length) next = streams.length;
      const stream = streams[--next]!; // downwards: what moves into this place was met already
      if (now >= stream.until && mayEnd(stream)) delivery.close(stream, stream.endsBy);
      else if (stream.state === "blocked") {
        if (now - stream.blockedSince >= writeDeadline) delivery.close(stream, "slow");
      } else if (stream.state !== "opening" && now - lastWrite(stream) >= quiet) {
        delivery.heartbeat(stream, comment);
      }
    }
  });
}

/** Old age can wait until a frame that is on its way has arrived, so that the client is told. A permission cannot. */
function mayEnd({ state, endsBy }: Stream): boolean {
  return state !== "blocked" || endsBy !== "max-age";
}

function lastWrite({ state, lastWrite: own, cohort }: Stream): number {
  return state === "live" ? Math.max(own, cohort.lastWrite) : own;
}
