import { type Client, createClient } from "graphql-sse";

export function connect(url: string, token: string): Client {
  return createClient({
    url,
    headers: { authorization: `Bearer ${token}` },
    // A retry would send the first lastEventId again. To resume, subscribe with the id of the last event.
    retryAttempts: 0,
  });
}
