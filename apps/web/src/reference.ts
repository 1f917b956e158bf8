import { documentPage } from "./document-page.ts";

/** The part of an OpenAPI document that the page shows. */
export interface OpenapiDocument {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly description?: string;
  }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

interface Schema {
  readonly description?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
}

/**
 * An OpenAPI document for people to read, with the head of the page. Made here, as the usual viewers need a network that
 * they are loaded from, and styles and scripts that the page's content security policy refuses.
 *
 * @param page the page's HTML
 * @param path where the reference is
 */
export function buildReference(page: string, path: string, { info, paths }: OpenapiDocument): string {
  const operations = Object.entries(paths).flatMap(([at, methods]) =>
    Object.entries(methods).map(([method, each]) => operation(`${method.toUpperCase()} ${at}`, each)),
  );
  const { title, version, description = "" } = info;
  const head = [
    `# ${title} ${version}`,
    description,
    "The same for tools: [openapi/json](/openapi/json), OpenAPI 3.1.",
  ];
  return documentPage(page, path, "HTTP", [...head, ...operations].join("\n\n"));
}

function operation(name: string, each: Operation): string {
  const { summary = "", description = "", parameters = [], requestBody, responses } = each;
  const blocks = [`## \`${name}\``, `${summary}.`, description];
  if (parameters.length > 0) {
    const lines = parameters.map((of) => `- \`${of.name}\` (${of.in}): ${of.description ?? ""}`);
    blocks.push("### Parameters", lines.join("\n"));
  }
  if (requestBody !== undefined) {
    const lines = Object.entries(requestBody.content).map(([type, { schema = {} }]) =>
      [`- \`${type}\` ${schema.description ?? ""}`, ...fields(schema, "  ")].join("\n"),
    );
    blocks.push("### Body", lines.join("\n"));
  }
  blocks.push("### Answers");
  const { 200: success, ...others } = responses;
  if (success !== undefined) {
    const { description: told, content = {} } = success;
    const lines = Object.values(content).flatMap(({ schema = {} }) => fields(schema));
    blocks.push(`**200** ${typesOf(content)}`, told, lines.join("\n"));
  }
  const lines = Object.entries(others).map(
    ([status, { description: told, content = {} }]) => `- **${status}** ${typesOf(content)} ${told}`,
  );
  blocks.push(lines.join("\n"));
  return blocks.join("\n\n");
}

const typesOf = (content: Content): string =>
  Object.keys(content)
    .map((type) => `\`${type}\``)
    .join(", ");

/** A line for each field, of the first of several forms that has any. */
function fields(schema: Schema, indent = ""): string[] {
  const { properties, required = [], items, oneOf } = schema;
  const inner = oneOf ?? (items === undefined ? [] : [items]);
  if (properties === undefined) return inner.length > 0 ? fields(inner[0]!, indent) : [];
  return Object.entries(properties).map(
    ([name, { description = "" }]) =>
      `${indent}- \`${name}\`${required.includes(name) ? "" : " (optional)"} ${description}`,
  );
}
