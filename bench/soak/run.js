// Long runs that look for what short tests cannot find. Needs `npm run build`; `npm run build:native` for the addon.
//
//   npm run soak                                       both: kills for 20 minutes, then the rate for an hour
//   npm run soak -- kills [--minutes 20] [--kills N] [--seed N] [--parallel N]
//   npm run soak -- rate  [--minutes 60] [--seed N] [--codec blosc] [--durability shard]
//   each with [--scratch FOLDER] [--out bench/results] [--machine NAME] [--json]
//
// Exits with 1 when something was lost, wrong, or grew; what failed stays in the scratch folder.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { checkoutCommit, machineFacts } from "../../dist/bench/machine.js";
import { addonStatus } from "../../dist/native/binding.js";
import { soakKills } from "./kills.js";
import { soakRate } from "./rate.js";

const SCHEMA = 1;
const PROGRESS_MS = 5000;

const { values: options, positionals } = parse();
const what = positionals.length === 0 ? ["kills", "rate"] : positionals;
for (const name of what) if (name !== "kills" && name !== "rate") usage(`expected kills or rate, got ${name}`);
const seed = whole("seed", Date.now() % 2 ** 31);
const scratch = mkdtempSync(join(options.scratch ?? tmpdir(), "millrace-soak-"));
const hasZstd = await import("zstd-napi/binding.js").then(
  () => true,
  () => false,
);

let failed = false;
for (const name of what) {
  say(`${name}: seed ${seed}, in ${scratch}`);
  const result = name === "kills" ? await kills() : await rate();
  failed ||= result.failures.length > 0;
  report(name, result);
}
if (!failed) rmSync(scratch, { recursive: true });
else say(`what is left lies in ${scratch}`);
process.exitCode = failed ? 1 : 0;

function kills() {
  return soakKills({
    minutes: number("minutes", 20),
    kills: whole("kills", Number.MAX_SAFE_INTEGER),
    seed,
    parallel: whole("parallel", Math.min(8, availableParallelism())),
    folder: scratch,
    hasZstd,
    onProgress: every(PROGRESS_MS, say),
  });
}

function rate() {
  const line = every(PROGRESS_MS, (sample, writer) => {
    const { rss, seconds, handles, threads } = sample;
    const gb = (writer.watermarks.accepted * writer.geometry.rowBytes) / 1e9;
    say(
      `${seconds} s: ${gb.toFixed(1)} GB, memory ${Math.round(rss / 1e6)} MB, handles ${handles}, threads ${threads}`,
    );
  });
  return soakRate({
    minutes: number("minutes", 60),
    seed,
    folder: scratch,
    codec: options.codec ?? "blosc",
    durability: options.durability ?? "shard",
    onProgress: line,
  });
}

function report(name, result) {
  const facts = machineFacts();
  const commit = checkoutCommit();
  const { loaded, reason } = addonStatus();
  const dateMs = Date.now();
  const label = options.machine ?? `${facts.cpu.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-${facts.cores}c`;
  const record = {
    schema: SCHEMA,
    what: name,
    dateMs,
    commit,
    machine: label,
    facts,
    addon: { loaded, reason },
    seed,
    result,
  };
  if (options.json) process.stdout.write(`${JSON.stringify(record)}\n`);
  else process.stdout.write(name === "kills" ? killsText(result) : rateText(result));
  for (const failure of result.failures) say(`FAILED: ${JSON.stringify(failure)}`);
  if (options.out === undefined) return;
  mkdirSync(options.out, { recursive: true });
  const day = new Date(dateMs).toISOString().slice(0, 10);
  const path = join(options.out, `soak-${name}-${label}-${commit ?? "nocommit"}-${day}.json`);
  writeFileSync(path, `${JSON.stringify(record, undefined, 1)}\n`);
  say(`written to ${path}`);
}

function killsText({ kills: { none, shard, batch }, ...r }) {
  return (
    `${none + shard + batch} streams killed (durability none ${none}, shard ${shard}, batch ${batch}; ` +
    `${r.killsWhileOpening} while they opened) ` +
    `in ${r.stores} stores, ${r.recoveriesKilled} recoveries killed, ${r.recoveries} run to their end.\n` +
    `${r.rowsDurable} rows were said to be durable, ${r.rowsKept} were recovered, ${r.failures.length} failures.\n`
  );
}

function rateText(r) {
  const ms = ({ count, p50Ms, p99Ms, p999Ms, maxMs }) =>
    `${count} times, median ${p50Ms.toFixed(3)}, p99 ${p99Ms.toFixed(3)}, p99.9 ${p999Ms.toFixed(3)}, ` +
    `longest ${maxMs.toFixed(1)} ms`;
  const change = (name) =>
    r.growth[name] === undefined
      ? "not seen here"
      : `${r.growth[name].early} → ${r.growth[name].late} (highest ${r.growth[name].highest})`;
  const slowPercent = (slow) => ((100 * slow.withoutCoreMs) / slow.ms).toFixed(1);
  const slow =
    r.slow === undefined
      ? ""
      : `of appends above 1 ms with room: ${r.slow.count}, ` +
        `in ${slowPercent(r.slow)} % of their time there was no core\n`;
  return (
    `${(r.bytesIn / 1e9).toFixed(1)} GB in ${r.minutes.toFixed(1)} minutes with ${r.pauses} pauses, ` +
    `${r.gbPerSecondWhileStreaming.toFixed(2)} GB/s while streaming, ${r.framesCompared} frames read back.\n` +
    `appends with room: ${ms(r.append.roomLeft)}\nappends that waited: ${ms(r.append.waited)}\n` +
    `bare copies beside: ${ms(r.bareCopy)}\n` +
    `${slow}memory ${change("rss")} bytes, handles ${change("handles")}, ` +
    `threads ${change("threads")}${r.growthJudged ? "" : " (too short to judge)"}, ${r.failures.length} failures.\n`
  );
}

/** Calls `action` at most once in so many milliseconds. */
function every(ms, action) {
  let next = 0;
  return (...given) => {
    if (performance.now() < next) return;
    next = performance.now() + ms;
    action(...given);
  };
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        minutes: { type: "string" },
        kills: { type: "string" },
        seed: { type: "string" },
        parallel: { type: "string" },
        codec: { type: "string" },
        durability: { type: "string" },
        scratch: { type: "string" },
        out: { type: "string" },
        machine: { type: "string" },
        json: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    return usage(error.message);
  }
}

function number(name, usual) {
  const value = Number(options[name] ?? usual);
  if (!(value > 0)) usage(`--${name}: expected a number above 0, got ${options[name]}`);
  return value;
}

function whole(name, usual) {
  const value = number(name, usual);
  if (!Number.isSafeInteger(value)) usage(`--${name}: expected a whole number, got ${options[name]}`);
  return value;
}

function usage(message) {
  process.stderr.write(
    `${message}\nusage: npm run soak -- [kills] [rate] [--minutes N] [--seed N] [--scratch FOLDER] [--out FOLDER] …\n`,
  );
  process.exit(2);
}
