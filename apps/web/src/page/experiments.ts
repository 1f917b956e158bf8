import type { FrameMeter } from "./frame-meter.ts";
import type { LabSubject } from "./lab-subject.ts";
import { bytes } from "./quantity.ts";

/** What an experiment has at hand. */
export interface Bench {
  readonly subject: LabSubject;
  readonly frames: FrameMeter;
  readonly note: (note: string) => void;
  /** What the server says of itself, if it may be seen: streams that it waits for, and its memory in bytes. */
  readonly server: () => { readonly blocked: number; readonly memory: number } | null;
}

const OPENS_WITHIN_MS = 10_000;
const SETTLES_WITHIN_MS = 60_000;

/** Published before anything is done to the reader, so that there is a place to come back to. */
const BEFORE = 20;

/** 104 MiB: Chromium takes in 64 of an event stream that no script reads, and the system's buffers some more. */
const STALL_EVENTS = 832;
const STALL_EVENT_BYTES = 128 * 1024;
const STALL_KEYS = 8;
const STALL_LOOK_MS = 2_500;

const FLOOD_SECONDS = 10;
const FLOOD_RATE = 1_000;
const FLOOD_BATCHES_PER_SECOND = 20;

async function open({ subject, note }: Bench): Promise<void> {
  subject.reader.open();
  const answered = () => subject.reader.state.is === "open" || subject.reader.state.is === "refused";
  if (!(await subject.until(answered, OPENS_WITHIN_MS))) {
    const { state } = subject.reader;
    const why = state.is === "waiting" ? ` (${state.why})` : "";
    throw new Error(`the server gave it no stream within ${OPENS_WITHIN_MS / 1000} s${why}`);
  }
  if (subject.reader.state.is === "refused") throw new Error("the server refused the stream");
  await subject.publish(BEFORE);
  await subject.until(() => subject.isSettled, OPENS_WITHIN_MS);
  note(`${BEFORE} events published and read`);
}

async function settle({ subject }: Bench): Promise<void> {
  await subject.until(() => subject.isSettled, SETTLES_WITHIN_MS);
}

/** Aborts the connection, publishes meanwhile, and sees what comes of it. */
export async function cut(bench: Bench): Promise<void> {
  const { subject, note } = bench;
  await open(bench);
  subject.reader.cut(1_000);
  const away = 30;
  await subject.publish(away);
  note(`${away} events published while it was away`);
  await settle(bench);
}

/** Stops reading until the server's writes are no longer taken, then reads on. */
export async function stall(bench: Bench): Promise<void> {
  const { subject, note, server } = bench;
  await open(bench);
  const before = server();
  subject.reader.stall();
  note("Reading has stopped");
  await subject.publish(STALL_EVENTS, { size: STALL_EVENT_BYTES, keys: STALL_KEYS });
  note(
    `${STALL_EVENTS} events of ${bytes(STALL_EVENT_BYTES)} published: ${bytes(STALL_EVENTS * STALL_EVENT_BYTES)}`,
  );
  await subject.until(() => (server()?.blocked ?? 0) > (before?.blocked ?? 0), STALL_LOOK_MS);
  const during = server();
  if (before !== null && during !== null)
    note(
      `The server waits for ${during.blocked} stream${during.blocked === 1 ? "" : "s"}; its memory: ${bytes(before.memory)}, now ${bytes(during.memory)}`,
    );
  // What comes while a write is not taken is what a stream falls behind by.
  await subject.publish(BEFORE, { keys: STALL_KEYS });
  note(`${BEFORE} more events published`);
  note("Reading goes on");
  subject.reader.unstall();
  await settle(bench);
}

/** As many events as the page is made for, drawn as they come. */
export async function flood(bench: Bench): Promise<void> {
  const { subject, note, frames } = bench;
  await open(bench);
  const each = FLOOD_RATE / FLOOD_BATCHES_PER_SECOND;
  frames.start();
  const start = performance.now();
  for (let batch = 0; batch < FLOOD_SECONDS * FLOOD_BATCHES_PER_SECOND; batch++) {
    const due = start + (batch * 1000) / FLOOD_BATCHES_PER_SECOND;
    await subject.until(() => performance.now() >= due, 1_000);
    await subject.publish(each);
  }
  await settle(bench);
  const { fps, longTasks, worst } = frames.stop();
  const seconds = (performance.now() - start) / 1000;
  const rate = Math.round((FLOOD_SECONDS * FLOOD_RATE) / seconds);
  note(
    `${rate.toLocaleString("en")} events/s for ${seconds.toFixed(1)} s, drawn at ${fps.toFixed(0)} frames/s; the longest frame took ${worst.toFixed(0)} ms, ${longTasks} tasks over 50 ms`,
  );
}

/** Gives the reader the notice that goes before a restart, and publishes while it is away. */
export async function drain(bench: Bench): Promise<void> {
  const { subject, note } = bench;
  await open(bench);
  await subject.drain();
  const left = await subject.until(() => subject.reader.state.is !== "open", OPENS_WITHIN_MS);
  if (!left) throw new Error("the reader was not sent away");
  const away = 30;
  await subject.publish(away);
  note(`${away} events published while it was away`);
  await settle(bench);
}

/** Ends the topic under the reader. */
export async function endTopic(bench: Bench): Promise<void> {
  const { subject, note } = bench;
  await open(bench);
  await subject.end();
  note("The topic was ended");
  const over = await subject.until(() => subject.reader.state.is === "ended", OPENS_WITHIN_MS);
  if (!over) throw new Error("the reader was not told to stay away");
}
