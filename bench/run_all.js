// The project's own figures, all of them, in one go: runs a fixed list of `millrace bench`, one after the other, writes
// one JSON file and prints the table that docs/benchmarks.md holds. Needs `npm run build` and `npm run build:native`,
// and a machine with nothing else to do.
//
//   node bench/run_all.js --out bench/results [--machine NAME] [--scratch FOLDER] [--seconds 3] [--rounds 5]
//                         [--only TITLE]
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** Changes when the file's layout changes. */
const SCHEMA = 1;

const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: "bench/results" },
    machine: { type: "string" },
    /** For the file sink; on the disk that is to be measured. */
    scratch: { type: "string", default: tmpdir() },
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
  },
});

const file = ["--sink", "file", "--out", options.scratch];
/** `slow`: a batch takes so long that the window needs more time to hold four. */
const RUNS = [
  { title: "none, orca2", args: ["orca2", "--codec", "none"] },
  { title: "none, smallepoch", args: ["smallepoch", "--codec", "none"] },
  { title: "none, cube256", args: ["cube256", "--codec", "none"] },
  { title: "none, 512-byte appends", args: ["smallepoch", "--codec", "none", "--append-bytes", "512"] },
  { title: "blosc, orca2, camera", args: ["orca2", "--codec", "blosc", "--fill", "camera"] },
  { title: "blosc, smallepoch, camera", args: ["smallepoch", "--codec", "blosc", "--fill", "camera"] },
  { title: "blosc, cube256, camera", args: ["cube256", "--codec", "blosc", "--fill", "camera"] },
  { title: "zstd:1, orca2, camera", args: ["orca2", "--codec", "zstd:1", "--fill", "camera"], slow: true },
  { title: "none, file, not durable", args: ["smallepoch", "--codec", "none", ...file, "--durability", "none"] },
  { title: "none, file, durable", args: ["smallepoch", "--codec", "none", ...file] },
  { title: "blosc, file, durable, camera", args: ["smallepoch", "--codec", "blosc", "--fill", "camera", ...file] },
];
/** The same stream, a hundred times longer: memory must not know the difference. */
const FLAT = { args: ["smallepoch", "--codec", "none"], shortBatches: 200, factor: 100 };

const cli = fileURLToPath(new URL("../bin/millrace.js", import.meta.url));

/** Runs one benchmark; its progress goes to stderr. Rejects with what it said when it gives no figure. */
function bench(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, "bench", ...args, "--prefill", "--json"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code !== 0) reject(new Error(`bench ${args.join(" ")}: exit code ${code}`));
      else resolve(JSON.parse(stdout.trim().split("\n").at(-1)));
    });
  });
}

const wanted = (title) => options.only === undefined || title.includes(options.only);
const common = ["--rounds", options.rounds];
const runs = [];
for (const { title, args, slow } of RUNS.filter((run) => wanted(run.title))) {
  const seconds = String(Number(options.seconds) * (slow ? 2 : 1));
  runs.push({ title, ...(await bench([...args, ...common, "--seconds", seconds])) });
}
let flat;
if (wanted("flat memory")) {
  const lengths = [FLAT.shortBatches, FLAT.shortBatches * FLAT.factor];
  const results = [];
  for (const batches of lengths) {
    results.push(await bench([...FLAT.args, "--no-ceilings", "--rounds", "1", "--batches", String(batches)]));
  }
  flat = { title: "flat memory", batches: lengths, results };
}
if (runs.length === 0 && flat === undefined) {
  process.stderr.write(`nothing is called ${options.only}\n`);
  process.exit(2);
}

const { machine, commit, dateMs } = runs[0] ?? flat.results[0];
const label = options.machine ?? `${machine.cpu.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-${machine.cores}c`;
const day = new Date(dateMs).toISOString().slice(0, 10);
mkdirSync(options.out, { recursive: true });
const path = join(options.out, `${label}-${commit ?? "nocommit"}-${day}.json`);
writeFileSync(path, `${JSON.stringify({ schema: SCHEMA, machine: label, runs, flat }, dropPaths, 1)}\n`);

const lines = [
  `${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / 1e9).toFixed(0)} GB, Linux ${machine.kernel}, ` +
    `Node ${machine.node}, commit ${commit ?? "unknown"}, ${day}.`,
  "",
  "| | GB/s | ceiling | of the ceiling | per CPU second | ratio | memory / estimate |",
  "|---|---|---|---|---|---|---|",
  ...runs.map(row),
  ...(flat === undefined ? [] : ["", flatLine(flat)]),
];
process.stdout.write(`${lines.join("\n")}\n`);
process.stderr.write(`written to ${path}\n`);

function row({ title, gbPerSecond, ceilings, ratio, peakMemoryOverEstimate }) {
  // The lowest is the one that the pipeline meets first.
  const ceiling = ceilings.reduce((a, b) => (b.gbPerSecond.median < a.gbPerSecond.median ? b : a));
  const cells = [
    title,
    spread(gbPerSecond, (v) => v.toFixed(2)),
    `${spread(ceiling.gbPerSecond, (v) => v.toFixed(2))} ${ceiling.kind}`,
    spread(ceiling.writerOverCeiling, percent),
    spread(ceiling.writerOverCeilingPerCpu, percent),
    ratio.toFixed(2),
    peakMemoryOverEstimate.median.toFixed(2),
  ];
  return `| ${cells.join(" | ")} |`;
}

function flatLine({ batches, results }) {
  const rise = results.map(({ rounds }) =>
    Math.max(...rounds.map(({ writer }) => writer.memory.peakBytes - writer.memory.baselineBytes)),
  );
  const gigabytes = results.map(({ rounds }) => (rounds[0].writer.bytesIn / 1e9).toFixed(1));
  return (
    `Memory after ${batches[0]} batches (${gigabytes[0]} GB): ${(rise[0] / 1e6).toFixed(0)} MB above the start; ` +
    `after ${batches[1]} (${gigabytes[1]} GB): ${(rise[1] / 1e6).toFixed(0)} MB, ` +
    `${(rise[1] / rise[0]).toFixed(3)} times as much.`
  );
}

function spread({ median, min, max }, format) {
  return `${format(median)} (${format(min)} – ${format(max)})`;
}

function percent(value) {
  return `${(100 * value).toFixed(0)} %`;
}

/** Results are published: folders of the machine stay out of them. */
function dropPaths(key, value) {
  return key === "folder" || key === "files" ? undefined : value;
}
