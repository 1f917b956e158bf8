import type { Hub } from "@sse/hub";
import { jsonAnswer } from "./answers.ts";
import { type Access, requireAdmin } from "./auth/access.ts";
import { fieldNames, readJson, requireFields } from "./json.ts";
import { requireKnownOrigin } from "./origin.ts";
import { Refusal } from "./problem.ts";
import type { PublishOptions } from "./publish.ts";
import { receive } from "./receive.ts";

const FIELDS = fieldNames("topics", "within");
/** More selectors than anybody has, and few enough to be looked at in one go. */
const MAX_BYTES = 64 * 1024;

/**
 * `POST /drain`: tells streams to come back, and closes them in parts; see `drain` of the hub. Answered at once, with how
 * many they are.
 *
 * @throws Refusal 400, 408 or 413 for a wrong body, 401 or 403 without the right to, 403 for a page of another origin.
 *   HubError `bad-selector` or `bad-request`
 */
export async function drain(
  hub: Hub,
  request: Request,
  { authorize, bodies, origins }: PublishOptions,
): Promise<Response> {
  const admit = (access: Access | undefined): void => {
    if (access !== undefined) requireAdmin(access);
    requireKnownOrigin(request, origins);
  };
  const maxBytes = Math.min(MAX_BYTES, bodies.maxBodyBytes);
  const body = await receive(request, { bodies, authorize, admit, maxBytes });
  try {
    const { topics, within } =
      body.text === "" ? {} : requireFields(await readJson(body.text), FIELDS, "the body");
    if (topics !== undefined && !isTexts(topics))
      throw new Refusal(400, 'topics must be a list of selectors, as ["orders/*"]');
    if (within !== undefined && typeof within !== "number")
      throw new Refusal(400, "within must be a number of milliseconds");
    return jsonAnswer({
      streams: hub.drain({ ...(topics && { topics }), ...(within !== undefined && { within }) }),
    });
  } finally {
    body.release();
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
