/** The token that the reader has given this tab; gone with the tab, and never written anywhere. "" for none. */
let token = "";

export function setToken(given: string): void {
  token = given;
}

/** The header that shows the token, if there is one. */
export function authorization(): Record<string, string> {
  return token === "" ? {} : { authorization: `Bearer ${token}` };
}
