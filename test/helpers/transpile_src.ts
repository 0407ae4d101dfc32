import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

/**
 * Compiles some folders of src into `target`, file by file and without checking types, for tests that start a process
 * or a Worker and must not depend on a build of everything.
 */
export async function transpileSrc(folders: readonly string[], target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  await writeFile(join(target, "package.json"), '{"type":"module"}');
  for (const folder of folders) {
    for (const name of await readdir(join(SRC, folder))) {
      if (!name.endsWith(".ts")) continue;
      const source = await readFile(join(SRC, folder, name), "utf8");
      const { outputText } = ts.transpileModule(source, {
        compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
      });
      const path = join(target, folder, name.replace(/\.ts$/, ".js"));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, outputText);
    }
  }
}
