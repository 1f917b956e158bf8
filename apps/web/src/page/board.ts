import { find } from "./element.ts";
import { post } from "./post.ts";

/** The form that publishes to the topic `default`. What it sends comes back as an event, here and in every tab. */
export function setUpBoard(root: HTMLElement): void {
  const form = find(HTMLFormElement, "form", root);
  const input = find(HTMLInputElement, "#message", root);
  const send = find(HTMLButtonElement, "#send", root);
  const sent = find(HTMLElement, "#message-sent", root);
  const problem = find(HTMLElement, "#message-problem", root);

  const clearProblem = () => {
    problem.textContent = "";
    input.removeAttribute("aria-invalid");
  };
  const submit = async () => {
    const message = input.value;
    if (send.ariaDisabled === "true" || message === "") return;
    // Not `disabled`: that would drop the keyboard focus out of the form.
    send.ariaDisabled = "true";
    clearProblem();
    sent.textContent = "Sending…";
    const result = await post<{ id: string }>("/send-event", { message });
    send.ariaDisabled = "false";
    sent.textContent = result.ok ? `Kept as ${result.value.id}` : "";
    problem.textContent = result.ok ? "" : `Not sent. ${result.problem}`;
    if (!result.ok) input.setAttribute("aria-invalid", "true");
    // The reader may have gone on typing while the answer was on its way.
    if (result.ok && input.value === message) input.value = "";
  };

  input.addEventListener("input", clearProblem);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void submit();
  });
  setUpCurl(root);
}

function setUpCurl(root: HTMLElement): void {
  const line = find(HTMLElement, "#curl", root);
  const copy = find(HTMLButtonElement, "#copy-curl", root);
  line.textContent = `curl ${location.origin}/send-event -H 'content-type: application/json' -d '{"message":"Hello from a terminal"}'`;
  const copyLine = async () => {
    try {
      await navigator.clipboard.writeText(line.textContent ?? "");
      copy.textContent = "Copied";
    } catch {
      // No clipboard outside secure contexts: leave the line selected, one keystroke from copied.
      getSelection()?.selectAllChildren(line);
      copy.textContent = "Selected";
    }
    setTimeout(() => (copy.textContent = "Copy"), 2_000);
  };
  copy.addEventListener("click", () => void copyLine());
}
