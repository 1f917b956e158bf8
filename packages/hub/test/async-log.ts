import type { EventLog } from "../src/index.ts";

/** The log, with every answer late: as one that has to ask a disk or a broker. */
export function asyncLog(log: EventLog, delay: () => number): EventLog {
  const late = async <T>(answer: () => T): Promise<Awaited<T>> => {
    for (let turns = delay(); turns > 0; turns--) await Promise.resolve();
    return await answer();
  };
  return {
    get fault() {
      return log.fault;
    },
    append: async (batch) => log.append(batch),
    read: (...query) => late(() => log.read(...query)),
    survey: (...query) => late(() => log.survey(...query)),
    rewind: (...query) => late(() => log.rewind(...query)),
    ends: (...query) => late(() => log.ends(...query)),
    tail: (listener) => log.tail(listener),
    bounds: () => log.bounds(),
    close: () => log.close(),
  };
}
