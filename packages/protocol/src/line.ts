import { toBytes, toText } from "./bytes.ts";

/*
 * What a line is made of, as bytes: its end, its field's name, and where the value begins (WHATWG HTML 9.2.5 and 9.2.6).
 */

export const LF = 0x0a;
export const CR = 0x0d;
export const COLON = 0x3a;
export const SPACE = 0x20;
export const DATA = toBytes("data");
export const EVENT = toBytes("event");
export const ID = toBytes("id");
export const RETRY = toBytes("retry");

/** The place of the first CR or LF at or after `start`, or the length. */
export function findLineEnd(bytes: Uint8Array, start: number): number {
  const { length } = bytes;
  for (let place = start; place < length; place++) {
    const byte = bytes[place] as number;
    if (byte <= CR && (byte === LF || byte === CR)) return place;
  }
  return length;
}

/** Up to here a loop over the bytes costs less than a call. Data lines are longer than that, mostly. */
const NEAR = 16;

/** The place of the byte at or after `start`, or the length. */
export function find(bytes: Uint8Array, byte: number, start: number): number {
  const { length } = bytes;
  const near = Math.min(length, start + (bytes[start] === DATA[0] ? 2 : NEAR));
  for (let place = start; place < near; place++) if (bytes[place] === byte) return place;
  if (near === length) return length;
  const place = bytes.indexOf(byte, near);
  return place === -1 ? length : place;
}

export function findInText(text: string, lineEnd: string, start: number): number {
  const place = text.indexOf(lineEnd, start);
  return place === -1 ? text.length : place;
}

export function isLineEnd(byte: number | undefined): boolean {
  return byte === LF || byte === CR;
}

/** Names are compared byte by byte, and end at the first colon or with the line. */
export function isNamed(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const colon = start + name.length;
  return colon <= end && (colon === end || bytes[colon] === COLON) && startsWith(name, bytes, start);
}

/** As `isNamed`, spelled out for the names that events have: no loop, no call. */
export function isData(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    bytes[start] === 0x64 &&
    bytes[start + 1] === 0x61 &&
    bytes[start + 2] === 0x74 &&
    bytes[start + 3] === 0x61 &&
    (start + 4 === end || (start + 4 < end && bytes[start + 4] === COLON))
  );
}

export function isEvent(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    bytes[start] === 0x65 &&
    bytes[start + 1] === 0x76 &&
    bytes[start + 2] === 0x65 &&
    bytes[start + 3] === 0x6e &&
    bytes[start + 4] === 0x74 &&
    (start + 5 === end || (start + 5 < end && bytes[start + 5] === COLON))
  );
}

export function isId(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    bytes[start] === 0x69 &&
    bytes[start + 1] === 0x64 &&
    (start + 2 === end || (start + 2 < end && bytes[start + 2] === COLON))
  );
}

export function startsWith(beginning: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let at = 0; at < beginning.length; at++) if (bytes[start + at] !== beginning[at]) return false;
  return true;
}

export function hasNul(bytes: Uint8Array, start: number, end: number): boolean {
  for (let place = start; place < end; place++) if (bytes[place] === 0) return true;
  return false;
}

/** Where the value begins, behind the colon and one space; beyond the end when the line has no colon. */
export function valueStart(bytes: Uint8Array, colon: number, end: number): number {
  return colon + 1 < end && bytes[colon + 1] === SPACE ? colon + 2 : colon + 1;
}

/** From the chunk's text when there is one: cutting it costs less than reading bytes. */
export function valueOf(bytes: Uint8Array, colon: number, end: number, text: string): string {
  const start = valueStart(bytes, colon, end);
  if (start >= end) return "";
  return text.length === 0 ? toText(bytes, start, end) : text.slice(start, end);
}
