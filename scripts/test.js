// `npm test`: builds what is out of date (tests start worker threads from dist/), then runs Vitest with the arguments
// given.
//
// GPU tests run on SwiftShader, a Vulkan device in software, where it can run; its place must be in the environment
// before a process starts. MILLRACE_GPU=real leaves the environment alone and takes what adapter the machine has.
//
// --wide, as `npm run test:wide` gives it, adds the tests that are too long for every run, and makes the enumerations
// complete that every run takes a sample of; without file names it runs those tests alone.
//
// --exclude=GLOB, any number of times: leaves files out. Vitest's own flag reaches no project.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root, runNode } from "./run_node.js";
import { swiftshaderEnv } from "./swiftshader.js";

/** Room that the tests' files need at most, with a margin. */
const MEMORY_BYTES_MIN = 4 * 2 ** 30;

const args = process.argv.slice(2);
const isWide = args.includes("--wide");
if (isWide) {
  args.splice(args.indexOf("--wide"), 1);
  process.env.MILLRACE_WIDE = "1";
  if (args.every((argument) => argument.startsWith("-"))) args.push(...wideTests());
}

const isExclude = (argument) => argument.startsWith("--exclude=");
const excluded = args.filter(isExclude).map((argument) => argument.slice("--exclude=".length));
if (excluded.length > 0) process.env.MILLRACE_TEST_EXCLUDE = JSON.stringify(excluded);

const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
Object.assign(process.env, process.env.MILLRACE_GPU === "real" ? {} : await swiftshaderEnv());
process.exitCode = await runNode(["scripts/build.js"]);
if (process.exitCode === 0) {
  const scratch = scratchInMemory();
  try {
    process.exitCode = await runNode([vitest, "run", ...args.filter((argument) => !isExclude(argument))]);
  } finally {
    if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * A folder in memory for the tests' files, where the system has one with room: thousands of small stores, each synced,
 * take twice as long on a disk. MILLRACE_TEST_DISK keeps the name of the disk's, for direct I/O. A TMPDIR that somebody
 * has set stays.
 */
function scratchInMemory() {
  if (process.platform !== "linux" || process.env.TMPDIR !== undefined) return undefined;
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    if (bavail * bsize < MEMORY_BYTES_MIN) return undefined;
    process.env.MILLRACE_TEST_DISK = tmpdir();
    process.env.TMPDIR = mkdtempSync("/dev/shm/millrace-");
    return process.env.TMPDIR;
  } catch {
    // There is none, or nobody may write to it: the disk does.
    return undefined;
  }
}

/**
 * Tests that a wide run does more in: wide by name, or by test/helpers/wide.ts, which they or a suite that they import
 * use.
 */
function wideTests() {
  const folder = join(root, "test");
  const usesMeasure = (path) => readFileSync(path, "utf8").includes("helpers/wide.js");
  const suitesOf = (path) =>
    [...readFileSync(path, "utf8").matchAll(/"(\.\/[\w/]+\.suite)\.js"/g)].map(([, name]) =>
      join(dirname(path), `${name}.ts`),
    );
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .filter((name) => {
      const path = join(folder, name);
      return name.endsWith(".wide.test.ts") || [path, ...suitesOf(path)].some(usesMeasure);
    })
    .map((name) => join("test", name));
}
