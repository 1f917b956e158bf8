import type { Envelope, SelectedBy } from "@sse/protocol";

/**
 * Whether a topic or a pattern selects the topic of an event, as for the server: `*` is one segment, a final `**` one or more. The
 * type of the event's data follows.
 */
export function isFrom<Given extends Envelope, const Selector extends string>(
  event: Given,
  selector: Selector,
): event is SelectedBy<Given, Selector> {
  const wanted = selector.split("/");
  const segments = event.topic.split("/");
  const isOpen = wanted.at(-1) === "**" && wanted.pop() !== undefined;
  const fits = isOpen ? segments.length > wanted.length : segments.length === wanted.length;
  return fits && wanted.every((word, at) => word === "*" || word === segments[at]);
}
