// Builds build/Release/millrace.node with CMake, or with the compiler alone where CMake is missing. Plain Node, nothing
// to install.
//
// Usage: node scripts/build_native.js [--require] [--force] [--verbose]
//   --require  fail (exit code 1) where the addon cannot be built;
//              without it Millrace just runs slower, and so the exit code is 0
//   --force    build even when up to date
//   --verbose  say so when it is up to date
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const output = join(root, "build", "Release", "millrace.node");
const stamp = `${output}.stamp.json`;
const required = process.argv.includes("--require");
const OUTPUT_LINES_SHOWN = 25;

/** One line about why there is no addon; ends the process. */
function giveUp(line) {
  process.stderr.write(`millrace: ${line}\n`);
  process.exit(required ? 1 : 0);
}

function run(command, args) {
  return spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 64 * 2 ** 20 });
}

/** The first of `names` that runs at all. */
function findProgram(names) {
  return names.find((name) => name !== undefined && name !== "" && run(name, ["--version"]).status === 0);
}

function sourcesOf(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(cc|h)$/.test(entry.name))
    .map((entry) => join(folder, entry.name));
}

/** Folders below native/core hold parts of the core, such as one codec each. */
function sourcesBelow(folder) {
  const folders = readdirSync(join(root, folder), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...sourcesOf(folder), ...folders.flatMap((entry) => sourcesBelow(join(folder, entry.name)))];
}

/** Where node_api.h is: the npm package, or beside the node binary of a full installation. */
function findHeaders() {
  const beside = join(dirname(process.execPath), "..", "include", "node");
  const candidates = [process.env.MILLRACE_NODE_INCLUDE_DIR];
  try {
    candidates.push(createRequire(import.meta.url)("node-api-headers").include_dir);
  } catch {
    // Not installed: a consumer's install has no development dependencies.
  }
  candidates.push(beside);
  return candidates.find((folder) => folder !== undefined && existsSync(join(folder, "node_api.h")));
}

/** @returns the failed run's result, or undefined and the path of the fresh binary */
function buildWithCMake(cmake, headers) {
  const folder = join(root, "build", "native");
  const configure = () =>
    run(cmake, [
      "-S",
      root,
      "-B",
      folder,
      "-DCMAKE_BUILD_TYPE=Release",
      "-DMILLRACE_TESTS=OFF",
      "-DMILLRACE_WERROR=OFF",
      `-DMILLRACE_NODE_INCLUDE_DIR=${headers}`,
    ]);
  let result = configure();
  if (result.status !== 0) {
    // A cache of another checkout, compiler or generator; it holds nothing worth keeping.
    rmSync(folder, { recursive: true, force: true });
    result = configure();
  }
  if (result.status === 0) {
    result = run(cmake, [
      "--build",
      folder,
      "--target",
      "millrace_addon",
      "--parallel",
      String(availableParallelism()),
    ]);
  }
  return { result, binary: join(folder, "Release", "millrace.node") };
}

/** Those of the build without CMake; CMakeLists.txt has its own. */
const FLAGS = [
  ...["-std=c++17", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread", "-D_GNU_SOURCE", "-DNAPI_VERSION=8"],
  ...["-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL", "-Inative", "-Inative/core"],
];
/** What CMake and compilers take from the environment. */
const FLAG_VARIABLES = ["CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CMAKE_TOOLCHAIN_FILE"];

/** The stamp of the addon that is there; undefined where there is none, or none that can be read. */
function readStamp() {
  try {
    return JSON.parse(readFileSync(stamp, "utf8"));
  } catch {
    return undefined;
  }
}

function hashSources() {
  const hash = createHash("sha256").update(`${process.platform}-${process.arch}`);
  for (const source of [...sources, "CMakeLists.txt"]) hash.update(source).update(readFileSync(join(root, source)));
  return hash.digest("hex");
}

/** Another compiler, or other flags, give other machine code of the same sources. */
function hashTools() {
  const hash = createHash("sha256").update(FLAGS.join(" "));
  for (const program of [compiler, cmake]) hash.update(program === undefined ? "" : run(program, ["--version"]).stdout);
  for (const name of FLAG_VARIABLES) hash.update(`\n${name}=${process.env[name] ?? ""}`);
  return hash.digest("hex");
}

function buildWithCompiler(compiler, headers, sources) {
  const folder = join(root, "build", "native");
  mkdirSync(folder, { recursive: true });
  const binary = join(folder, "millrace.node");
  const result = run(compiler, [
    ...FLAGS,
    ...[`-I${headers}`, "-o", binary],
    ...sources.filter((source) => source.endsWith(".cc")),
  ]);
  return { result, binary };
}

if (process.platform !== "linux")
  giveUp(`no native addon for ${process.platform} yet; continuing without it (slower, same bytes).`);

const sources = [...sourcesBelow("native/core"), ...sourcesOf("native/bind"), ...sourcesOf("native")].sort();
const compiler = findProgram([process.env.CXX, "c++", "g++", "clang++"]);
const cmake = findProgram(["cmake"]);
const built = readStamp();
const current = { sources: hashSources(), tools: hashTools() };
// Without a compiler an addon of these sources is as good as any that could be built.
const upToDate =
  existsSync(output) && built?.sources === current.sources && (compiler === undefined || built.tools === current.tools);
if (upToDate && !process.argv.includes("--force")) {
  if (process.argv.includes("--verbose")) process.stderr.write("millrace: the native addon is up to date\n");
  process.exit(0);
}

if (compiler === undefined)
  giveUp("no CMake or C++ compiler found; continuing without the native addon (slower, same bytes).");
const headers = findHeaders();
if (headers === undefined) {
  giveUp(
    "node_api.h not found (npm package node-api-headers); continuing without the native addon (slower, same bytes).",
  );
}

process.stderr.write(`millrace: building the native addon with ${cmake === undefined ? compiler : "CMake"}\n`);
const { result, binary } =
  cmake === undefined ? buildWithCompiler(compiler, headers, sources) : buildWithCMake(cmake, headers);
if (result.status !== 0) {
  const text = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error === undefined ? "" : result.error.message}`;
  process.stderr.write(`${text.trimEnd().split("\n").slice(-OUTPUT_LINES_SHOWN).join("\n")}\n`);
  giveUp("the native addon did not compile (see above); continuing without it (slower, same bytes).");
}
mkdirSync(dirname(output), { recursive: true });
// Renamed into place: a process that has the old file mapped keeps it, and none ever sees half a file.
const fresh = `${output}.${process.pid}.new`;
copyFileSync(binary, fresh);
renameSync(fresh, output);
writeFileSync(stamp, JSON.stringify(current));
process.stderr.write(`millrace: built ${relative(root, output)}\n`);
