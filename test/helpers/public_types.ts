import ts from "typescript";

/** What a program sees of a module's types, read from its .d.ts. */
export interface PublicTypes {
  /** Exported names that are types only. */
  readonly types: readonly string[];
  /** "Name" or "Name.member" of what has no doc comment. */
  readonly undocumented: readonly string[];
  /** "Type, named by Name": types of the package that a public signature names and nobody can import. */
  readonly unexported: readonly string[];
  /** What a strict program with no types of Node is told about the package's files. */
  readonly errors: readonly string[];
}

/** @param entry path of the .d.ts, with forward slashes; the program has the browser's types, and no others */
export function readPublicTypes(entry: string): PublicTypes {
  const program = ts.createProgram([entry], {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2023.d.ts", "lib.dom.d.ts", "lib.esnext.disposable.d.ts"],
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
  });
  // Before anything else is asked: the checker also reports links of comments that it was asked about and that lead
  // nowhere.
  const errors = ts
    .getPreEmitDiagnostics(program)
    .map((d) => `${d.file?.fileName}: ${ts.flattenDiagnosticMessageText(d.messageText, "\n")}`);
  const checker = program.getTypeChecker();
  const folder = entry.slice(0, entry.lastIndexOf("/") + 1);
  const module = checker.getSymbolAtLocation(program.getSourceFile(entry)!)!;
  const target = (symbol: ts.Symbol): ts.Symbol =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const exports = checker.getExportsOfModule(module);
  const exported = new Set(exports.map(target));
  const isDocumented = (symbol: ts.Symbol): boolean => symbol.getDocumentationComment(checker).length > 0;
  const undocumented = new Set<string>();
  const unexported = new Set<string>();

  const lookAtNames = (name: string, node: ts.Node): void => {
    if (isHidden(node)) return;
    const named = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isExpressionWithTypeArguments(node)
        ? node.expression
        : undefined;
    const symbol = named && checker.getSymbolAtLocation(named);
    if (symbol !== undefined) {
      const type = target(symbol);
      const file = type.declarations?.[0]?.getSourceFile().fileName ?? "";
      const isOwn = file.startsWith(folder) && (type.flags & ts.SymbolFlags.TypeParameter) === 0;
      if (isOwn && !exported.has(type)) unexported.add(`${type.name}, named by ${name}`);
    }
    ts.forEachChild(node, (child) => lookAtNames(name, child));
  };

  for (const alias of exports) {
    const symbol = target(alias);
    if (!isDocumented(symbol)) undocumented.add(alias.name);
    for (const declaration of symbol.declarations ?? []) {
      lookAtNames(alias.name, declaration);
      for (const member of membersOf(declaration)) {
        const own = member.name && checker.getSymbolAtLocation(member.name);
        if (own && !isHidden(member) && !isDocumented(own)) {
          undocumented.add(`${alias.name}.${member.name.getText()}`);
        }
      }
    }
  }
  return {
    types: exports.flatMap((s) => (target(s).flags & ts.SymbolFlags.Value && !isTypeOnly(s) ? [] : [s.name])).sort(),
    undocumented: [...undocumented].sort(),
    unexported: [...unexported].sort(),
    errors,
  };
}

function isTypeOnly(symbol: ts.Symbol): boolean {
  return (symbol.declarations ?? []).some(
    (d) => ts.isExportSpecifier(d) && (d.isTypeOnly || d.parent.parent.isTypeOnly),
  );
}

function isHidden(node: ts.Node): boolean {
  const name = (node as { name?: ts.Node }).name;
  if (name !== undefined && ts.isPrivateIdentifier(name)) return true;
  return (
    ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some((m) => m.kind === ts.SyntaxKind.PrivateKeyword)
  );
}

/**
 * Members of an interface, a class, or an object type with a name. Those of objects inside belong to their member, or
 * alternative.
 */
function membersOf(declaration: ts.Node): readonly (ts.TypeElement | ts.ClassElement)[] {
  if (ts.isInterfaceDeclaration(declaration) || ts.isClassDeclaration(declaration)) return declaration.members;
  if (!ts.isTypeAliasDeclaration(declaration)) return [];
  return ts.isTypeLiteralNode(declaration.type) ? declaration.type.members : [];
}
