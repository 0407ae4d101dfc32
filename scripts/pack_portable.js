// `npm run pack:portable`: one tar.gz that runs on a machine of this platform with neither Node nor a network: this
// Node, dist/, the addon, the packages of production and `webgpu`, and launchers. Needs a built dist/.
//
//   node scripts/pack_portable.js [--out build/millrace-portable-<platform>-<arch>.tar.gz] [--limit 60000000]
//
// The system's `tar` writes the archive: whoever unpacks it has one too, and no package has to be kept for it (tar-fs
// is here only as long as an optional dependency happens to bring it). zlib compresses, because gzip is what the other
// machine surely has.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { createGzip } from "node:zlib";
import { root } from "./run_node.js";

/** Name of the one folder in the archive. */
const TOP = "millrace-portable";
/** What still goes through the narrowest way that archives are handed on by. */
const LIMIT_BYTES = 60_000_000;
const ENTRIES_SHOWN = 10;
/** Declarations, source maps, sources of addons and what their compilers leave: nothing that runs. */
const NOT_RUN = /\.(map|[cm]?ts|c|cc|cpp|h|hpp|S|o|a|d|mk|gypi?|Makefile)$|(^|[\\/])(Makefile|obj\.target)$/;

/** What the user can mend; its message is all they need. */
class PackError extends Error {}
class OptionError extends PackError {}

let staging;
const removeStaging = () => staging !== undefined && rmSync(staging, { recursive: true, force: true });
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
]) {
  process.once(signal, () => {
    removeStaging();
    process.exit(code);
  });
}

try {
  await main();
} catch (error) {
  process.stderr.write(`pack: ${error instanceof PackError ? error.message : error.stack}\n`);
  process.exitCode = error instanceof OptionError ? 2 : 1;
} finally {
  removeStaging();
}

async function main() {
  const platform = `${process.platform}-${process.arch}`;
  const { out, limit } = parseOptions(join(root, "build", `millrace-portable-${platform}.tar.gz`));
  if (process.platform === "win32") throw new PackError("the launchers are shell scripts; there are none for Windows");
  if (process.config.variables.node_shared) {
    throw new PackError("this Node is a small program around libnode; run this with a Node that is one file");
  }
  if (!existsSync(join(root, "dist", "cli", "main.js"))) throw new PackError("dist/ is not there: run `npm run build`");

  mkdirSync(dirname(out), { recursive: true });
  // On the disk that has to hold the archive anyway.
  staging = mkdtempSync(join(dirname(out), ".pack-"));
  const top = join(staging, TOP);
  mkdirSync(top);

  const parts = [["node", addNode(top)]];
  for (const name of ["dist", "bin"]) parts.push([name, addTree(join(root, name), join(top, name))]);
  const addon = join("build", "Release", "millrace.node");
  if (existsSync(join(root, addon))) parts.push(["addon", addTree(join(root, addon), join(top, addon))]);
  else warn("there is no addon; it will run without, and slower. `npm run build:native` makes it");
  parts.push(...addPackages(top, platform));
  const bench = addBench(top);
  if (bench !== undefined) parts.push(["bench", bench]);
  for (const name of ["package.json", "LICENSE", "CHANGELOG.md"]) {
    if (existsSync(join(root, name))) copyFileSync(join(root, name), join(top, name));
  }
  await addOwnFiles(top, platform, bench !== undefined);

  const bytes = await archive(staging, out, limit);
  const width = Math.max(...parts.map(([name]) => name.length));
  for (const [name, size] of parts) process.stdout.write(`${name.padEnd(width)}  ${number(size).padStart(12)} bytes\n`);
  process.stdout.write(`${relative(process.cwd(), out)}: ${number(bytes)} bytes, ${number(limit)} allowed\n`);
}

function parseOptions(outDefault) {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        out: { type: "string", default: outDefault },
        limit: { type: "string", default: String(LIMIT_BYTES) },
      },
    }));
  } catch (error) {
    throw new OptionError(error.message);
  }
  const limit = Number(values.limit);
  if (!Number.isInteger(limit) || limit < 1) throw new OptionError(`--limit: expected bytes, got ${values.limit}`);
  return { out: resolve(values.out), limit };
}

/** This Node, without its symbols where `strip` is there and what it leaves still runs: 12 of 99 MB. */
function addNode(top) {
  const node = join(top, "node");
  const stripped = spawnSync("strip", ["-o", node, process.execPath], { stdio: "ignore" });
  if (stripped.status !== 0 || !runs(node)) {
    rmSync(node, { force: true });
    copyFileSync(process.execPath, node);
  }
  chmodSync(node, 0o755);
  if (!runs(node)) throw new PackError("a copy of this Node does not run by itself");
  return statSync(node).size;
}

function runs(node) {
  const { status, stdout } = spawnSync(node, ["-p", "process.version"], { encoding: "utf8", env: { PATH: "" } });
  return status === 0 && stdout.trim() === process.version;
}

/** Copies a file, or a folder without what never runs; links become what they lead to. Returns its bytes. */
function addTree(from, to, isWanted = () => true) {
  mkdirSync(dirname(to), { recursive: true });
  const wanted = (path) => {
    const inside = relative(from, path);
    return inside === "" || (!NOT_RUN.test(inside) && isWanted(inside));
  };
  cpSync(from, to, { recursive: true, dereference: true, filter: wanted });
  return filesBelow(to).reduce((sum, { size }) => sum + size, 0);
}

/** What the lock file names for production, and `webgpu`, an optional peer: with a GPU it is worth its 20 MB. */
function addPackages(top, platform) {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const parts = [];
  let others = 0;
  for (const path of closure(lock, "", Object.keys(lock[""].dependencies ?? {}), lock[""].optionalDependencies)) {
    others += addPackage(top, path, lock[path].optional === true);
  }
  parts.push(["other packages", others]);

  const webgpu = join("node_modules", "webgpu");
  // Its own name for the folders of its dist/.
  const folder = process.platform === "darwin" ? "darwin-universal" : platform;
  if (!existsSync(join(root, webgpu, "dist", folder))) {
    warn(`the package webgpu is not installed, or has nothing for ${platform}; the archive will have no GPU`);
    return parts;
  }
  const isWanted = (inside) => !/^dist[\\/]/.test(inside) || inside.split(/[\\/]/)[1] === folder;
  parts.unshift(["webgpu", addPackage(top, webgpu, false, isWanted)]);
  const needed = Object.keys(lock[webgpu]?.dependencies ?? {});
  for (const path of closure(lock, webgpu, needed)) {
    if (!existsSync(join(top, path))) parts[1][1] += addPackage(top, path, false);
  }
  return parts;
}

function addPackage(top, path, optional, isWanted = () => true) {
  if (!existsSync(join(root, path))) {
    if (!optional) throw new PackError(`${path} is not there: run \`npm ci\``);
    return 0;
  }
  // What lies in a folder of packages inside is listed by itself.
  return addTree(join(root, path), join(top, path), (p) => !/(^|[\\/])node_modules([\\/]|$)/.test(p) && isWanted(p));
}

/**
 * Paths in the lock file of the packages named and of all that they need, as Node finds them from the package at
 * `from`.
 */
function closure(lock, from, names, optional = {}) {
  const found = new Set();
  const visit = (path, name) => {
    for (let folder = path; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
      const candidate = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
      if (lock[candidate] !== undefined) {
        if (found.has(candidate)) return;
        found.add(candidate);
        const { dependencies = {}, optionalDependencies = {} } = lock[candidate];
        for (const next of Object.keys({ ...dependencies, ...optionalDependencies })) visit(candidate, next);
        return;
      }
      // An optional one may be left out of a lock file made on another platform.
      if (folder === "") return;
    }
  };
  for (const name of [...names, ...Object.keys(optional)]) visit(from, name);
  return found;
}

/** The benchmark of the GPU, where this version has it. */
function addBench(top) {
  if (!existsSync(join(root, "bench", "gpu.js"))) return undefined;
  let bytes = addTree(join(root, "bench", "gpu.js"), join(top, "bench", "gpu.js"));
  if (existsSync(join(root, "bench", "gpu"))) bytes += addTree(join(root, "bench", "gpu"), join(top, "bench", "gpu"));
  return bytes;
}

async function addOwnFiles(top, platform, hasBench) {
  const { checkoutCommit } = await import(new URL("../dist/bench/machine.js", import.meta.url).href);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const facts = { version, commit: checkoutCommit(), node: process.version, platform };
  writeFileSync(join(top, "portable.json"), `${JSON.stringify(facts, null, 1)}\n`);
  const lines = [
    `Millrace ${version} for ${platform}, with Node ${process.version}. Runs where it lies; ` +
      "nothing has to be installed.",
    "",
    "  ./millrace doctor",
    "  ./millrace demo /tmp/demo.zarr",
    ...(hasBench ? ["  ./gpu-bench --out result.json"] : []),
  ];
  writeFileSync(join(top, "README.txt"), `${lines.join("\n")}\n`);
  addLauncher(join(top, "millrace"), "bin/millrace.js");
  if (hasBench) addLauncher(join(top, "gpu-bench"), "bench/gpu.js");
}

/** No program but the shell itself is called, so that it also runs with an empty PATH. */
function addLauncher(path, script) {
  const lines = [
    "#!/bin/sh",
    `case $0 in */*) here=\${0%/*} ;; *) here=. ;; esac`,
    `exec "$here/node" "$here/${script}" "$@"`,
  ];
  writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o755 });
}

/**
 * Writes the folder TOP of `folder` to `out` and returns the archive's bytes. Over the limit it stops there: no archive
 * is left.
 * @throws PackError with the biggest entries
 */
async function archive(folder, out, limit) {
  const partial = join(folder, basename(out));
  const tar = spawn("tar", ["-c", "-f", "-", ...anonymous(), "-C", folder, TOP], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  // Kept until it is known who ended whom: stopped at the limit, tar complains of a broken pipe.
  let complaint = "";
  tar.stderr.setEncoding("utf8").on("data", (text) => {
    complaint += text;
  });
  const ended = once(tar, "close").catch((error) => {
    throw error.code === "ENOENT" ? new PackError("this needs the program `tar`") : error;
  });
  let bytes = 0;
  const count = async function* (source) {
    for await (const part of source) {
      bytes += part.length;
      if (bytes > limit) throw tooLarge(folder, limit);
      yield part;
    }
  };
  const written = pipeline(tar.stdout, createGzip({ level: 9 }), count, createWriteStream(partial));
  const [[code, signal]] = await Promise.all([ended, written]).catch((error) => {
    tar.kill();
    throw error;
  });
  if (code !== 0) throw new PackError(`tar ended with ${signal ?? `exit code ${code}`}: ${complaint.trim()}`);
  renameSync(partial, out);
  return bytes;
}

/** Whoever unpacks it owns it: neither the names nor the numbers of this machine's users belong into it. */
function anonymous() {
  const { stdout } = spawnSync("tar", ["--version"], { encoding: "utf8" });
  if (/GNU tar/.test(stdout)) return ["--owner=0", "--group=0", "--numeric-owner", "--sort=name"];
  return /bsdtar/.test(stdout) ? ["--uid", "0", "--gid", "0", "--uname", "", "--gname", ""] : [];
}

function tooLarge(folder, limit) {
  const biggest = filesBelow(join(folder, TOP))
    .sort((a, b) => b.size - a.size)
    .slice(0, ENTRIES_SHOWN)
    .map(({ path, size }) => `  ${number(size).padStart(12)}  ${path}`);
  const lines = [`the archive would be over ${number(limit)} bytes; the biggest entries, unpacked:`, ...biggest];
  return new PackError(lines.join("\n"));
}

/** Files below a folder, or the file itself, with their sizes. */
function filesBelow(path) {
  if (!statSync(path).isDirectory()) return [{ path, size: statSync(path).size }];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const file = join(entry.parentPath ?? entry.path, entry.name);
      return { path: relative(path, file), size: statSync(file).size };
    });
}

function number(value) {
  return value.toLocaleString("en-US");
}

function warn(message) {
  process.stderr.write(`pack: warning: ${message}\n`);
}
