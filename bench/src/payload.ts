/**
 * What the bench publishes, so that a delivery can be told from its bytes alone, wherever the server puts them:
 *
 * ```
 * ~k3f9~  00007    00001234  1795225980294512   000064  ~  hhhh...
 * mark    channel  number    intended time, us  length     filler that follows from channel and number
 * ```
 *
 * No character of it needs an escape in JSON, a URL or the event stream format.
 */
export const MARK_BYTES = 6;
const CHANNEL_DIGITS = 5;
const NUMBER_DIGITS = 8;
const TIME_DIGITS = 16;
const LENGTH_DIGITS = 6;
/** Where the parts end, from the start of the mark. */
export const CHANNEL_END: number = MARK_BYTES + CHANNEL_DIGITS;
export const NUMBER_END: number = CHANNEL_END + NUMBER_DIGITS;
export const TIME_END: number = NUMBER_END + TIME_DIGITS;
export const LENGTH_END: number = TIME_END + LENGTH_DIGITS;
/** The mark, the numbers, and the `~` that ends them: the least that a payload can be. */
export const HEADER_BYTES: number = LENGTH_END + 1;
export const MAX_PAYLOAD_BYTES: number = 10 ** LENGTH_DIGITS - 1;

export const MAX_CHANNELS: number = 10 ** CHANNEL_DIGITS;
/** `~`, before and after the mark's letters and after the numbers. */
export const TILDE = 0x7e;

/** A mark that no other run has, so that what an earlier run left in a server's log is not counted in this one. */
export function createMark(random: () => number = Math.random): string {
  const letters = Math.floor(random() * 36 ** (MARK_BYTES - 2)).toString(36);
  return `~${letters.padStart(MARK_BYTES - 2, "0")}~`;
}

/**
 * @param channel what the numbers count within: a publisher's connection, or a topic
 * @param intended when it should have been sent, in microseconds as `now()` gives them
 * @param bytes its length, at least {@link HEADER_BYTES}
 */
export function payload(
  mark: string,
  channel: number,
  number: number,
  intended: number,
  bytes: number,
): string {
  const head =
    mark +
    String(channel).padStart(CHANNEL_DIGITS, "0") +
    String(number).padStart(NUMBER_DIGITS, "0") +
    String(Math.round(intended)).padStart(TIME_DIGITS, "0") +
    String(bytes).padStart(LENGTH_DIGITS, "0");
  return `${head}~${filler(channel, number, bytes - HEADER_BYTES)}`;
}

/** The numbers of the payload at `at`, or null when it is not whole. */
export function readPayload(
  text: string,
  at: number,
): { channel: number; number: number; intended: number } | null {
  const digits = text.slice(at + MARK_BYTES, at + LENGTH_END);
  if (!/^[0-9]+$/.test(digits) || text.charCodeAt(at + LENGTH_END) !== TILDE) return null;
  const part = (from: number, to: number): number => Number(text.slice(at + from, at + to));
  const [channel, number] = [part(MARK_BYTES, CHANNEL_END), part(CHANNEL_END, NUMBER_END)];
  const length = part(TIME_END, LENGTH_END) - HEADER_BYTES;
  if (length < 0 || !text.startsWith(filler(channel, number, length), at + HEADER_BYTES)) return null;
  return { channel, number, intended: part(NUMBER_END, TIME_END) };
}

const fillers = new Map<number, string[]>();

function filler(channel: number, number: number, length: number): string {
  let letters = fillers.get(length);
  if (letters === undefined) {
    letters = Array.from({ length: 26 }, (_, letter) => String.fromCharCode(97 + letter).repeat(length));
    fillers.set(length, letters);
  }
  return letters[(channel * 7 + number) % 26]!;
}
