import { type Client, createClient } from "graphql-sse";

export function connect(url: string, token: string): Client {
  return createClient({
    url,
    headers: { authorization: `Bearer ${token}` },
    // It would retry with the lastEventId of the first attempt. Subscribe again with that of the last event.
    retryAttempts: 0,
  });
}
