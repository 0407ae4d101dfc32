// The same frames through Millrace, acquire-zarr, TensorStore and zarr-python, one after the other, again and again: A
// B C D A B C D … Everything is written to the same disk. Needs `npm run build`, and once:
//
//   python3 -m venv build/bench-venv && build/bench-venv/bin/pip install -r bench/peers/requirements.txt
//   node bench/peers/run.js --out bench/results --scratch FOLDER [--images FOLDER] [--rounds 3] [--megabytes 512]
//                           [--geometry small|large] [--durability none|shard] [--codec zstd|blosc]
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { checkoutCommit, machineFacts } from "../../dist/bench/machine.js";
import { ratios, spread } from "../../dist/bench/statistics.js";
import { openBenchFill } from "../../dist/cli/bench_fills.js";

const SCHEMA = 1;
const REFERENCE = "millrace blosc";

const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: "bench/results" },
    machine: { type: "string" },
    scratch: { type: "string", default: tmpdir() },
    python: { type: "string", default: fileURLToPath(new URL("../../build/bench-venv/bin/python", import.meta.url)) },
    /** A folder of .tif files, uint16; without one, the synthetic camera. */
    images: { type: "string", default: process.env.MILLRACE_BENCH_IMAGES },
    rounds: { type: "string", default: "3" },
    megabytes: { type: "string", default: "512" },
    geometry: { type: "string", multiple: true, default: ["small", "large"] },
    durability: { type: "string", multiple: true, default: ["none", "shard"] },
    codec: { type: "string", multiple: true, default: ["zstd", "blosc"] },
  },
});

/** [t, y, x], in elements; t of the shape is what `megabytes` makes of it. */
const GEOMETRIES = {
  small: { shape: [0, 520, 696], chunk: [16, 130, 174], shard: [64, 520, 696] },
  large: { shape: [0, 2048, 2048], chunk: [16, 256, 256], shard: [64, 1024, 1024] },
};
const PEERS = ["millrace", "acquire-zarr", "tensorstore", "zarr-python"];

/** Frames in memory: whole shard rows, so that every writer meets every frame boundary alike. */
async function makeFrames(geometry, path) {
  const [, height, width] = geometry.shape;
  const rows = geometry.shard[0];
  const dimensions = ["t", "y", "x"].map((name, i) => ({
    name,
    size: geometry.shape[i] || null,
    chunk: geometry.chunk[i],
  }));
  const files = options.images === undefined ? [] : tiffFiles(options.images);
  const spec = { name: files.length > 0 ? "images" : "camera", files };
  const fill = await openBenchFill(spec, { dimensions });
  const frames = new Uint16Array(rows * height * width);
  fill.rows(0, rows, frames);
  writeFileSync(path, frames);
  return spec.name;
}

function tiffFiles(folder) {
  const names = readdirSync(folder).filter((name) => /\.tiff?$/i.test(name));
  if (names.length === 0) throw new Error(`--images ${folder}: there is no .tif file in it`);
  return names.sort().map((name) => join(folder, name));
}

function runOne(peer, job) {
  const text = JSON.stringify(job);
  const script = (name) => fileURLToPath(new URL(name, import.meta.url));
  const output =
    peer === "millrace"
      ? execFileSync(process.execPath, [script("millrace.js"), text], { encoding: "utf8" })
      : execFileSync(options.python, [script("peer.py"), peer, "--job", text], { encoding: "utf8" });
  rmSync(job.store, { recursive: true, force: true });
  return JSON.parse(output);
}

function versions() {
  const code =
    "import importlib.metadata as m, json; print(json.dumps({n: m.version(n) for n in " +
    "['acquire-zarr','tensorstore','zarr','numcodecs']}))";
  return JSON.parse(execFileSync(options.python, ["-c", code], { encoding: "utf8" }));
}

const folder = mkdtempSync(join(options.scratch, "millrace-peers-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
process.once("SIGINT", () => process.exit(130));

const sets = [];
for (const geometryName of options.geometry) {
  const geometry = GEOMETRIES[geometryName];
  const frames = join(folder, "frames.raw");
  const input = await makeFrames(geometry, frames);
  const frameBytes = geometry.shape[1] * geometry.shape[2] * 2;
  const shardRows = Math.max(2, Math.round((Number(options.megabytes) * 1e6) / (frameBytes * geometry.shard[0])));
  const rows = shardRows * geometry.shard[0];
  for (const durability of options.durability) {
    const contestants = options.codec.flatMap((codec) => PEERS.map((peer) => ({ peer, codec, runs: [] })));
    for (let round = 0; round < Number(options.rounds); round++) {
      for (const contestant of contestants) {
        const { peer, codec } = contestant;
        if (contestant.notYet !== undefined) continue;
        process.stderr.write(`${geometryName}, ${durability}, round ${round + 1}: ${peer} ${codec}\n`);
        const job = {
          ...geometry,
          rows,
          codec,
          durable: durability === "shard",
          frames,
          store: join(folder, "s.zarr"),
        };
        const run = runOne(peer, job);
        if (run.notYet === undefined)
          contestant.runs.push({ ...run, gbPerSecond: (rows * frameBytes) / run.seconds / 1e9 });
        else contestant.notYet = run.notYet;
      }
    }
    sets.push(
      summarize({
        geometry: geometryName,
        ...geometry,
        rows,
        bytesIn: rows * frameBytes,
        durability,
        input,
        contestants,
      }),
    );
  }
}

function summarize({ contestants, ...set }) {
  const rates = (contestant) => contestant.runs.map((run) => run.gbPerSecond);
  const name = ({ peer, codec }) => `${peer} ${codec}`;
  const reference = contestants.find((contestant) => name(contestant) === REFERENCE && contestant.runs.length > 0);
  const results = contestants
    .filter(({ notYet }) => notYet === undefined)
    .map((contestant) => ({
      name: name(contestant),
      gbPerSecond: spread(rates(contestant)),
      cpuSeconds: spread(contestant.runs.map((run) => run.cpuSeconds)),
      ratio: set.bytesIn / contestant.runs[0].bytesStored,
      peakRssAboveStartBytes: spread(contestant.runs.map((run) => run.peakRssBytes - run.baselineRssBytes)),
      /** How many times faster the reference was, round by round. */
      referenceOver: reference === undefined ? null : ratios(rates(reference), rates(contestant)),
      runs: contestant.runs,
    }));
  const notYet = contestants.filter((contestant) => contestant.notYet !== undefined).map(name);
  return { ...set, reference: REFERENCE, results, notYet };
}

const machine = machineFacts();
const commit = checkoutCommit();
const now = new Date();
const label = options.machine ?? `${machine.cpu.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-${machine.cores}c`;
mkdirSync(options.out, { recursive: true });
const path = join(options.out, `peers-${label}-${commit ?? "nocommit"}-${now.toISOString().slice(0, 10)}.json`);
const result = {
  schema: SCHEMA,
  date: now.toISOString(),
  commit,
  machine,
  versions: versions(),
  rounds: Number(options.rounds),
  sets,
};
writeFileSync(path, `${JSON.stringify(result, null, 1)}\n`);

for (const set of sets) {
  const spreadText = ({ median, min, max }, digits) =>
    `${median.toFixed(digits)} (${min.toFixed(digits)} – ${max.toFixed(digits)})`;
  const size = set.shape.slice(1).join(" × ");
  process.stdout.write(
    `\n${set.input} frames of ${size}, ${(set.bytesIn / 1e6).toFixed(0)} MB, durability ${set.durability}\n\n`,
  );
  process.stdout.write(
    `| | GB/s | ${REFERENCE} is faster by | ratio | CPU s | peak memory |\n|---|---|---|---|---|---|\n`,
  );
  for (const row of set.results) {
    const by = row.referenceOver === null ? "" : spreadText(row.referenceOver, 2);
    process.stdout.write(
      `| ${row.name} | ${spreadText(row.gbPerSecond, 3)} | ${by} | ${row.ratio.toFixed(2)} | ` +
        `${row.cpuSeconds.median.toFixed(2)} | ${(row.peakRssAboveStartBytes.median / 1e6).toFixed(0)} MB |\n`,
    );
  }
  if (set.notYet.length > 0) process.stdout.write(`\nNot in this version: ${set.notYet.join(", ")}.\n`);
}
process.stderr.write(`\nwritten to ${path}\n`);
