import type { Hub, Message } from "@sse/hub";
import { requireKnownOrigin } from "./origin.ts";
import { Refusal } from "./problem.ts";
import { readQuery } from "./query.ts";

type Publication = Message & { topic: string };

const FIELDS = new Set(["topic", "data", "event", "key", "id", "end"]);
const TEXT_PARAMETERS = ["topic", "event", "key", "id"];
const JSON_HEADERS = { "content-type": "application/json" };

/** The one type of a `Content-Type`, without its parameters. */
function mediaType(request: Request): string {
  return (request.headers.get("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
}

/**
 * A request's body as text.
 *
 * @throws Refusal 413 over the limit, without having read much more than that; 400 when it is not UTF-8
 */
export async function readText(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = (): Refusal =>
    new Refusal(413, `the body is over the limit of ${maxBytes} bytes; send the events in several requests`);
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    // Without a length nothing bounds the body but us.
    if (request.headers.has("content-length")) return decoder.decode(await request.arrayBuffer());
    let text = "";
    let bytes = 0;
    for await (const chunk of request.body ?? []) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw tooLarge();
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw new Refusal(400, "the body is not UTF-8");
    throw error;
  }
}

/** @throws Refusal 400 saying where the JSON breaks off */
export function parseJson(text: string, where = "the body"): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal(400, `${where} is not JSON: ${(error as Error).message}`);
  }
}

/** @throws Refusal 400 when it is no JSON object, or has a field that is not in the list */
export function requireFields(
  value: unknown,
  fields: ReadonlySet<string>,
  where: string,
): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refusal(400, `${where} must be a JSON object with ${[...fields].join(", ")}`);
  }
  for (const field in value) {
    if (fields.has(field)) continue;
    throw new Refusal(
      400,
      `${where} has an unknown field ${JSON.stringify(field)}; known are ${[...fields].join(", ")}`,
    );
  }
  return value as Record<string, unknown>;
}

function publicationOf(value: unknown, where: string): Publication {
  const fields = requireFields(value, FIELDS, where);
  if (!("topic" in fields)) throw new Refusal(400, `${where} has no topic`);
  return fields as unknown as Publication; // the hub checks the fields' values
}

function textPublication(request: Request, data: string): Publication {
  const query = readQuery(request, TEXT_PARAMETERS);
  if (!query.has("topic"))
    throw new Refusal(400, "a text body needs its topic in the query: /publish?topic=NAME");
  return { ...Object.fromEntries(query), data } as unknown as Publication;
}

/** `POST /publish`: one event, or all or none of several; answered once they are kept. */
export async function publish(
  hub: Hub,
  request: Request,
  { maxBodyBytes, origins }: { maxBodyBytes: number; origins: readonly string[] },
): Promise<Response> {
  requireKnownOrigin(request, origins);
  const type = mediaType(request);
  if (type !== "application/json" && type !== "application/x-ndjson" && type !== "text/plain") {
    const given = type === "" ? "there is no content-type" : `${type} is not understood`;
    throw new Refusal(
      415,
      `${given}; send application/json, application/x-ndjson, or text/plain with ?topic=NAME`,
    );
  }
  const text = await readText(request, maxBodyBytes);
  if (type === "application/x-ndjson") {
    const events: Publication[] = [];
    for (const [index, line] of text.split("\n").entries()) {
      if (line.trim() !== "")
        events.push(publicationOf(parseJson(line, `line ${index + 1}`), `line ${index + 1}`));
    }
    return answer({ ids: await hub.publishMany(events) });
  }
  if (type === "application/json") {
    const body = parseJson(text);
    if (Array.isArray(body)) {
      return answer({
        ids: await hub.publishMany(body.map((event, at) => publicationOf(event, `event ${at}`))),
      });
    }
    const event = publicationOf(body, "the event");
    return answer({ id: await hub.publish(event.topic, event) });
  }
  const event = textPublication(request, text);
  return answer({ id: await hub.publish(event.topic, event) });
}

function answer(body: { id: string } | { ids: string[] }): Response {
  return new Response(`${JSON.stringify(body)}\n`, { headers: JSON_HEADERS });
}
