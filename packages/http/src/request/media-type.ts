import { memoiseLast } from "./memoise-last.ts";
import { Refusal } from "../answers/problem.ts";

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
