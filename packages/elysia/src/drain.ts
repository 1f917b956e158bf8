import type { Hub } from "@sse/hub";
import { jsonAnswer } from "./answers.ts";
import { fieldNames, parseJson, requireFields } from "./json.ts";
import { requireKnownOrigin } from "./origin.ts";
import { Refusal } from "./problem.ts";
import { readText } from "./request-body.ts";

const FIELDS = fieldNames("topics", "within");

/**
 * `POST /drain`: tells streams to come back, and closes them in parts; see `drain` of the hub. Answered at once, with how
 * many they are.
 *
 * @throws Refusal 400 or 413 for a wrong body, 403 for a page of another origin. HubError `bad-selector` or `bad-request`
 */
export async function drain(
  hub: Hub,
  request: Request,
  { maxBodyBytes, origins }: { maxBodyBytes: number; origins: readonly string[] },
): Promise<Response> {
  requireKnownOrigin(request, origins);
  const text = await readText(request, maxBodyBytes);
  const { topics, within } = text === "" ? {} : requireFields(parseJson(text), FIELDS, "the body");
  if (topics !== undefined && !isTexts(topics))
    throw new Refusal(400, 'topics must be a list of selectors, as ["orders/*"]');
  if (within !== undefined && typeof within !== "number")
    throw new Refusal(400, "within must be a number of milliseconds");
  return jsonAnswer({
    streams: hub.drain({ ...(topics && { topics }), ...(within !== undefined && { within }) }),
  });
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
