/** What the house rules of `test/tidy.test.ts` look at in the text of a source file. */
import ts from "typescript";

/** Blanks comments and literals token by token, so that a word in a message or a docstring is not taken for a call. */
export function codeOnly(text: string): string {
  const file = ts.createSourceFile("x.ts", text, ts.ScriptTarget.ES2022, false, ts.ScriptKind.TS);
  let code = "";
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      code += '""';
      return;
    }
    const children = node.getChildren(file);
    if (children.length === 0) code += node.kind === ts.SyntaxKind.EndOfFileToken ? "" : `${node.getText(file)} `;
    else for (const child of children) if (!ts.isJSDoc(child)) visit(child);
  };
  visit(file);
  return code.replaceAll(/ ([.(]) /g, "$1");
}

/** Regular expressions that stand as values in what `toMatchObject` is given. */
export function barePatterns(path: string, text: string): string[] {
  const found: string[] = [];
  const look = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) found.push(`${path}: ${node.text}`);
    // Inside a call it is that call's matter: stringMatching(/…/).
    if (!ts.isCallExpression(node)) ts.forEachChild(node, look);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      if (node.expression.name.text === "toMatchObject") node.arguments.forEach(look);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest));
  return found;
}

/**
 * A cycle as a path that ends where it starts, or undefined. Depth first; a node on the current path closes a cycle.
 */
export function findCycle(edges: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string): string[] | undefined => {
    if (path.includes(node)) return [...path.slice(path.indexOf(node)), node];
    if (done.has(node)) return undefined;
    path.push(node);
    for (const next of edges.get(node) ?? []) {
      const cycle = visit(next);
      if (cycle !== undefined) return cycle;
    }
    path.pop();
    done.add(node);
    return undefined;
  };
  for (const node of edges.keys()) {
    const cycle = visit(node);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
