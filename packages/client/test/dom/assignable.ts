import { EventSource } from "../../src/index.ts";

/* Checked with the types of a page: what wants the page's own EventSource takes ours. */

const standard: globalThis.EventSource = new EventSource("/events");
const constructor: typeof globalThis.EventSource = EventSource;
standard.onmessage = ({ data }) => void data;
export { constructor, standard };
