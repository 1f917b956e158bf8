/** Of all answers: a browser must not take data, which publishers have chosen, for a page or a script. */
export const NOSNIFF = Object.freeze({ "x-content-type-options": "nosniff" });

/** 200, with a value as JSON. */
export function jsonAnswer(value: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  return Response.json(value, { headers: { ...NOSNIFF, ...headers } });
}

/** 204. */
export function emptyAnswer(headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(null, { status: 204, headers: { ...NOSNIFF, ...headers } });
}
