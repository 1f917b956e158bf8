import { type Connect, connect } from "../connection.ts";
import { Member } from "./member.ts";
import { browserPlatform } from "./platform.ts";

/**
 * One connection for all tabs and frames of an origin that ask for the same URL with the same `withCredentials`,
 * method, body and headers: `new EventSource(url, { shared })`, `subscribe(url, { shared })`. The tab that holds it
 * hands it over when it closes, crashes, sleeps or hangs, and no event is lost or comes twice, provided that each
 * event has an id of its own. A tab that comes later begins at the present; with a `replay` in the URL, at the
 * beginning. Where the browser has no Web Locks, each has a connection of its own.
 *
 * What a headers' or body's function answers is not compared: the tabs are taken to be the same user's. Use {@link
 * sharedAs} where they may not be.
 */
export const shared: Connect = sharedAs("");

/** As {@link shared}, among those only who give the same identity: a user's id, say. */
export function sharedAs(identity: string): Connect {
  return (url, options, sink) => {
    const platform = browserPlatform();
    if (platform === null) return connect(url, options, sink);
    const { withCredentials = false, method, body, headers } = options;
    const key = JSON.stringify([url, withCredentials, method, body, headers, identity]);
    return new Member(`sse ${key}`, url, options, sink, platform);
  };
}
