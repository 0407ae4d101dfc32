// Seeds one fault at a time into the TypeScript and the kernels, and requires a test to fail for it, by an assertion or
// by its time limit: what no test notices is not tested. The faults are in mutation_list.js. Exits non-zero when one is
// not noticed.
//
// Usage: node scripts/mutations.js [--list] [--only N,…] [--tests named|full]
//   --list   says what the mutations are, and runs nothing
//   --only   these, by their numbers in the list
//   --tests  named (default): each mutation runs the tests that are named beside it; full: all that `npm test` runs
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { parseArgs } from "node:util";
import ts from "typescript";
import { MUTATIONS } from "./mutation_list.js";
import { root, runNode } from "./run_node.js";
import { swiftshaderEnv } from "./swiftshader.js";

/** A run that takes longer hangs in a way that no time limit of a test ends. */
const TIMEOUT_MS = { named: 120_000, full: 3_600_000 };

const { values: options } = parseArgs({
  options: { list: { type: "boolean" }, only: { type: "string" }, tests: { type: "string", default: "named" } },
});
if (!(options.tests in TIMEOUT_MS)) throw new Error(`--tests is named or full, not ${options.tests}`);
const numbers = options.only?.split(",").map(Number) ?? MUTATIONS.map((_, i) => i + 1);
const wanted = numbers.map((number) => {
  const mutation = MUTATIONS[number - 1];
  if (mutation === undefined)
    throw new Error(`--only: there is no mutation ${number}, the last is ${MUTATIONS.length}`);
  return { number, ...mutation };
});
if (options.list) {
  for (const { number, file, what, tests } of wanted) {
    process.stdout.write(`${String(number).padStart(2)}  ${file}: ${what} (${tests.join(", ")})\n`);
  }
  process.exit(0);
}

const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
// Of the settings of tsconfig.json those that decide about what one file becomes.
const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true };

/**
 * A tree of its own outside of this one, so that git and the tests that look for files see it as one. Packages are
 * linked; nothing writes to them.
 */
function makeTree(folder) {
  const left = new Set([".git", "build", "node_modules"]);
  cpSync(root, folder, { recursive: true, filter: (path) => !left.has(relative(root, path).split(sep)[0]) });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  if (existsSync(join(root, "build"))) {
    cpSync(join(root, "build", "Release"), join(folder, "build", "Release"), { recursive: true });
  }
}

/**
 * Writes a source file and what is built of it: tests import the one, worker threads and the commands run the other.
 */
function put(tree, file, text) {
  writeFileSync(join(tree, file), text);
  const built = join(tree, file.replace(/^src/, "dist").replace(/\.ts$/, ".js"));
  if (!file.endsWith(".ts")) {
    writeFileSync(built, text);
    return;
  }
  const { outputText, diagnostics } = ts.transpileModule(text, {
    compilerOptions,
    fileName: file,
    reportDiagnostics: true,
  });
  if (diagnostics.length > 0) throw new Error(ts.flattenDiagnosticMessageText(diagnostics[0].messageText, "\n"));
  writeFileSync(built, outputText);
}

/** A test as the list names it: a file, and behind " > " a part of the names of those of its tests that are to run. */
function parseTest(test) {
  const [file, name] = test.split(" > ");
  // Vitest takes a pattern.
  return { file, args: name === undefined ? [] : ["-t", name.replace(/[^\w ]/g, "\\$&")] };
}

/** Runs test files of a tree. `report`: Vitest's own, undefined where there is none; `output` is for that case. */
async function runTests(tree, files, args, timeoutMs) {
  const to = join(tree, "build", "report.json");
  rmSync(to, { force: true });
  const child = spawn(process.execPath, [vitest, "run", ...files, "--reporter=json", `--outputFile=${to}`, ...args], {
    cwd: tree,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const [status, signal] = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (...ended) => resolve(ended));
  });
  clearTimeout(timer);
  const report = existsSync(to) ? JSON.parse(readFileSync(to, "utf8")) : undefined;
  return { status: status ?? signal, report, output };
}

/** Runs tests as the list names them, whole files together; the first run that fails, or all reports as one. */
async function runNamed(tree, tests, args, timeoutMs) {
  const parsed = tests.map(parseTest);
  const whole = parsed.filter((test) => test.args.length === 0).map(({ file }) => file);
  const groups = parsed.filter((test) => test.args.length > 0).map((test) => ({ files: [test.file], args: test.args }));
  if (whole.length > 0 || groups.length === 0) groups.unshift({ files: whole, args: [] });
  const testResults = [];
  for (const group of groups) {
    const run = await runTests(tree, group.files, [...group.args, ...args], timeoutMs);
    if (run.status !== 0 || run.report === undefined) return run;
    testResults.push(...run.report.testResults);
  }
  return { status: 0, report: { testResults }, output: "" };
}

const testsOf = (report) =>
  report.testResults.flatMap(({ name, assertionResults }) => assertionResults.map((test) => ({ ...test, file: name })));

/** Why a run is no proof that a fault was noticed, or the test that noticed it. */
function judge({ status, report, output }) {
  if (report === undefined) return { problem: `no report, status ${status}: ${output.trim().split("\n").at(-1)}` };
  const failed = testsOf(report).find((test) => test.status === "failed");
  if (failed !== undefined) return { test: `${failed.fullName}: ${failed.failureMessages[0].split("\n")[0]}` };
  const suite = report.testResults.find((result) => result.status === "failed");
  if (suite !== undefined) {
    const message = suite.message.split("\n")[0];
    // A hook that failed: a file that could not be loaded has no tests.
    if (suite.assertionResults.length > 0) return { test: `before its tests: ${message}` };
    return { problem: `no test failed, a file could not be loaded: ${message}` };
  }
  return { problem: status === 0 ? "not noticed" : `no test failed, status ${status}` };
}

const counts = { passed: 0, failed: 0, skipped: 0 };
function say(result, line) {
  counts[result]++;
  const word = { passed: "ok    ", failed: "FAILED", skipped: "skip  " }[result];
  process.stdout.write(`${word}  ${line.replace(/\s+/g, " ").slice(0, 300)}\n`);
}

/**
 * Test files of which something ran without a mutation. One that ran nothing here, such as for a GPU, notices nothing.
 */
let able = new Set();

async function tryOut(tree, { number, what, file, text, instead, tests }) {
  const name = `${number} ${file}: ${what}`;
  const named = options.tests === "full" ? [] : tests.filter((test) => able.has(parseTest(test).file));
  if (options.tests === "named" && named.length === 0) {
    say("skipped", `${name}: ${tests.join(", ")} cannot run here`);
    return;
  }
  const source = readFileSync(join(root, file), "utf8");
  const at = source.indexOf(text);
  if (at < 0 || source.indexOf(text, at + 1) >= 0) {
    say("failed", `${name}: its text must be there once: ${text}`);
    return;
  }
  try {
    put(tree, file, source.slice(0, at) + instead + source.slice(at + text.length));
    const { test, problem } = judge(
      await runNamed(tree, named, ["--bail=1", "--maxWorkers=1"], TIMEOUT_MS[options.tests]),
    );
    say(test === undefined ? "failed" : "passed", `${name}: ${test ?? problem}`);
  } catch (error) {
    say("failed", `${name}: ${error.message}`);
  } finally {
    put(tree, file, source);
  }
}

if (process.env.MILLRACE_GPU !== "real") Object.assign(process.env, await swiftshaderEnv());
const isBuilt = (await runNode(["scripts/build.js"])) === 0;
if (!isBuilt) process.exit(1);
const work = mkdtempSync(join(tmpdir(), "millrace-mutations-"));
try {
  const trees = Array.from({ length: Math.min(availableParallelism(), wanted.length) }, (_, i) => join(work, `${i}`));
  for (const tree of trees) makeTree(tree);

  const tests = options.tests === "full" ? [] : [...new Set(wanted.flatMap((mutation) => mutation.tests))];
  const clean = await runNamed(trees[0], tests, [], tests.length === 0 ? TIMEOUT_MS.full : 10 * TIMEOUT_MS.named);
  const isClean = clean.status === 0 && clean.report !== undefined;
  say(
    isClean ? "passed" : "failed",
    `without a mutation: ${isClean ? "every test passes" : (judge(clean).test ?? judge(clean).problem)}`,
  );
  if (isClean) {
    const ran = testsOf(clean.report).filter((test) => test.status === "passed");
    able = new Set(ran.map(({ file }) => relative(trees[0], file).replaceAll(sep, "/")));
    const queue = [...wanted];
    const lane = async (tree) => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await tryOut(tree, next);
    };
    await Promise.all(trees.map(lane));
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = counts.failed === 0 ? 0 : 1;
