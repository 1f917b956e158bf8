import { subscribe } from "@sse/client";
import { onScopeDispose, shallowRef, type ShallowRef } from "vue";
import { EVENTS } from "../server.ts";

/** The last hundred of a topic's events. */
export function useTopic<Data>(topic: string): Readonly<ShallowRef<readonly Data[]>> {
  const events = shallowRef<readonly Data[]>([]);
  const subscription = subscribe<Record<string, Data>>(EVENTS, { topics: [topic], replay: 20 });
  const read = async (): Promise<void> => {
    for await (const { data } of subscription) events.value = [...events.value, data].slice(-100);
  };
  read().catch(console.error);
  onScopeDispose(() => subscription.close());
  return events;
}
