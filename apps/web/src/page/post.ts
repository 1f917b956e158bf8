import { authorization } from "./token.ts";

const TIMEOUT_MS = 10_000;

/** The server's answer to a POST, or the words to show the reader in place of one. */
export type PostResult<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

/** POSTs JSON. Never throws: whatever goes wrong becomes a sentence that says what to do. */
export function post<T>(url: string, body?: unknown): Promise<PostResult<T>> {
  return body === undefined
    ? send(url, {})
    : send(url, { type: "application/json", body: JSON.stringify(body) });
}

/** POSTs a text as it is. Never throws, as {@link post}. */
export function postText<T>(url: string, body: string): Promise<PostResult<T>> {
  return send(url, { type: "text/plain", body });
}

async function send<T>(
  url: string,
  { type, body }: { type?: string; body?: string },
): Promise<PostResult<T>> {
  try {
    const response = await fetch(url, {
      method: "POST",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { ...authorization(), ...(type === undefined ? {} : { "content-type": type }) },
      ...(body === undefined ? {} : { body }),
    });
    if (response.ok)
      return { ok: true, value: (response.status === 204 ? null : await response.json()) as T };
    return { ok: false, problem: await problemOf(response) };
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    return {
      ok: false,
      problem: late
        ? `No answer within ${TIMEOUT_MS / 1000} seconds. Try again.`
        : "The server cannot be reached. Try again in a moment.",
    };
  }
}

/** The `detail` of an RFC 9457 problem, or what the status line says. */
export async function problemOf(response: Response): Promise<string> {
  const problem = (await response.json().catch(() => null)) as { title?: unknown; detail?: unknown } | null;
  const [title, detail] = [problem?.title, problem?.detail];
  const name = typeof title === "string" ? title : response.statusText || "The server refused";
  return typeof detail === "string" ? `${response.status} ${name}: ${detail}` : `${response.status} ${name}`;
}
