/** Finds an element that the page cannot work without, and makes sure of its kind. */
export function find<E extends Element>(
  kind: abstract new () => E,
  selector: string,
  within: ParentNode = document,
): E {
  const found = within.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`The page has no ${kind.name} for "${selector}".`);
  return found;
}

/** Makes an element with text. Text only ever goes in as `textContent`: events come from strangers. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  text = "",
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
