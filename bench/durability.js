// What durability costs: the same stream into a folder at "none", "shard" and "batch", in turns, each run in a process
// of its own, and what the journal's checksums take. Needs `npm run build` and `npm run build:native`, a disk to
// measure, and a machine with nothing else to do.
//
//   node bench/durability.js [--out bench/results] [--scratch FOLDER] [--seconds 4] [--rounds 5] [--only TITLE]
//                            [--machine NAME] [--json]
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { childRunner } from "../dist/bench/child.js";
import { checkoutCommit, machineFacts } from "../dist/bench/machine.js";
import { findScenario } from "../dist/bench/scenarios/catalog.js";
import { ratios, spread } from "../dist/bench/statistics.js";
import { addonStatus } from "../dist/native/binding.js";

const SCHEMA = 1;
const LEVELS = ["none", "shard", "batch"];
const RUNS = [
  { title: "none, smallepoch", scenario: "smallepoch", codec: "none" },
  { title: "none, orca2", scenario: "orca2", codec: "none" },
  { title: "blosc, smallepoch, camera", scenario: "smallepoch", codec: "blosc" },
  { title: "blosc, orca2, camera", scenario: "orca2", codec: "blosc" },
];

const { values: options } = parseArgs({
  options: {
    out: { type: "string" },
    scratch: { type: "string", default: tmpdir() },
    seconds: { type: "string", default: "4" },
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
    machine: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const runJob = childRunner(new URL("../dist/cli/bench_child.js", import.meta.url));
const facts = machineFacts();
const folder = mkdtempSync(join(options.scratch, "millrace-durability-"));
const runs = [];
try {
  for (const run of RUNS) {
    if (options.only !== undefined && !run.title.includes(options.only)) continue;
    runs.push(await measure(run));
  }
} finally {
  rmSync(folder, { recursive: true });
}
if (runs.length === 0) {
  process.stderr.write(`nothing is called ${options.only}\n`);
  process.exit(2);
}
const commit = checkoutCommit();
const dateMs = Date.now();
const day = new Date(dateMs).toISOString().slice(0, 10);
const label = options.machine ?? `${facts.cpu.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-${facts.cores}c`;
const { loaded, reason } = addonStatus();
const result = { schema: SCHEMA, dateMs, commit, machine: label, facts, addon: { loaded, reason }, runs };
process.stdout.write(
  `${facts.cpu}, ${facts.cores} cores, Node ${facts.node}, commit ${commit ?? "unknown"}, ${day}; ` +
    `median of ${options.rounds} rounds.\n\n${table(runs)}\n`,
);
if (options.out !== undefined) {
  mkdirSync(options.out, { recursive: true });
  const path = join(options.out, `durability-${label}-${commit ?? "nocommit"}-${day}.json`);
  writeFileSync(path, `${JSON.stringify(result, undefined, 1)}\n`);
  process.stderr.write(`written to ${path}\n`);
}
if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);

/** All levels in turns, another one first in each round. */
async function measure({ title, scenario: name, codec }) {
  const scenario = findScenario(name);
  const rounds = Object.fromEntries(LEVELS.map((level) => [level, []]));
  for (let round = 0; round < Number(options.rounds); round++) {
    for (let turn = 0; turn < LEVELS.length; turn++) {
      const durability = LEVELS[(turn + round) % LEVELS.length];
      process.stderr.write(`${title}, round ${round + 1}: ${durability}\n`);
      // What an earlier run left to be written must not be this one's to wait for.
      spawnSync("sync");
      const settings = {
        scenario: scenario.name,
        dimensions: scenario.dimensions,
        streams: 1,
        codec: { name: codec },
        backend: "cpu",
        allowSoftwareAdapter: false,
        sink: { kind: "file", folder, directIo: false },
        durability,
        fill: { name: codec === "none" ? "xor" : "camera", files: [] },
        prefill: true,
        appendBytes: scenario.appendBytes,
        seconds: Number(options.seconds),
      };
      rounds[durability].push(figuresOf(await runJob({ kind: "writer", settings })));
      rmSync(join(folder, "bench0.zarr"), { recursive: true, force: true });
    }
  }
  const levels = {};
  for (const level of LEVELS) {
    const of = (field) => rounds[level].map((one) => one[field]);
    const overNone = (field) =>
      ratios(
        of(field),
        rounds.none.map((one) => one[field]),
      );
    levels[level] = {
      gbPerSecond: spread(of("gbPerSecond")),
      gbPerSecondOverNone: overNone("gbPerSecond"),
      cpuSecondsPerGb: spread(of("cpuSecondsPerGb")),
      cpuSecondsPerGbOverNone: overNone("cpuSecondsPerGb"),
      checksumShare: spread(of("checksumShare")),
      syncMsPerBatch: spread(of("syncMsPerBatch")),
    };
  }
  return { title, scenario: scenario.name, codec, levels, rounds };
}

function figuresOf(run) {
  const stage = (name) => run.stages.find((one) => one.name === name) ?? { busyNs: 0, count: 0 };
  return {
    gbPerSecond: run.gbPerSecond,
    cpuSecondsPerGb: 1 / run.gbPerCpuSecond,
    /** Of chunks, for the journal, on the delivery thread: of all processor time. */
    checksumShare: stage("checksum").busyNs / 1e9 / run.cpuSeconds,
    /** Of all shards that a batch went to, added up, though they run side by side. */
    syncMsPerBatch: stage("sync").busyNs / 1e6 / run.batches,
    batches: run.batches,
    seconds: run.seconds,
    stages: run.stages,
    appendNs: run.appendNs,
  };
}

function table(all) {
  const number = ({ median, min, max }, digits = 2) =>
    `${median.toFixed(digits)} (${min.toFixed(digits)} – ${max.toFixed(digits)})`;
  const percent = ({ median, min, max }) =>
    `${(100 * median).toFixed(0)} % (${(100 * min).toFixed(0)} – ${(100 * max).toFixed(0)})`;
  return [
    "| | durability | GB/s | of `none` | CPU s/GB | of `none` | checksums, of CPU time " +
      "| syncs of a batch, ms added up |",
    "|---|---|---|---|---|---|---|---|",
    ...all.flatMap(({ title, levels }) =>
      LEVELS.map((level) => {
        const one = levels[level];
        const cells = [
          level === "none" ? title : "",
          level,
          number(one.gbPerSecond),
          percent(one.gbPerSecondOverNone),
          number(one.cpuSecondsPerGb),
          percent(one.cpuSecondsPerGbOverNone),
          percent(one.checksumShare),
          one.syncMsPerBatch.median === 0 ? "–" : number(one.syncMsPerBatch, 1),
        ];
        return `| ${cells.join(" | ")} |`;
      }),
    ),
  ].join("\n");
}
