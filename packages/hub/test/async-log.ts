import type { EventLog } from "../src/index.ts";

/** The log, with every answer late: as one that has to ask a disk or a broker. */
export function asyncLog(log: EventLog, delay: () => number): EventLog {
  const late = async <T>(answer: () => T): Promise<Awaited<T>> => {
    for (let turns = delay(); turns > 0; turns--) await Promise.resolve();
    const view = await answer();
    // What was true then is told later.
    for (let turns = delay(); turns > 0; turns--) await Promise.resolve();
    return view;
  };
  return {
    get fault() {
      return log.fault;
    },
    append: async (batch) => log.append(batch),
    read: (...query) => late(() => log.read(...query)),
    position: (request) => late(() => log.position(request)),
    tail: (listener) => log.tail(listener),
    bounds: () => log.bounds(),
    close: () => log.close(),
  };
}
