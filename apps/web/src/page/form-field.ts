/** What a field of a form says; "" when it is not there, or disabled. */
export function formField(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}
