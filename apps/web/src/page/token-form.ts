import { find } from "./element.ts";
import { setToken } from "./token.ts";

/** The form for a token, which stands there once the server has asked for one. */
export function setUpTokenForm(onToken: () => void): void {
  const form = find(HTMLFormElement, "#token-form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    setToken(find(HTMLInputElement, "#token").value.trim());
    onToken();
  });
}
