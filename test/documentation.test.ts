import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import ts from "typescript-api";
import { packAll, PACKED } from "../packages/pack.ts";

/* Whatever a package exports, an editor can tell something of: read from the declarations that are published. */

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sse-documentation-"));
  const tarballs = await packAll(folder);
  for (const name of PACKED) {
    const archive = new Bun.Archive(await Bun.file(tarballs[`@sse/${name}`]!).bytes());
    await archive.extract(join(folder, name));
  }
});
afterAll(() => rm(folder, { recursive: true }));

const files = new Map<string, ts.SourceFile>();

function parse(path: string): ts.SourceFile {
  const known =
    files.get(path) ?? ts.createSourceFile(path, ts.sys.readFile(path)!, ts.ScriptTarget.Latest, true);
  files.set(path, known);
  return known;
}

/** What is exported from a file under these names, or under all, with what it is declared as; exports of others followed. */
function exported(path: string, names?: ReadonlySet<string>): [name: string, declarations: ts.Node[]][] {
  const found = new Map<string, ts.Node[]>();
  const add = (name: string, nodes: ts.Node[]): void => {
    if (names === undefined || names.has(name)) found.set(name, [...(found.get(name) ?? []), ...nodes]);
  };
  const statements = parse(path).statements;
  for (const statement of statements) {
    if (ts.isExportDeclaration(statement)) {
      const source = statement.moduleSpecifier as ts.StringLiteral | undefined;
      if (source === undefined || !source.text.startsWith(".")) continue;
      const target = join(dirname(path), source.text.replace(/\.ts$/, ".d.ts"));
      const { exportClause } = statement;
      if (exportClause === undefined || !ts.isNamedExports(exportClause))
        throw new Error(`${path} exports all of a file`);
      for (const { name, propertyName } of exportClause.elements) {
        const inner = exported(target, new Set([(propertyName ?? name).text]));
        add(
          name.text,
          inner.flatMap(([, nodes]) => nodes),
        );
      }
    } else if (
      ts.canHaveModifiers(statement) &&
      ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
    ) {
      if (ts.isVariableStatement(statement)) {
        for (const { name } of statement.declarationList.declarations) add(name.getText(), [statement]);
      } else add((statement as ts.DeclarationStatement).name!.getText(), [statement]);
    }
  }
  return [...found];
}

/** A doc comment that says something: more than tags alone. */
function isDocumented(node: ts.Node): boolean {
  return ts
    .getJSDocCommentsAndTags(node)
    .some((each) => ts.isJSDoc(each) && (each.comment !== undefined || each.tags !== undefined));
}

/** What a class or an interface shows; also when only an alias of it is exported. */
function members(node: ts.Node): readonly ts.NamedDeclaration[] {
  if (ts.isTypeAliasDeclaration(node)) {
    const text = node.type.getText();
    const classes = node.getSourceFile().statements.filter((each) => ts.isClassDeclaration(each));
    return classes.filter(({ name }) => new RegExp(`\\b${name!.text}\\b`).test(text)).flatMap(members);
  }
  if (!ts.isClassDeclaration(node) && !ts.isInterfaceDeclaration(node)) return [];
  const told = inherited(node);
  return [...node.members].filter((member) => {
    const { name } = member;
    if (name === undefined || ts.isPrivateIdentifier(name) || ts.isComputedPropertyName(name)) return false;
    const modifiers = (ts.canHaveModifiers(member) && ts.getModifiers(member)) || [];
    return !modifiers.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword) && !told.has(name.getText());
  });
}

/** What editors tell of a member where it comes from: an interface of ours, or `Error`. */
function inherited(node: ts.ClassDeclaration | ts.InterfaceDeclaration): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { expression } of (node.heritageClauses ?? []).flatMap(({ types }) => types.slice())) {
    const parent = expression.getText();
    if (parent === "Error") names.add("name");
    const sources = [node.getSourceFile().fileName];
    for (const statement of node.getSourceFile().statements) {
      if (!ts.isImportDeclaration(statement) || !new RegExp(`\\b${parent}\\b`).test(statement.getText()))
        continue;
      const { text } = statement.moduleSpecifier as ts.StringLiteral;
      sources.push(join(dirname(node.getSourceFile().fileName), text.replace(/\.ts$/, ".d.ts")));
    }
    const parents = sources.flatMap((path) => exported(path, new Set([parent])));
    const found = parents.flatMap(([, nodes]) => nodes.flatMap(members)).filter(isDocumented);
    for (const each of found) names.add(each.name!.getText());
  }
  return names;
}

test.each(PACKED)("every public symbol of the package %s has a doc comment", async (name) => {
  const place = join(folder, name, "package");
  const { exports } = (await Bun.file(join(place, "package.json")).json()) as {
    exports: Record<string, { types: string }>;
  };
  const missing = new Set<string>();
  const fileOf = (node: ts.Node): string => relative(folder, node.getSourceFile().fileName);
  let symbols = 0;
  for (const { types } of Object.values(exports)) {
    for (const [symbol, nodes] of exported(join(place, types))) {
      symbols++;
      expect(`${symbol} ${nodes.length > 0}`).toBe(`${symbol} true`);
      if (!nodes.some(isDocumented)) missing.add(`${fileOf(nodes[0]!)}: ${symbol}`);
      const shown = nodes.flatMap(members);
      for (const { name: member } of shown) {
        const overloads = shown.filter((each) => each.name!.getText() === member!.getText());
        if (!overloads.some(isDocumented)) missing.add(`${fileOf(member!)}: ${symbol}.${member!.getText()}`);
      }
    }
  }
  expect(symbols).toBeGreaterThan(5);
  expect([...missing]).toEqual([]);
});
