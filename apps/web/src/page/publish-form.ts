import { find } from "./element.ts";
import { formField } from "./form-field.ts";
import { post, type PostResult, postText } from "./post.ts";

/** The form that publishes anything anywhere, and shows what the server says to it. */
export function setUpPublishForm(form: HTMLFormElement): void {
  const problem = find(HTMLElement, "#publish-problem", form);
  const kept = find(HTMLElement, "#publish-kept", form);
  const button = find(HTMLButtonElement, "button[type=submit]", form);
  const submit = async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    problem.textContent = "";
    kept.textContent = "Publishing…";
    const result = await publishForm(new FormData(form));
    button.ariaDisabled = "false";
    kept.textContent = result.ok ? `Kept as ${result.value.id}` : "";
    problem.textContent = result.ok ? "" : `Not published. ${result.problem}`;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void submit();
  });
  // As in any editor of messages: the data itself may have lines.
  find(HTMLTextAreaElement, "textarea", form).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

async function publishForm(form: FormData): Promise<PostResult<{ id: string }>> {
  const field = (name: string) => formField(form, name);
  const named = ["topic", "event", "key", "id"]
    .map((name): [string, string] => [name, field(name)])
    .filter(([, value]) => value !== "");
  if (field("format") === "text") return postText(`/publish?${new URLSearchParams(named)}`, field("data"));
  try {
    const data: unknown = JSON.parse(field("data"));
    return await post("/publish", { ...Object.fromEntries(named), data });
  } catch (error) {
    return {
      ok: false,
      problem: `The data is no JSON: ${(error as Error).message}. Send it as text, or mend it.`,
    };
  }
}
