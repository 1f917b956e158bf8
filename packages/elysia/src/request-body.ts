import { memoiseLast } from "./memoise-last.ts";
import { Refusal } from "./problem.ts";

/** A byte order mark is a part of the text: JSON refuses it, data keeps it. */
const UTF8 = { fatal: true, ignoreBOM: true };
const decoder = new TextDecoder("utf-8", UTF8);

const parseMediaType = memoiseLast((text) => {
  // Fetch joins two headers into one value: the last counts.
  const [type = "", ...parameters] = text
    .toLowerCase()
    .slice(text.lastIndexOf(",") + 1)
    .split(";");
  const charset = parameters.map((each) => each.trim()).find((each) => each.startsWith("charset="));
  if (charset !== undefined && !/^charset="?(utf-?8|us-ascii)"?$/.test(charset)) {
    throw new Refusal(415, `${charset} is not understood; send UTF-8`);
  }
  return type.trim();
});

/** @throws Refusal 415 for a charset or a coding that is not understood, whose bytes would be taken for others */
export function mediaType(request: Request): string {
  const type = parseMediaType(request.headers.get("content-type") ?? "");
  const coding = request.headers.get("content-encoding");
  if (coding !== null && coding.toLowerCase() !== "identity") {
    throw new Refusal(415, `content-encoding ${coding} is not understood; send the body as it is`);
  }
  return type;
}

/**
 * A request's body as text.
 *
 * @throws Refusal 413 over the limit, without having read much more than that; 400 when it is not UTF-8
 */
export async function readText(request: Request, maxBytes: number): Promise<string> {
  const length = request.headers.get("content-length");
  if (Number(length) > maxBytes) throw tooLarge(maxBytes);
  try {
    if (length === null) return await readUnbounded(request, maxBytes);
    return decoder.decode(await request.arrayBuffer());
  } catch (error) {
    if (error instanceof TypeError) throw new Refusal(400, "the body is not UTF-8");
    if ((error as Error).name === "AbortError") throw new Refusal(400, "the body was cut off");
    throw error;
  }
}

function tooLarge(maxBytes: number): Refusal {
  return new Refusal(
    413,
    `the body is over the limit of ${maxBytes} bytes; send the events in several requests`,
  );
}

/** Without a length nothing bounds the body but us. */
async function readUnbounded(request: Request, maxBytes: number): Promise<string> {
  const chunkDecoder = new TextDecoder("utf-8", UTF8);
  let text = "";
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    text += chunkDecoder.decode(chunk, { stream: true });
  }
  return text + chunkDecoder.decode();
}
