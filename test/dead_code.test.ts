/**
 * What src exports is used: an export that no other file imports is not an export, and one that only tests import is
 * dead. What the package exports (src/index.ts, src/browser.ts) is its users' and is not looked at here.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, it } from "vitest";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const ENTRIES = new Set(["src/index.ts", "src/browser.ts"]);
/** Started by name, by what is not TypeScript. */
const STARTED: ReadonlySet<string> = new Set(["src/base/require_node.ts", "src/cli/main.ts"]);

interface Parsed {
  /** Relative to the project's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly exported: readonly string[];
  /** File, and the name that is imported of it; "*" where it is the whole module. */
  readonly imports: readonly (readonly [string, string])[];
  /** Files that are named by `new URL(…, import.meta.url)`. */
  readonly named: readonly string[];
}

const files = [
  parse("vitest.config.ts"),
  ...["src", "test", "bench", "scripts", "bin"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(ts|js|mjs)$/.test(name) && !name.endsWith(".d.ts"))
      .map((name) => parse(`${folder}/${name.replaceAll("\\", "/")}`)),
  ),
];
const sources = files.filter(({ path }) => path.startsWith("src/"));

/** The source file that a relative specifier means; of the built package, the one it was built from. */
function target(from: string, specifier: string): string {
  const path = relative(root, join(root, dirname(from), specifier)).replaceAll("\\", "/");
  const own = path.replace(/^dist\//, "src/");
  return own.startsWith("src/") ? own.replace(/\.js$/, ".ts") : own;
}

function parse(path: string): Parsed {
  const text = readFileSync(join(root, path), "utf8");
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const exported: string[] = [];
  const imports: (readonly [string, string])[] = [];
  const named: string[] = [];
  const note = (specifier: ts.Node | undefined, names: readonly string[]): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier) || !specifier.text.startsWith(".")) return;
    for (const name of names) imports.push([target(path, specifier.text), name]);
  };
  const namesOf = (elements: readonly (ts.ImportSpecifier | ts.ExportSpecifier)[]): string[] =>
    elements.map(({ propertyName, name }) => (propertyName ?? name).text);
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const bindings = node.importClause?.namedBindings;
      note(node.moduleSpecifier, bindings && ts.isNamedImports(bindings) ? namesOf(bindings.elements) : ["*"]);
    } else if (ts.isExportDeclaration(node)) {
      const clause = node.exportClause;
      note(node.moduleSpecifier, clause && ts.isNamedExports(clause) ? namesOf(clause.elements) : ["*"]);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      note(node.arguments[0], ["*"]);
    } else if (ts.isImportTypeNode(node)) {
      if (ts.isLiteralTypeNode(node.argument)) note(node.argument.literal, [node.qualifier?.getText() ?? "*"]);
    } else if (ts.isNewExpression(node) && node.expression.getText() === "URL") {
      const given = node.arguments?.[0];
      if (given && ts.isStringLiteralLike(given) && given.text.startsWith(".")) named.push(target(path, given.text));
    }
    if (ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) {
      if (ts.isVariableStatement(node)) {
        for (const { name } of node.declarationList.declarations) if (ts.isIdentifier(name)) exported.push(name.text);
      } else if ("name" in node && node.name !== undefined) exported.push((node.name as ts.Identifier).text);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return { path, text, exported, imports, named };
}

const isTest = ({ path }: Parsed): boolean => path.startsWith("test/");

/** `path → name` of everything that these files import. */
function importedBy(users: readonly Parsed[]): ReadonlySet<string> {
  return new Set(
    users.flatMap(({ path: user, imports, named }) => [
      ...imports.map(([path, name]) => `${path} → ${name}`),
      // A program of the benchmarks may look first whether a module was built.
      ...(user.startsWith("src/") ? [] : named.map((path) => `${path} → *`)),
    ]),
  );
}

it("no export that nobody imports", () => {
  const imported = importedBy(files);
  const unused = sources
    .filter(({ path }) => !ENTRIES.has(path) && !STARTED.has(path) && !imported.has(`${path} → *`))
    .flatMap(({ path, exported }) => exported.map((name) => `${path} → ${name}`))
    .filter((name) => !imported.has(name));
  expect(unused).toEqual([]);
});

it("no export that tests alone use", () => {
  const imported = importedBy(files.filter((file) => !isTest(file)));
  const dead = sources
    .filter(({ path }) => !ENTRIES.has(path) && !STARTED.has(path) && !imported.has(`${path} → *`))
    .flatMap(({ path, text, exported }) =>
      exported
        .filter((name) => !imported.has(`${path} → ${name}`))
        // Used by its own file: a test looks at a part of it.
        .filter((name) => (text.match(new RegExp(`\\b${name}\\b`, "g")) ?? []).length < 2)
        .map((name) => `${path} → ${name}`),
    );
  expect(dead).toEqual([]);
});

it("no source file that nobody imports or starts", () => {
  const known = new Set(files.flatMap(({ imports, named }) => [...imports.map(([path]) => path), ...named]));
  expect(sources.map(({ path }) => path).filter((path) => !known.has(path) && !ENTRIES.has(path) && !STARTED.has(path)))
    // A folder's threads are named by their starter.
    .toEqual([]);
});

it("no helper of the tests that no test uses", () => {
  const known = new Set(files.flatMap(({ imports, named }) => [...imports.map(([path]) => path), ...named]));
  const asSource = (path: string): string => path.replace(/\.js$/, ".ts");
  const text = files.map((file) => file.text).join("\n");
  const unused = files
    .filter(({ path }) => path.startsWith("test/helpers/"))
    .map(({ path }) => path)
    .filter((path) => ![...known].some((name) => asSource(name) === asSource(path)))
    // Programs of the tests are named in a text.
    .filter((path) => !text.includes(path.slice("test/helpers/".length)));
  expect(unused).toEqual([]);
});
