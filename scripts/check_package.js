// Checks the package as users get it: what `npm pack` puts in, what it leaves out, and that a project that installs the
// tarball can import it, run the command and write a store that verifies. Needs a built dist/.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./run_node.js";

/** Runs a command to its end; its output is part of the message when it fails. */
function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 2 ** 26, ...options });
  if (result.error !== undefined) throw result.error;
  if (result.status !== (options.status ?? 0)) {
    throw new Error(`${command} ${args.join(" ")}: exit code ${result.status}\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}

function npm(args, options) {
  // npm's own entry where npm started us: no shell, and the same npm.
  const entry = process.env.npm_execpath;
  return entry?.endsWith(".js") ? run(process.execPath, [entry, ...args], options) : run("npm", args, options);
}

const problems = [];

function expectFiles(paths) {
  const required = [
    "package.json",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "bin/millrace.js",
    "dist/index.js",
    "dist/index.d.ts",
    "dist/browser.js",
    "dist/browser.d.ts",
    "dist/cli/main.js",
    "CMakeLists.txt",
    "native/addon.cc",
    "scripts/build_native.js",
  ];
  for (const path of required) if (!paths.has(path)) problems.push(`${path} is not in the package`);
  for (const folder of ["native/core", "native/bind"]) {
    for (const name of readdirSync(join(root, folder), { recursive: true })) {
      const path = `${folder}/${name}`.replaceAll("\\", "/");
      if (/\.(cc|h)$/.test(path) && !paths.has(path)) problems.push(`${path} is not in the package`);
    }
  }
  for (const name of readdirSync(join(root, "src"), { recursive: true })) {
    const source = String(name).replaceAll("\\", "/");
    if (!/\.(ts|wgsl)$/.test(source)) continue;
    const outputs = source.endsWith(".wgsl") ? [source] : [".js", ".d.ts"].map((end) => source.replace(/\.ts$/, end));
    for (const output of outputs) {
      if (!paths.has(`dist/${output}`)) problems.push(`dist/${output} is not in the package; is dist/ out of date?`);
    }
  }
}

/** What may be in the package, path by path; tests, benchmark results and build folders are not. */
const PACKED = [
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|CMakeLists\.txt|bin\/millrace\.js|scripts\/build_native\.js)$/,
  /^native\/((core|bind)\/[\w./-]+\.(cc|h)|addon\.cc)$/,
  /^dist\/[\w./-]+\.(js|d\.ts|js\.map|wgsl)$/,
  /^prebuilds\/[\w-]+\/[\w.-]+\.node$/,
];

function expectNoJunk(paths) {
  for (const path of paths) {
    if (!PACKED.some((pattern) => pattern.test(path))) problems.push(`${path} does not belong into the package`);
  }
}

/** Maps lead to sources, which are not in the package: they must bring them along. */
function expectWholeMaps(paths) {
  for (const path of paths) {
    if (!path.endsWith(".js.map")) continue;
    const { sources, sourcesContent } = JSON.parse(readFileSync(join(root, path), "utf8"));
    const whole = sourcesContent?.length === sources.length && sourcesContent.every((text) => typeof text === "string");
    if (!whole) problems.push(`${path} names sources that are not in the package`);
  }
}

/**
 * In an empty project: install, import, run. Without install scripts, as careful users do; the addon-free path must do.
 */
function tryInstalled(tarball, folder) {
  const project = join(folder, "project");
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "try-millrace", private: true, type: "module" }));
  npm(["install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", tarball], { cwd: project });
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const name of ["millrace", "millrace/browser"]) {
    const names = run(
      process.execPath,
      ["--input-type=module", "-e", `import * as m from "${name}"; console.log(Object.keys(m).join(" "))`],
      { cwd: project },
    );
    if (!/\bopenWriter\b/.test(names)) problems.push(`${name}, installed, does not export openWriter: ${names}`);
  }

  const bin = join(project, "node_modules", "millrace", "bin", "millrace.js");
  if (!existsSync(join(project, "node_modules", ".bin", "millrace"))) problems.push("npm made no command millrace");
  const printed = run(process.execPath, [bin, "--version"], { cwd: project }).trim();
  if (printed !== version) problems.push(`millrace --version says ${printed}, package.json ${version}`);

  // Three rows of 4 × 4, every element its own index.
  const input = Buffer.from(Uint16Array.from({ length: 48 }, (_, i) => i).buffer);
  const dims = "t:0:2:4,y:4:2:4,x:4:4:4";
  const written = run(
    process.execPath,
    [bin, "write", "tiny.zarr", "--dtype", "uint16", "--dims", dims, "--codec", "none", "--json"],
    { cwd: project, input },
  );
  const result = JSON.parse(written.trim().split("\n").at(-1));
  if (result.rows !== 3) problems.push(`write kept ${result.rows} of 3 rows`);
  run(process.execPath, [bin, "verify", "tiny.zarr"], { cwd: project });
  tryAddon(project, bin, ["--dtype", "uint16", "--dims", dims], input);
  tryTypes(project);
  tryRequire(project);
}

/** The addon, built as users are told to; then the writer has to load it, and to write the same files. */
function tryAddon(project, bin, array, input) {
  if (!existsSync(join(root, "build", "Release", "millrace.node"))) {
    console.log("package: build-addon is not tried, because this checkout has no addon either");
    return;
  }
  npm(["exec", "--offline", "--", "millrace", "build-addon"], { cwd: project });
  for (const MILLRACE_ADDON of ["off", "require"]) {
    const env = { ...process.env, MILLRACE_ADDON };
    run(process.execPath, [bin, "write", `${MILLRACE_ADDON}.zarr`, ...array], { cwd: project, input, env });
  }
  const files = (store) =>
    readdirSync(join(project, store), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(project, store).length));
  const names = files("require.zarr");
  if (!names.some((name) => /c.0/.test(name))) problems.push(`with its addon millrace wrote no shard: ${names}`);
  if (names.sort().join() !== files("off.zarr").sort().join()) problems.push("the addon writes other files");
  for (const name of names) {
    const [off, on] = ["off.zarr", "require.zarr"].map((store) => readFileSync(join(project, store, name)));
    if (!off.equals(on)) problems.push(`the addon writes another ${name}`);
  }
}

/**
 * A program with the strictest settings that users have, by `import` and by `require`, for Node and through a bundler
 * for a page.
 */
const CONSUMER = `
import { fileSink, isMillraceError, memorySink, openWriter } from "millrace";
import type { ArrayWriter, MillraceError, Sink, WriterOptions } from "millrace";
import * as page from "millrace/browser";
const options: WriterOptions = {
  sink: fileSink("run.zarr", { directIo: "auto" }),
  array: { dtype: "uint16", dimensions: [{ name: "t", size: null, chunk: 16 }, { name: "x", size: 64, chunk: 64 }] },
};
export async function main(): Promise<number> {
  const writer: ArrayWriter = await openWriter(options);
  writer.on("shard", ({ key, rowTo }) => void [key.length, rowTo + 1]);
  writer.on("error", (error: MillraceError) => void error.code);
  try {
    await writer.append(new Uint16Array(64));
    await writer.close();
  } catch (error) {
    if (isMillraceError(error, "WRITE_PAST_END")) {
      const { bytesAccepted, bytesNotAccepted } = error.context;
      const split: number = bytesAccepted + bytesNotAccepted;
      return split;
    }
    if (isMillraceError(error, "MEMORY_BUDGET_EXCEEDED"))
      return error.context.totalBytes - error.context.memoryBudgetBytes;
    // @ts-expect-error: no field that every error of this code has
    if (isMillraceError(error, "STORE_CORRUPT")) return error.context.bytes * 2;
    if (isMillraceError(error)) return String(error.context.anything).length;
    throw error;
  }
  const pageWriter = await page.openWriter({ ...options, sink: page.memorySink(), threads: "inline" });
  await pageWriter.abort();
  return memorySink().files.size + writer.metrics().bytesStored;
}
export const sink: Sink = {
  kind: "mine",
  location: "here",
  open: async () => {},
  openShard: async () => ({ write: async () => {}, seal: async () => {}, abandon: async () => {} }),
  putObject: async () => {},
  close: async () => {},
};
`;

const STRICT = {
  noEmit: true,
  strict: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  target: "es2022",
  lib: ["es2023", "dom", "esnext.disposable"],
  // None of Node: a page has none.
  types: [],
};

/** Compiles a strict program against the installed package, once as Node resolves it and once as bundlers do. */
function tryTypes(project) {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  writeFileSync(join(project, "program.ts"), CONSUMER);
  for (const [module, moduleResolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    const config = { compilerOptions: { ...STRICT, module, moduleResolution }, files: ["program.ts"] };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", "."], { cwd: project, encoding: "utf8" });
    if (status !== 0) problems.push(`types, moduleResolution ${moduleResolution}:\n${stdout}`);
  }
}

/** CommonJS programs: every Node from the one in `engines` on has require of ES modules. */
function tryRequire(project) {
  const source =
    `const m = require("millrace"); ` +
    `console.log(typeof m.openWriter, typeof require("millrace/browser").openWriter)`;
  writeFileSync(join(project, "program.cjs"), source);
  const { status, stdout, stderr } = spawnSync(process.execPath, ["program.cjs"], { cwd: project, encoding: "utf8" });
  if (status !== 0 || stdout.trim() !== "function function") problems.push(`require("millrace"): ${stdout}${stderr}`);
}

const folder = mkdtempSync(join(tmpdir(), "millrace-package-"));
try {
  const [packed] = JSON.parse(npm(["pack", "--json", "--ignore-scripts", "--pack-destination", folder]));
  const paths = new Set(packed.files.map((file) => file.path));
  expectFiles(paths);
  expectNoJunk(paths);
  expectWholeMaps(paths);
  if (problems.length === 0) tryInstalled(join(folder, packed.filename), folder);
  console.log(`package: ${paths.size} files, ${(packed.size / 1024).toFixed(0)} KiB packed`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
for (const problem of problems) console.error(`package: ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;
