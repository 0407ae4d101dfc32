import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";
import { expect, it } from "vitest";
import { isMillraceError, MillraceError, type MillraceErrorOf } from "../../../src/base/errors.js";

const src = new URL("../../../src/", import.meta.url);
const parse = (path: string): ts.SourceFile =>
  ts.createSourceFile(path, readFileSync(new URL(path, src), "utf8"), ts.ScriptTarget.ES2022, true);

/** Fields that ErrorContextByCode declares, by code. */
function declared(): Map<string, string[]> {
  const fields = new Map<string, string[]>();
  const named = (member: ts.TypeElement): string => member.name!.getText();
  for (const statement of parse("base/error_context.ts").statements) {
    if (!ts.isInterfaceDeclaration(statement)) continue;
    for (const member of statement.members) {
      const { type } = member as ts.PropertySignature;
      fields.set(named(member), (type as ts.TypeLiteralNode).members.map(named));
    }
  }
  return fields;
}

interface Thrown {
  readonly at: string;
  /** Undefined: not a constant. */
  readonly code: string | undefined;
  readonly keys: readonly string[];
}

/** Every `new MillraceError` of src, with the fields that its context surely has. */
function allThrown(): Thrown[] {
  const thrown: Thrown[] = [];
  const paths = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  for (const path of paths.map((name) => name.replaceAll("\\", "/"))) {
    const file = parse(path);
    const visit = (node: ts.Node): void => {
      if (ts.isNewExpression(node) && node.expression.getText() === "MillraceError") {
        const [code, , init] = node.arguments!;
        thrown.push({
          at: `${path}: ${code.getText()}`,
          code: ts.isStringLiteral(code) ? code.text : undefined,
          keys: keysOf(init, file),
        });
      }
      ts.forEachChild(node, visit);
    };
    visit(file);
  }
  return thrown;
}

function keysOf(init: ts.Expression | undefined, file: ts.SourceFile): string[] {
  if (init === undefined || !ts.isObjectLiteralExpression(init)) return [];
  const context = init.properties.find((property) => property.name?.getText() === "context");
  if (context === undefined || !ts.isPropertyAssignment(context)) return [];
  return fieldsOf(context.initializer, file);
}

/** Of an object literal; one that is spread counts where it is a literal of the same file. */
function fieldsOf(value: ts.Expression, file: ts.SourceFile): string[] {
  if (!ts.isObjectLiteralExpression(value)) return [];
  return value.properties.flatMap((property) => {
    if (!ts.isSpreadAssignment(property)) return [property.name!.getText()];
    const name = property.expression.getText();
    const found: string[] = [];
    const look = (node: ts.Node): void => {
      if (ts.isVariableDeclaration(node) && node.name.getText() === name && node.initializer !== undefined) {
        if (ts.isObjectLiteralExpression(node.initializer)) {
          // The last one before its use.
          if (node.pos < value.pos) found.splice(0, found.length, ...fieldsOf(node.initializer, file));
        }
      }
      ts.forEachChild(node, look);
    };
    look(file);
    return found;
  });
}

it("every error of a code has the fields that are declared for it", () => {
  const thrown = allThrown();
  for (const [code, fields] of declared()) {
    const those = thrown.filter((one) => one.code === code);
    expect(those.length, `${code} is thrown somewhere`).toBeGreaterThan(0);
    for (const { at, keys } of those) expect(keys, at).toEqual(expect.arrayContaining(fields));
  }
});

it("codes that are not constants are of the system and of S3, which declare nothing, or are passed on", () => {
  const open = allThrown().filter(({ code }) => code === undefined);
  expect(open.map(({ at }) => at).sort()).toMatchInlineSnapshot(`
    [
      "base/errors.ts: wire.code",
      "cli/write_failure.ts: error.code",
      "plan/advise_layout.ts: last.code",
      "recover/recovery_files.ts: code",
      "s3/s3_error.ts: code",
      "s3/sdk_api.ts: code",
      "sinks/os_error.ts: CODES[errno] ?? "SINK_FAILED"",
      "store/array_reader.ts: error.code",
      "store/file_store.ts: code",
      "store/file_store.ts: denied ? "PERMISSION_DENIED" : "STORE_READ_FAILED"",
    ]
  `);
  for (const code of declared().keys())
    expect(code).not.toMatch(/^(S3_|DISK_FULL|PERMISSION_DENIED|SINK_FAILED|STORE_)/);
});

it("narrows by code, to true and to false", () => {
  const error: MillraceError | Error = new MillraceError("WRITE_PAST_END", "full", {
    context: { bytesAccepted: 1, bytesNotAccepted: 2 },
  });
  if (!isMillraceError(error, "WRITE_PAST_END")) throw error;
  const narrow: MillraceErrorOf<"WRITE_PAST_END"> = error;
  const bytes: number = narrow.context.bytesAccepted + error.context.bytesNotAccepted;
  expect(bytes).toBe(3);
  // Of another code nothing is promised, and an unknown one is any.
  const any: MillraceError = error;
  expect(isMillraceError(any, "STORE_CORRUPT")).toBe(false);
  expect(isMillraceError(any, undefined) && any.code).toBe("WRITE_PAST_END");
});
