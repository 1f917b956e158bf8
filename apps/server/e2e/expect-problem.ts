import { expect } from "bun:test";

/** Checks that an answer is a problem (RFC 9457) of this status, whose detail contains a text. */
export async function expectProblem(response: Response, status: number, detail: string): Promise<void> {
  expect(response.status).toBe(status);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const body = (await response.json()) as { status: number; title: string; detail: string };
  expect(body).toMatchObject({ status, title: expect.any(String) });
  expect(body.detail).toContain(detail);
}
