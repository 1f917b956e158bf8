/**
 * Where the server is: `?server=` of the page's URL, or the server's own default. It has to be started with
 * `--cors-origins` of this page.
 */
export const SERVER = new URLSearchParams(location.search).get("server") ?? "http://localhost:3000";

/** The URL of its streams. */
export const EVENTS = `${SERVER}/events`;
