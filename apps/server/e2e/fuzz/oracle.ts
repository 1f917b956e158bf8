import type { Exchange, Outcome } from "./case.ts";
import { type Asked, MARKER, type Publication, SECRET_MARKER } from "./requests.ts";
import type { Answer } from "./wire.ts";

export interface Violation {
  readonly check: string;
  readonly message: string;
  /** Of the case; null where it may have been any. */
  readonly subject: string | null;
}

/** What is said of a publication: how many of its events have to come out, at the least and at the most. */
interface Expected {
  readonly least: number;
  readonly most: number;
  /** None of several is as good as all of them; a part is not. */
  readonly why: string;
}

const OVERLOADED: ReadonlySet<number> = new Set([429, 503]);
/** A method, or a version, that it does not know: refused by Bun before the server sees it. */
const OWN_OF_BUN: ReadonlySet<number> = new Set([501, 505]);

/** Judges what a server answers, and what it publishes. */
export class Oracle {
  readonly violations: Violation[] = [];
  /** Answers by status. */
  readonly statuses = new Map<number, number>();
  accepted = 0;
  refused = 0;
  readonly #expected = new Map<string, Expected>();
  readonly #seen = new Map<string, number>();

  /** What a client made of one exchange. */
  answered(exchange: Exchange, answers: readonly Answer[], { isTimeout, isClosed }: Outcome): void {
    const { asked, trust, what } = exchange;
    const subject = subjectOf(exchange);
    const blame = (check: string, message: string): void =>
      void this.violations.push({ check, message, subject });
    for (const [at, answer] of answers.entries()) {
      this.statuses.set(answer.status, (this.statuses.get(answer.status) ?? 0) + 1);
      const request = asked[at];
      const fault = faultOf(answer, request);
      if (fault !== null) blame("answer", `${request?.what ?? "a request more"} (${what}): ${fault}`);
    }
    if (isTimeout) blame("hang", `${asked[0]!.what}: no answer`);
    const isExact = trust === "whole" || (trust === "pipeline" && answers.length === asked.length);
    for (const [at, request] of asked.entries()) {
      const answer = answers[at];
      if (isExact && answer !== undefined) {
        const fault = misjudged(request, answer);
        if (fault !== null) blame("verdict", `${request.what}: ${fault}`);
      }
      if (request.publication === null) continue;
      // A refusal that comes after trailers comes after the event.
      const isRefused =
        answers.length > 0 &&
        isClosed &&
        asked.length === 1 &&
        !what.includes("trailers") &&
        answers.every(({ status }) => status >= 400);
      if (trust === "cut off") this.#expect(request.publication, 0, 0, `${what} were sent`);
      else if (isExact && answer !== undefined) this.#told(request.publication, answer);
      else if (isRefused)
        this.#expect(
          request.publication,
          0,
          0,
          `with ${what}, it was answered ${answers.map(({ status }) => status).join()}`,
        );
      else this.#expect(request.publication, 0, request.publication.events, "nobody knows");
    }
  }

  /** An event, as somebody who may read everything is sent it. */
  published(type: string, data: string): void {
    if (type === "injected")
      this.violations.push({
        check: "injection",
        message: `an event that nobody published: ${data.slice(0, 200)}`,
        subject: null,
      });
    for (const [marker] of data.matchAll(MARKER)) this.#seen.set(marker, (this.#seen.get(marker) ?? 0) + 1);
  }

  has(marker: string): boolean {
    return this.#seen.has(marker);
  }

  /** To be asked when nothing is under way any more. @param hasGap whether events were lost on the way here */
  settle(hasGap: boolean): void {
    for (const [marker, { least, most, why }] of this.#expected) {
      const seen = this.#seen.get(marker) ?? 0;
      const isPart = seen > 0 && seen < most && most !== Infinity;
      if (seen > most || (!hasGap && (seen < least || isPart))) {
        const range = least === most ? `${most}` : `${least} or ${most}`;
        this.violations.push({
          check: "published",
          message: `${marker}: ${range} events were due (${why}), and ${seen} came`,
          subject: subjectIn(marker),
        });
      }
    }
    this.#expected.clear();
    this.#seen.clear();
  }

  #told({ marker, events }: Publication, { status }: Answer): void {
    if (status === 200) {
      this.accepted++;
      this.#expect({ marker, events }, events === Infinity ? 0 : events, events, "it was acknowledged");
    } else {
      this.refused++;
      this.#expect({ marker, events }, 0, 0, `it was answered ${status}`);
    }
  }

  #expect({ marker }: Publication, least: number, most: number, why: string): void {
    this.#expected.set(marker, { least, most, why });
  }
}

function subjectIn(marker: string): string | null {
  return /^~[ms](.+)\./.exec(marker)?.[1] ?? null;
}

function subjectOf({ asked }: Exchange): string {
  return asked[0]!.subject;
}

/** What no answer may be, whatever was asked. */
function faultOf({ status, headers, body, isWhole }: Answer, request: Asked | undefined): string | null {
  if (status >= 500 && status !== 503 && !(OWN_OF_BUN.has(status) && body === ""))
    return `${status} ${body.slice(0, 300)}`;
  if (!(status >= 200 && status < 600)) return `no status: ${status}`;
  if (headers?.has("x-injected")) return "a header that the request has made up";
  if (body.includes(SECRET_MARKER) && request?.mayReadAll === false && status === 200)
    return "events that its token does not cover";
  if (headers?.get("content-type") !== "application/problem+json") return null;
  if (isWhole && body !== "" && !body.startsWith(`{"status":${status},`)) return `${status} with ${body}`;
  if (OVERLOADED.has(status) && !headers.has("retry-after")) return `${status} without Retry-After`;
  if (status === 405 && !headers.has("allow")) return "405 without Allow";
  if (status === 401 && !headers.has("www-authenticate")) return "401 without WWW-Authenticate";
  return null;
}

function misjudged({ verdict }: Asked, { status, body }: Answer): string | null {
  if (OVERLOADED.has(status)) return null;
  if (verdict === "taken" && status >= 300) return `refused with ${status}: ${body.slice(0, 300)}`;
  if (verdict === "refused" && status < 400) return `answered ${status}: ${body.slice(0, 300)}`;
  return null;
}
