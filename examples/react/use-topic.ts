import { subscribe } from "@sse/client";
import { useEffect, useState } from "react";
import { EVENTS } from "../server.ts";

/** The last hundred of a topic's events. */
export function useTopic<Data>(topic: string): readonly Data[] {
  const [events, setEvents] = useState<readonly Data[]>([]);
  useEffect(() => {
    const subscription = subscribe<Record<string, Data>>(EVENTS, { topics: [topic], replay: 20 });
    const read = async (): Promise<void> => {
      setEvents([]);
      for await (const { data } of subscription) setEvents((all) => [...all, data].slice(-100));
    };
    read().catch(console.error);
    return () => subscription.close();
  }, [topic]);
  return events;
}
