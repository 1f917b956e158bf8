/**
 * Opens many streams, in a thread of its own so that the page stays as quick as it was. Each is let go a moment after it
 * has opened, for there may be fewer connections than streams.
 */
import type { StormOrder, StormReport } from "./storm.ts";

/** How long an open stream is kept. */
const HOLD_MS = 1_000;
/** When none has opened for so long, the rest counts as failed. */
const PATIENCE_MS = 30_000;

addEventListener("message", (event: MessageEvent<StormOrder>) => storm(event.data));

function storm({ count, atOnce, url }: StormOrder): void {
  const began = performance.now();
  const sources = new Set<EventSource>();
  let [asked, opened, failed, open, peak] = [0, 0, 0, 0, 0];
  const report = (done: boolean) => {
    const seconds = (performance.now() - began) / 1000;
    postMessage({ opened, failed, open, peak, seconds, done } satisfies StormReport);
  };
  const timer = setInterval(() => report(false), 100);
  const finish = () => {
    clearInterval(timer);
    clearTimeout(patience);
    for (const source of sources) source.close();
    report(true);
  };
  const giveUp = () => {
    failed = count - opened;
    finish();
  };
  let patience = setTimeout(giveUp, PATIENCE_MS);
  const next = () => {
    if (opened + failed === count) finish();
    for (let rest = Math.min(count - asked, atOnce - sources.size); rest > 0; rest--) ask();
  };
  const ask = () => {
    asked++;
    const source = new EventSource(url);
    sources.add(source);
    let isOpen = false;
    const leave = () => {
      source.close();
      if (!sources.delete(source)) return;
      if (isOpen) open--;
      next();
    };
    source.addEventListener("sse:ready", () => {
      isOpen = true;
      opened++;
      clearTimeout(patience);
      patience = setTimeout(giveUp, PATIENCE_MS);
      peak = Math.max(peak, ++open);
      // Where they have to take turns, the turn is over; where not, they are to be open together.
      if (atOnce < count) leave();
      else setTimeout(leave, HOLD_MS);
      if (opened + failed === count) finish();
    });
    source.addEventListener("error", () => {
      if (isOpen) return;
      failed++;
      leave();
    });
  };
  next();
}
