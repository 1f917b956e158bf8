import { find } from "./element.ts";
import type { FeedStatus } from "./feed.ts";
import { jobProgress } from "./job-progress.ts";
import type { Feeds } from "./feeds.ts";
import { post } from "./post.ts";
import type { Face } from "./tile.ts";

/** The start button and the bar. */
export function setUpJob(root: HTMLElement, feeds: Feeds): Face {
  const start = find(HTMLButtonElement, "#start-job", root);
  const bar = find(HTMLProgressElement, "progress", root);
  const figure = find(Element, ".figure", root);
  const problem = find(HTMLElement, "#job-problem", root);
  const said = find(HTMLElement, "#job-said", root);
  let starting = false;
  let running = false;

  const drawStart = () => {
    start.ariaDisabled = String(starting || running);
    start.textContent = starting ? "Starting…" : running ? "Job is running" : "Start a job";
  };

  const startJob = async () => {
    if (starting || running) return;
    starting = true;
    problem.textContent = "";
    drawStart();
    const result = await post<{ topic: string }>("/demo/jobs");
    // `starting` lasts until the feed of the new job speaks up.
    if (result.ok) {
      feeds.followJob(result.value.topic);
      return;
    }
    problem.textContent = `Not started. ${result.problem}`;
    starting = false;
    drawStart();
  };
  start.addEventListener("click", () => void startJob());

  return (entries, status) => {
    const { completion, done } = jobProgress(entries);
    running = !done && isFollowed(status);
    if (running) starting = false;
    bar.value = completion;
    figure.textContent = done ? "Done" : `${completion.toFixed(0)} %`;
    // Only the two ends are spoken; the bar itself tells the rest to who asks.
    said.textContent = done ? "The job is done." : running ? "The job is running." : "";
    drawStart();
  };
}

/** A job that is paused, ended or refused may be replaced by another. */
function isFollowed({ state }: FeedStatus): boolean {
  return state !== "idle" && state !== "paused" && state !== "ended" && state !== "failed";
}
