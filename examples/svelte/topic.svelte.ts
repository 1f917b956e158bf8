import { subscribe } from "@sse/client";
import { EVENTS } from "../server.ts";

/** The last hundred of a topic's events, as long as the component lives. */
export function topic<Data>(name: string): { readonly events: readonly Data[] } {
  let events = $state.raw<readonly Data[]>([]);
  $effect(() => {
    const subscription = subscribe<Record<string, Data>>(EVENTS, { topics: [name], replay: 20 });
    const read = async (): Promise<void> => {
      for await (const { data } of subscription) events = [...events, data].slice(-100);
    };
    read().catch(console.error);
    return () => subscription.close();
  });
  return {
    get events() {
      return events;
    },
  };
}
