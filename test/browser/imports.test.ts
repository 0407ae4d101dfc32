/**
 * What a page that loads dist/browser.js would load: no module of Node's and no package, or it does not load at all.
 * And no global of Node's, or it fails later.
 */
import { readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, it } from "vitest";

const src = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "src");

/** Imports at run time that a page never gets to, each with the reason; they are not followed. */
const NEVER_RUN: Readonly<Record<string, string>> = {
  "codec/open_encoder.ts → codec/libzstd.ts": "for zstd with a level, which page_platform.ts refuses first",
  "cpu/cpu_backend.ts → cpu/worker_executor.ts": "for streams with threads; a page's is inline",
  "sinks/make_sink.ts → native/binding.ts": "for fileSink with directIo; fileSink refuses to be made without Node",
  "sinks/make_sink.ts → sinks/direct_file.ts": "the same",
  "sinks/make_sink.ts → s3/sdk_api.ts": "for s3Sink, which pages do not have",
  "sinks/make_sink.ts → sinks/s3.ts": "the same",
  "sinks/make_sink.ts → sinks/file.ts": "for fileSink, which refuses to be made without Node",
};

/** Imports of a URL that is only known at run time. */
const CALLERS_OWN: Readonly<Record<string, string>> = {
  "sinks/make_sink.ts": "moduleSink: the page's own module",
};

/** Files that ask for `process`, and do without where there is none. */
const ASKS_FOR_PROCESS = [
  "base/channels.ts",
  "base/clock.ts",
  "base/folder_path.ts",
  "pipeline/exit_handshake.ts",
  "sinks/specs.ts",
];

interface Reached {
  /** Files under src/. */
  readonly files: ReadonlySet<string>;
  /** "file: specifier" of imports that lead out of src/. */
  readonly outside: readonly string[];
  readonly neverRun: ReadonlySet<string>;
  readonly callersOwn: ReadonlySet<string>;
  /** Files that name `process`, and "file: name" of the globals that only Node has. */
  readonly process: ReadonlySet<string>;
  readonly globals: ReadonlySet<string>;
}

function reach(entry: string, read: (path: string) => string): Reached {
  const files = new Set<string>();
  const outside: string[] = [];
  const [neverRun, callersOwn, process, globals] = Array.from({ length: 4 }, () => new Set<string>());
  const follow = (from: string, specifier: string, dynamic: boolean): void => {
    if (!specifier.startsWith(".")) {
      outside.push(`${from}: ${specifier}`);
      return;
    }
    const target = posix.normalize(posix.join(posix.dirname(from), specifier)).replace(/\.js$/, ".ts");
    const arrow = `${from} → ${target}`;
    if (dynamic && arrow in NEVER_RUN) neverRun.add(arrow);
    else visitFile(target);
  };
  const visitFile = (path: string): void => {
    if (files.has(path)) return;
    files.add(path);
    const visit = (node: ts.Node): void => {
      if (ts.isImportDeclaration(node)) {
        // What is not marked as a type as a whole stays in the output, if only for its effects (verbatimModuleSyntax).
        if (!node.importClause?.isTypeOnly) follow(path, (node.moduleSpecifier as ts.StringLiteral).text, false);
        return;
      }
      if (ts.isExportDeclaration(node)) {
        if (!node.isTypeOnly && node.moduleSpecifier) {
          follow(path, (node.moduleSpecifier as ts.StringLiteral).text, false);
        }
        return;
      }
      if (ts.isTypeNode(node)) return;
      if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
        const [specifier] = node.arguments;
        if (ts.isStringLiteralLike(specifier)) follow(path, specifier.text, true);
        else callersOwn.add(path);
      }
      if (ts.isIdentifier(node) && !isMember(node)) {
        if (node.text === "process") process.add(path);
        if (["Buffer", "global", "require", "setImmediate", "__dirname", "__filename"].includes(node.text)) {
          globals.add(`${path}: ${node.text}`);
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(path, read(path), ts.ScriptTarget.ES2022, true));
  };
  visitFile(entry);
  return { files, outside, neverRun, callersOwn, process, globals };
}

/** Whether an identifier is the name of a member, and no variable. */
function isMember(node: ts.Identifier): boolean {
  const { parent } = node;
  return (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent)) && parent.name === node;
}

const reached = reach("browser.ts", (path) => readFileSync(join(src, path), "utf8"));

it("leads from browser.ts to files of src only", () => {
  expect(reached.outside).toEqual([]);
  // And it went all the way.
  expect([...reached.files]).toEqual(
    expect.arrayContaining([
      "writer/array_writer.ts",
      "cpu/chunk_worker.ts",
      "sinks/memory.ts",
      "pipeline/delivery.ts",
    ]),
  );
});

it("has no exception that is not needed", () => {
  expect([...reached.neverRun].sort()).toEqual(Object.keys(NEVER_RUN).sort());
  expect([...reached.callersOwn]).toEqual(Object.keys(CALLERS_OWN));
  expect([...reached.process].sort()).toEqual(ASKS_FOR_PROCESS);
});

it("uses no global that only Node has, but for one that it looks for first", () => {
  expect([...reached.globals]).toEqual(["base/event_loop.ts: setImmediate"]);
});

it("finds what it looks for", () => {
  const files: Record<string, string> = {
    "browser.ts": `
      import type { A } from "node:a"; export type { B } from "node:b"; import { type C } from "node:c";
      export * from "./base/deep.js";`,
    "base/deep.ts": `
      const { process: p, x } = { process: 1, x: globalThis.process };
      export const late = () => import("./late.js"), own = (u: string) => import(u), out = () => import("pkg");`,
    "base/late.ts": `import "node:d"; Buffer.from(process.argv[2] as Buffer);`,
  };
  const found = reach("browser.ts", (path) => files[path]);
  expect([...found.outside].sort()).toEqual(["base/deep.ts: pkg", "base/late.ts: node:d", "browser.ts: node:c"]);
  expect([...found.callersOwn]).toEqual(["base/deep.ts"]);
  expect([...found.globals]).toEqual(["base/late.ts: Buffer"]);
  expect(found.process).toContain("base/late.ts");
});
