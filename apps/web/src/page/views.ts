/** Shows the view that the URL's fragment names, the first when it names none. */
export function setUpViews(onShown: (name: string) => void): void {
  const views = [...document.querySelectorAll<HTMLElement>("[data-view]")];
  const links = [...document.querySelectorAll<HTMLAnchorElement>("nav a[data-to]")];
  const show = (isMove: boolean) => {
    const wanted = location.hash.slice(1);
    const shown = views.find((view) => view.dataset["view"] === wanted) ?? views[0]!;
    const name = shown.dataset["view"]!;
    for (const view of views) view.hidden = view !== shown;
    for (const link of links) {
      if (link.dataset["to"] === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${shown.ariaLabel} · Server-Sent Events`;
    if (isMove) {
      scrollTo(0, 0);
      // Where a keyboard or a screen reader goes on.
      shown.focus({ preventScroll: true });
    }
    onShown(name);
  };
  addEventListener("hashchange", () => show(true));
  show(false);
}
