import { expect, test } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ConsumerMessages } from "@nats-io/jetstream";
import { systemClock } from "../../clock.ts";
import { NatsTail } from "./tail.ts";

test("hears of whatever ends its consumer, and leaves no rejection that nobody handles", async () => {
  for (const fails of ["messages", "status"]) {
    const quiet = Promise.withResolvers<never>();
    const fail = async function* () {
      if (fails === "messages") throw new Error("heartbeats missed");
      yield await quiet.promise;
    };
    const messages = Object.assign(fail(), {
      stop() {},
      status: async function* () {
        if (fails === "status") throw new Error("heartbeats missed");
        yield await quiet.promise;
      },
    });
    const tail = new NatsTail("epoch", 0, messages as unknown as ConsumerMessages, systemClock);
    await expect(tail.next(10_000)).rejects.toThrow("heartbeats missed");
    await sleep(1);
    tail.close();
  }
});
