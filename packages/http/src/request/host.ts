/** What ends the host of a URL, or comes before it: with it, the path would be another one than a proxy has let through. */
const NOT_IN_HOST = /[/?#@\\\s]/;

/** Whether the value of a `Host` header can stand in a URL as what it is (RFC 9110, 7.2). Some servers look at none of it. */
export function isHost(text: string): boolean {
  return !NOT_IN_HOST.test(text);
}
