// What a GPU brings on this machine: the machine, memory copies, single kernels, and scenarios of `millrace bench` on
// the CPU and on the GPU in turns. Prints one table at its end; needs `npm run build` (and `npm run build:native`), and
// a machine with nothing else to do.
//
//   node bench/gpu.js [--out FILE] [--rounds 3] [--seconds-per-run 2] [--total-seconds 480] [--scenarios A,B]
//                     [--codecs none,blosc] [--backends cpu,gpu] [--fill camera] [--allow-software-adapter]
//
// Every measurement is a process of its own with a time limit. What fails is a row that says so; the rest goes on. Exit
// code 0, 1 when the GPU's output differs from the CPU's, 2 for wrong options.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runChild } from "./gpu/run_child.js";
import { formatTable, rowsOf } from "./gpu/table.js";

/** Changes when the file's layout changes. */
const SCHEMA = 1;
/** Limits of the measurements before the scenarios, in seconds. */
const ADAPTER_SECONDS = 30;
const HOST_COPY_SECONDS = 40;
const KERNELS_SECONDS = 150;
/** What a run takes besides its window: starting, making the input, warming up. */
const AROUND_RUN_SECONDS = 40;

const startedMs = performance.now();
const options = parseOptions();
const modules = await loadBuilt();
const deadlineMs = startedMs + options.totalSeconds * 1000;
const secondsLeft = () => (deadlineMs - performance.now()) / 1000;
const childPath = (name) => fileURLToPath(new URL(`gpu/${name}.js`, import.meta.url));
const software = options.software ? ["--allow-software-adapter"] : [];

const { SCENARIOS, machineFacts, checkoutCommit, spread } = modules;
checkNames(
  "--scenarios",
  options.scenarios,
  SCENARIOS.map(({ name }) => name),
);
checkNames("--backends", options.backends, ["cpu", "gpu"]);

const report = {
  schema: SCHEMA,
  dateMs: Date.now(),
  commit: checkoutCommit() ?? packedCommit(),
  machine: machineFacts(),
  options,
  adapter: await step("adapter", childPath("adapter"), [], ADAPTER_SECONDS),
  hostCopy: await step("host memory", childPath("host_copy"), [], HOST_COPY_SECONDS),
  kernels: await step("kernels", childPath("kernels"), software, KERNELS_SECONDS),
  scenarios: options.scenarios.flatMap((scenario) =>
    options.codecs.map((codec) => ({
      scenario,
      codec,
      backends: Object.fromEntries(options.backends.map((name) => [name, { runs: [] }])),
    })),
  ),
};
save();
await measureScenarios();
for (const { backends } of report.scenarios) {
  for (const backend of Object.values(backends)) {
    if (backend.runs.length > 0) backend.gbPerSecond = spread(backend.runs.map((run) => run.gbPerSecond));
  }
}
report.seconds = (performance.now() - startedMs) / 1000;
save();
process.stdout.write(formatTable(rowsOf(report)));
if (options.out !== undefined) process.stderr.write(`written to ${options.out}\n`);
const { hashGpu, hashCpu } = report.kernels;
process.exitCode = hashGpu === hashCpu ? 0 : 1;

function step(what, path, args, seconds) {
  process.stderr.write(`${what}\n`);
  return runChild([path, ...args], Math.max(1, Math.min(seconds, secondsLeft())), { echo: true });
}

/**
 * All configurations in turns, round after round, CPU and GPU next to each other and the other way round in the next
 * round. Time that runs out costs rounds, not scenarios. What has failed in its first round is not tried again.
 */
async function measureScenarios() {
  for (let round = 0; round < options.rounds; round++) {
    for (const { scenario, codec, backends } of report.scenarios) {
      const names = round % 2 === 0 ? options.backends : [...options.backends].reverse();
      for (const name of names) {
        const backend = backends[name];
        if (backend.error !== undefined) continue;
        // A run that has been slow before is not started when it cannot end in time.
        if (secondsLeft() < (backend.wallSeconds ?? options.secondsPerRun + 2)) {
          if (backend.runs.length === 0) backend.error = { code: "TIME", message: "no time was left for it" };
          continue;
        }
        process.stderr.write(
          `round ${round + 1} of ${options.rounds}: ${scenario}, ${codec}, ${name}; ` +
            `${secondsLeft().toFixed(0)} s left\n`,
        );
        await measureOne(scenario, codec, name, backend);
        save();
      }
    }
  }
}

async function measureOne(scenario, codec, name, backend) {
  const from = performance.now();
  let answer = await runBench(scenario, codec, name, backend);
  if (answer.error?.code === "INSUFFICIENT_COVERAGE") {
    // It says how long would do.
    backend.seconds = Number(/--seconds (\d+)/.exec(answer.error.message)?.[1] ?? 2 * options.secondsPerRun);
    if (secondsLeft() > backend.seconds + 2) answer = await runBench(scenario, codec, name, backend);
  }
  backend.wallSeconds = Math.max(backend.wallSeconds ?? 0, (performance.now() - from) / 1000);
  if (answer.error !== undefined) {
    // With figures from earlier rounds they stand, and the report keeps what went wrong.
    if (backend.runs.length === 0) backend.error = answer.error;
    else backend.laterError = answer.error;
    return;
  }
  const { writer } = answer.rounds[0];
  backend.adapter = writer.adapter;
  backend.runs.push({
    gbPerSecond: writer.gbPerSecond,
    cpuSecondsPerGb: 1 / writer.gbPerCpuSecond,
    ratio: answer.ratio,
    seconds: writer.seconds,
    batches: writer.batches,
    peakMemoryOverEstimate: writer.memory.peakOverEstimate,
    appendNs: writer.appendNs,
    stages: writer.stages,
    waits: writer.waits,
    chunksByRoute: writer.chunksByRoute,
  });
}

function runBench(scenario, codec, name, backend) {
  const seconds = backend.seconds ?? options.secondsPerRun;
  const cli = fileURLToPath(new URL("../bin/millrace.js", import.meta.url));
  const args = [
    cli,
    "bench",
    scenario,
    "--codec",
    codec,
    "--backend",
    name,
    "--fill",
    options.fill,
    "--prefill",
    "--json",
  ];
  args.push("--rounds", "1", "--no-ceilings", "--seconds", String(seconds), ...(name === "gpu" ? software : []));
  return runChild(args, Math.max(1, Math.min(seconds + AROUND_RUN_SECONDS, secondsLeft())));
}

/** After every measurement: a machine that is taken away leaves what was measured by then. */
function save() {
  if (options.out === undefined) return;
  writeFileSync(`${options.out}.partial`, `${JSON.stringify(report, null, 1)}\n`);
  renameSync(`${options.out}.partial`, options.out);
}

/** The commit that scripts/pack_portable.js packed; null elsewhere. */
function packedCommit() {
  const path = new URL("../portable.json", import.meta.url);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")).commit ?? null) : null;
}

async function loadBuilt() {
  const built = (path) => new URL(`../dist/bench/${path}`, import.meta.url);
  if (!existsSync(built("machine.js"))) fail("dist/ is not there: run `npm run build` first");
  const paths = ["scenarios/catalog.js", "machine.js", "statistics.js"];
  return Object.assign({}, ...(await Promise.all(paths.map((path) => import(built(path).href)))));
}

function parseOptions() {
  const text = (value) => ({ type: "string", default: value });
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        out: { type: "string" },
        rounds: text("3"),
        "seconds-per-run": text("2"),
        "total-seconds": text("480"),
        scenarios: text("cube256,orca2,smallepoch,medfmt,aqz"),
        codecs: text("none,blosc"),
        backends: text("cpu,gpu"),
        fill: text("camera"),
        "allow-software-adapter": { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    fail(error.message);
  }
  const list = (name) => values[name].split(",").filter((item) => item !== "");
  const number = (name, isFit) => {
    const value = Number(values[name]);
    if (!isFit(value)) fail(`--${name}: expected a positive number, got ${values[name]}`);
    return value;
  };
  return {
    out: values.out,
    rounds: number("rounds", (n) => Number.isInteger(n) && n > 0),
    secondsPerRun: number("seconds-per-run", (n) => n > 0 && Number.isFinite(n)),
    totalSeconds: number("total-seconds", (n) => n > 0 && Number.isFinite(n)),
    scenarios: list("scenarios"),
    codecs: list("codecs"),
    backends: list("backends"),
    fill: values.fill,
    software: values["allow-software-adapter"],
  };
}

function checkNames(option, given, known) {
  const unknown = given.filter((name) => !known.includes(name));
  if (unknown.length > 0) fail(`${option}: there is no ${unknown.join(", ")}; there are ${known.join(", ")}`);
  if (given.length === 0) fail(`${option}: expected some of ${known.join(", ")}`);
}

function fail(message) {
  process.stderr.write(`gpu-bench: ${message}\n`);
  process.exit(2);
}
