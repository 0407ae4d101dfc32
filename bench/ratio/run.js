// Ratio and speed of the block encoder beside its peers, on one core, set by set: every round measures all of them in
// turns. Everything that is measured is decoded and compared first. Needs `npm run build` and `npm run build:native`;
// libblosc's columns need a Python with numcodecs:
//
//   python3 -m venv build/ratio-venv && build/ratio-venv/bin/pip install numcodecs
//   node bench/ratio/run.js --out bench/results [--images FOLDER] [--python PATH] [--rounds 5] [--chunk-bytes 262144]
//                           [--only SET] [--machine NAME] [--json]
//
// FOLDER holds frames/*.tif (together one set) and sets/*.tif (a set each).
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { checkoutCommit, machineFacts } from "../../dist/bench/machine.js";
import { spread } from "../../dist/bench/statistics.js";
import { addonStatus, loadAddon } from "../../dist/native/binding.js";
import { bloscContenders, OURS, ownContenders } from "./contenders.js";
import { imageSets } from "./sets.js";
import { summary, summaryText, tables } from "./table.js";

const SCHEMA = 1;

const { values: options } = parseArgs({
  options: {
    images: { type: "string", default: process.env.MILLRACE_BENCH_IMAGES },
    python: { type: "string", default: fileURLToPath(new URL("../../build/ratio-venv/bin/python", import.meta.url)) },
    rounds: { type: "string", default: "5" },
    "chunk-bytes": { type: "string", default: "262144" },
    only: { type: "string" },
    out: { type: "string" },
    machine: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const rounds = count("rounds");
const chunkBytes = count("chunk-bytes");
if (chunkBytes % 8 !== 0) usage("--chunk-bytes must be a multiple of 8");

const say = (text) => process.stderr.write(`${text}\n`);
const scratch = mkdtempSync(join(tmpdir(), "millrace-ratio-"));
const blosc = await bloscContenders(options.python, scratch);
if (blosc === undefined) say(`no numcodecs at ${options.python}: libblosc's columns are left out (--python)`);
const contenders = [...ownContenders(), ...(blosc?.contenders ?? [])];

const rows = [];
try {
  for (const set of await imageSets(options.images, chunkBytes)) {
    if (options.only !== undefined && !set.name.includes(options.only)) continue;
    rows.push(await measure(set));
  }
} finally {
  await blosc?.close();
  rmSync(scratch, { recursive: true });
}
if (rows.length === 0) usage(`no set is called ${options.only}`);

const machine = machineFacts();
const commit = checkoutCommit();
const label = options.machine ?? `${machine.cpu.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-${machine.cores}c`;
const dateMs = Date.now();
const day = new Date(dateMs).toISOString().slice(0, 10);
const lines = summary(rows);
const encoder = loadAddon()?.features.encoder ?? addonStatus().reason;
const result = {
  schema: SCHEMA,
  dateMs,
  machine: label,
  facts: machine,
  commit,
  encoder,
  blosc: blosc?.version,
  chunkBytes,
  rounds,
  rows,
  summary: lines,
};
process.stdout.write(
  `${machine.cpu}, one of ${machine.cores} cores, Node ${machine.node}, encoder ${encoder}, ` +
    `${blosc?.version ?? "no libblosc"}, ` +
    `chunks of ${chunkBytes} bytes, median of ${rounds} rounds, commit ${commit ?? "unknown"}, ${day}.\n` +
    `${tables(rows, contenders)}\n${summaryText(lines)}\n`,
);
if (options.out !== undefined) {
  mkdirSync(options.out, { recursive: true });
  const path = join(options.out, `ratio-${label}-${commit ?? "nocommit"}-${day}.json`);
  writeFileSync(path, `${JSON.stringify(result, undefined, 1)}\n`);
  say(`written to ${path}`);
}
if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);

/** All contenders that take the set, `rounds` times, the first one another each time. */
async function measure(set) {
  say(`${set.name}: ${set.dtype}, ${set.chunks.length} chunks`);
  const bytesIn = set.chunks.reduce((sum, { length }) => sum + length, 0);
  const open = [];
  for (const { name, takes, open: start } of contenders) if (takes(set)) open.push({ name, ...(await start(set)) });
  const seconds = new Map(open.map(({ name }) => [name, []]));
  const ratio = {};
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < open.length; turn++) {
      const { name, run } = open[(turn + round) % open.length];
      const measured = await run();
      seconds.get(name).push(measured.seconds);
      ratio[name] = bytesIn / measured.bytes;
    }
  }
  const gbPerSecond = {};
  const speedOver = {};
  for (const [name, each] of seconds) {
    gbPerSecond[name] = spread(each.map((s) => bytesIn / s / 1e9));
    speedOver[name] = spread(each.map((s, round) => s / seconds.get(OURS)[round])).median;
  }
  const { name, dtype, camera, image } = set;
  return { set: name, dtype, camera, image, bytesIn, ratio, gbPerSecond, speedOver };
}

function count(name) {
  const value = Number(options[name]);
  if (!Number.isSafeInteger(value) || value < 1)
    usage(`--${name}: expected a whole number from 1, got ${options[name]}`);
  return value;
}

function usage(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}
