// Builds dist/ from src/: TypeScript, the kernels, and the native addon where a compiler is found. `--no-native` leaves
// the addon alone.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const src = join(root, "src");
const dist = join(root, "dist");
// Outside dist/, which is what the package ships.
const buildInfo = join(root, "build", "tsc.tsbuildinfo");

/** Paths of all files below `folder`, relative to it. */
function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)));
}

/** Removes outputs whose source is gone: tsc leaves them, and a stale module would be packed and could be imported. */
function removeStale() {
  const sources = new Set(filesBelow(src).map((path) => path.replace(/\.ts$/, "")));
  for (const path of filesBelow(dist)) {
    const source = path.endsWith(".wgsl") ? path : path.replace(/(\.d\.ts|\.js\.map|\.js)$/, "");
    if (!sources.has(source)) rmSync(join(dist, path));
  }
}

function run(args) {
  return spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" }).status ?? 1;
}

function compile() {
  const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  // An incremental tsc believes its record, not the folder: without dist/ the record must go too.
  const outputs = filesBelow(src).filter((path) => path.endsWith(".ts"));
  if (outputs.some((path) => !existsSync(join(dist, path.replace(/\.ts$/, ".js"))))) rmSync(buildInfo, { force: true });
  mkdirSync(dirname(buildInfo), { recursive: true });
  return run([tsc, "-p", join(root, "tsconfig.json"), "--incremental", "--tsBuildInfoFile", buildInfo]);
}

/** tsc copies nothing but what it compiles; kernels are loaded from beside their module. */
function copyKernels() {
  const kernels = filesBelow(src).filter((path) => path.endsWith(".wgsl"));
  for (const path of kernels) {
    const target = join(dist, path);
    if (existsSync(target) && statSync(target).mtimeMs >= statSync(join(src, path)).mtimeMs) continue;
    mkdirSync(dirname(target), { recursive: true });
    cpSync(join(src, path), target);
  }
}

removeStale();
const compiled = compile();
if (compiled !== 0) {
  console.error("build: TypeScript has errors; nothing else was built");
  process.exit(1);
}
copyKernels();
const native = join(root, "scripts", "build_native.js");
if (!process.argv.includes("--no-native") && existsSync(native)) {
  const status = run([native]);
  if (status !== 0) process.exit(status);
}
console.error("build: dist/ is up to date");
