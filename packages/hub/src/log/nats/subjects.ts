import { hash as sha256 } from "node:crypto";
import type { NewEvent } from "../new-event.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import { idempotencyName } from "../numbering.ts";

/*
 * A message of the stream holds what one publisher published together:
 *
 *   PREFIX.t.<segments of the topic>.<key>.<id>   when it is all of one topic
 *   PREFIX.m.<id>                                 when it is of several topics
 *
 * <key> is a hash of the key that all its events have, `-` for the empty one, `!` when the topic only ends, and `%` when
 * there are several. <id> is a hash of the first publisher's id, `-` when there is none.
 */

/** The subject for events that are published together. */
export function subjectOf(prefix: string, events: readonly NewEvent[]): string {
  const first = events.find(({ idempotencyKey }) => idempotencyKey !== "");
  const id = first === undefined ? "-" : hash(idempotencyName(first.topic, first.idempotencyKey));
  const { topic } = events[0]!;
  if (events.some((event) => event.topic !== topic)) return `${prefix}.m.${id}`;
  return `${topicSubject(prefix, topic)}.${keyToken(events)}.${id}`;
}

/** Whether whoever reads these events by their topics finds them at the subject; false for none. */
export function isSubjectOf(prefix: string, subject: string, events: readonly NewEvent[]): boolean {
  if (events.length === 0) return false;
  if (subject.startsWith(`${prefix}.m.`)) return true;
  const { topic } = events[0]!;
  const begin = `${topicSubject(prefix, topic)}.`;
  if (!subject.startsWith(begin) || subject.indexOf(".", begin.length) !== subject.lastIndexOf("."))
    return false;
  return events.every((event) => event.topic === topic);
}

/** All messages of one topic and key, but for those with several keys or topics. */
export function keySubject(prefix: string, topic: Topic, key: string): string {
  return `${topicSubject(prefix, topic)}.${key === "" ? "-" : hash(key)}.*`;
}

/** All messages of several topics. */
export function mixedSubject(prefix: string): string {
  return `${prefix}.m.*`;
}

/** Subjects that match every message of one topic with a selected event; none of them is a part of another one. */
export function selectedSubjects(prefix: string, { topics, patterns }: SelectorSet): string[] {
  const subjects = topics.map((topic) => `${topicSubject(prefix, topic)}.*.*`);
  for (const { segments, rest } of patterns) {
    const tokens = segments.map((segment) => (segment === "*" ? "*" : token(segment)));
    // A final `**` is one segment or more; with the key and the id these are three tokens or more.
    subjects.push([`${prefix}.t`, ...tokens, ...(rest ? ["*", "*", ">"] : ["*", "*"])].join("."));
  }
  return subjects.filter(
    (subject, at) => !subjects.some((other, place) => place !== at && covers(other, subject)),
  );
}

const ESCAPES: Readonly<Record<string, string>> = { "%": "%p", ".": "%d", ">": "%g" };

/** A segment as a token of a subject: any printable character but `.`, `*` and `>` may stand in one, and it is not empty. */
function token(segment: string): string {
  return segment === "" ? "%" : segment.replaceAll(/[%.>]/g, (character) => ESCAPES[character]!);
}

function hash(text: string): string {
  return sha256("sha256", text, "base64url").slice(0, 22);
}

function topicSubject(prefix: string, topic: Topic): string {
  return `${prefix}.t.${topic.split("/").map(token).join(".")}`;
}

function keyToken(events: readonly NewEvent[]): string {
  const keys = new Set(events.filter(({ end }) => !end).map(({ key }) => key));
  if (keys.size > 1) return "%";
  const [key] = keys;
  return key === undefined ? "!" : key === "" ? "-" : hash(key);
}

function covers(wide: string, narrow: string): boolean {
  const [wides, narrows] = [wide.split("."), narrow.split(".")];
  for (const [at, each] of wides.entries()) {
    if (each === ">") return narrows.length > at;
    if (at >= narrows.length || narrows[at] === ">" || (each !== "*" && each !== narrows[at])) return false;
  }
  return wides.length === narrows.length;
}
