/** The cursor in a query; "" for none. An empty one is of a client that has seen no event yet, and no cursor. */
export function queryCursor(query: URLSearchParams): string {
  return query.getAll("lastEventId").findLast((id) => id !== "") ?? "";
}

/** As {@link queryCursor}, in the header, where Fetch joins two into one value. */
export function headerCursor({ headers }: Request): string {
  const given = headers.get("last-event-id");
  if (given === null || !given.includes(",")) return given ?? "";
  return (
    given
      .split(",")
      .map((id) => id.trim())
      .findLast((id) => id !== "") ?? ""
  );
}
