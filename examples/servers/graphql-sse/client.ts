import { type Client, createClient } from "graphql-sse";

export function connect(url: string, token: string): Client {
  return createClient({ url, headers: { authorization: `Bearer ${token}` } });
}
