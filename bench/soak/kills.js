// Kills processes that write stores, and processes that recover them, at random moments (SIGKILL), and looks at what
// they leave behind: whatever is published reads right at every moment; `recover` keeps every row that was said to be
// durable; it may be killed as well; verify finds nothing; the store can be resumed, and that stream is killed again.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { seededRandom } from "../../dist/bench/seeded_random.js";
import { recoverStore } from "../../dist/index.js";
import { checkDefects, checkedRows } from "./store.js";

const CHILD = fileURLToPath(new URL("kill_child.js", import.meta.url));
/** A store is read whole several times a kill. */
const STORE_BYTES_MAX = 4e6;
/** Streams of one store: all but the first resume it. */
const LINKS_MAX = 4;
/** A child that hangs is a finding. */
const CHILD_MS_MAX = 60_000;

const pick = (random, values) => values[Math.floor(random() * values.length)];

/** One layout and one way to write it, drawn from everything that orders writes differently. */
function randomStream(random, hasZstd) {
  const columns = pick(random, [60, 600, 6000]);
  const chunkRows = pick(random, [1, 4, 16]);
  const shardEpochs = pick(random, [2, 3, 8]);
  return {
    columns,
    rowsMax: Math.floor(STORE_BYTES_MAX / LINKS_MAX / 2 / columns),
    array: {
      dtype: "uint16",
      codec: pick(random, ["none", "blosc", "zstd", ...(hasZstd ? ["zstd:1"] : [])]),
      dimensions: [
        { name: "t", size: null, chunk: chunkRows, shard: chunkRows * shardEpochs },
        { name: "x", size: columns, chunk: columns / 6, shard: columns / pick(random, [1, 3]) },
      ],
    },
    writer: {
      backend: "cpu",
      durability: pick(random, ["none", "shard", "batch"]),
      threads: random() < 0.25 ? "inline" : "workers",
      batchEpochs: pick(random, [1, 2, 5]),
      publishIntervalMs: pick(random, [0, 0, 20, 1000]),
    },
  };
}

/**
 * Starts a child; `lines` grows as it speaks. `isOpen` resolves with its first line, `hasPromised` when it has promised
 * more than `rowsBefore` rows (a recovery: with its first line); both when it ends without.
 */
function start(job, rowsBefore = 0) {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(job)], { stdio: ["ignore", "pipe", "pipe"] });
  const started = { child, lines: [], stderr: "" };
  let rest = "";
  let opened;
  let hasMore;
  started.isOpen = new Promise((resolve) => {
    opened = resolve;
  });
  started.hasPromised = new Promise((resolve) => {
    hasMore = resolve;
  });
  child.stdout.setEncoding("utf8").on("data", (text) => {
    const all = (rest + text).split("\n");
    rest = all.pop();
    started.lines.push(...all);
    opened();
    if (job.recover || promised(started.lines).durable > rowsBefore) hasMore();
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    started.stderr += text;
  });
  started.ended = once(child, "close").then(([code, signal]) => {
    opened();
    hasMore();
    return { code, signal };
  });
  return started;
}

/**
 * Kills it after a random time: from its start, from when it is open, or from when it has promised something. The last
 * is there for slow machines, on which a stream would else never get so far. Resolves when it is gone.
 */
async function killAtRandom(started, random, spreadMs, atKill) {
  const hung = setTimeout(() => {
    started.stderr += `\nstill there after ${CHILD_MS_MAX} ms`;
    started.hung = true;
    started.child.kill("SIGKILL");
  }, CHILD_MS_MAX);
  try {
    const from = random();
    if (from < 0.4) await started.hasPromised;
    else if (from < 0.8) await started.isOpen;
    await Promise.race([pause(random() * spreadMs), started.ended]);
    await atKill?.();
    started.child.kill("SIGKILL");
    const { code, signal } = await started.ended;
    const closed = started.lines.includes("closed");
    if (started.hung || (signal !== "SIGKILL" && (code !== 0 || !closed))) {
      throw new Error(`the process ended with ${signal ?? code}: ${started.stderr.trim()}`);
    }
    return { killed: signal === "SIGKILL", opened: started.lines.includes("open"), closed };
  } finally {
    clearTimeout(hung);
  }
}

/** The last promise that it was heard to make. */
function promised(lines) {
  const last = lines.filter((line) => line.startsWith("rows ")).at(-1);
  const [, durable, published] = (last ?? "rows 0 0").split(" ").map(Number);
  return { durable, published };
}

/** A store from its first stream to its last recovery. Adds to `totals`. */
async function oneStore(folder, seed, hasZstd, totals) {
  const random = seededRandom(seed);
  const path = join(folder, "run.zarr");
  const { columns, ...stream } = randomStream(random, hasZstd);
  const { durability } = stream.writer;
  let rowsBefore = 0;
  for (let link = 0; link < LINKS_MAX; link++) {
    const job = {
      path,
      columns,
      ...stream,
      seed: Math.floor(random() * 2 ** 32),
      mode: link === 0 ? "create" : "resume",
    };
    const started = start(job, rowsBefore);
    const { killed, opened, closed } = await killAtRandom(started, random, 250, async () => {
      // A reader beside the living writer.
      const told = promised(started.lines).published;
      const seen = await checkedRows(path, columns);
      if ((seen ?? 0) < told)
        throw new Error(`${told} rows were said to be published, ${seen} are, while the writer runs`);
    });
    totals.streams++;
    if (killed) totals.kills[durability]++;
    if (killed && !opened) totals.killsWhileOpening++;
    const told = promised(started.lines);
    // A stream that was killed while it opened has promised nothing; what was there before is its promise.
    const durable = Math.max(told.durable, rowsBefore);
    const published = Math.max(told.published, rowsBefore);

    const seen = await checkedRows(path, columns);
    if ((seen ?? 0) < published) throw new Error(`${published} rows were said to be published, ${seen} are`);
    if (seen !== undefined) await checkDefects(path);

    while (random() < 0.3) {
      const recovering = start({ recover: true, path });
      const end = await killAtRandom(recovering, random, 60).catch((error) => {
        // Nothing there to recover is an error of ours, which the process ends with.
        if (/STORE_NOT_FOUND/.test(recovering.stderr)) return { killed: false };
        throw error;
      });
      if (end.killed) totals.recoveriesKilled++;
      const between = await checkedRows(path, columns);
      if ((between ?? 0) < published)
        throw new Error(`${published} rows were published, ${between} are, in mid-recovery`);
    }
    const report = await recoverStore(path).catch((error) => {
      if (error.code === "STORE_NOT_FOUND" && durable === 0) return { status: "nothing" };
      throw error;
    });
    totals.recoveries++;
    if (report.status === "damaged") throw new Error(`recover says damaged: ${JSON.stringify(report)}`);
    const rowsLost = (report.arrays ?? []).reduce((sum, array) => sum + array.rowsLost, 0);
    if (rowsLost > 0) throw new Error(`recover lost ${rowsLost} rows that were committed`);
    const kept = (await checkedRows(path, columns)) ?? 0;
    if (kept < durable) throw new Error(`${durable} rows were said to be durable, ${kept} were kept`);
    totals.rowsDurable += durable - rowsBefore;
    totals.rowsKept += kept - rowsBefore;
    if (report.status === "nothing" || report.status === "nothing-to-recover") return;
    await checkDefects(path);
    const again = await recoverStore(path);
    if (again.status !== "clean") throw new Error(`a second recovery says ${again.status}`);
    if (closed && kept - rowsBefore !== stream.rowsMax) throw new Error(`${kept} rows of a stream that was closed`);
    rowsBefore = kept;
  }
}

/**
 * @param options.minutes ends after so long; options.kills after so many killed streams, whatever comes first
 * @param options.folder where stores are made; what failed stays there
 * @returns what was tried; `failures` is empty when all went well
 */
export async function soakKills({ minutes, kills, seed, parallel, folder, hasZstd, onProgress }) {
  const endMs = performance.now() + minutes * 60_000;
  const totals = {
    stores: 0,
    streams: 0,
    kills: { none: 0, shard: 0, batch: 0 },
    killsWhileOpening: 0,
    recoveries: 0,
    recoveriesKilled: 0,
    rowsDurable: 0,
    rowsKept: 0,
    failures: [],
  };
  const killed = () => totals.kills.none + totals.kills.shard + totals.kills.batch;
  const worker = async () => {
    while (totals.failures.length === 0 && performance.now() < endMs && killed() < kills) {
      const store = totals.stores++;
      const own = mkdtempSync(join(folder, `store${store}-`));
      try {
        await oneStore(own, seed + store, hasZstd, totals);
        rmSync(own, { recursive: true });
      } catch (error) {
        totals.failures.push({ seed: seed + store, folder: own, message: error.message, code: error.code });
      }
      onProgress(`${killed()} streams and ${totals.recoveriesKilled} recoveries killed, ${totals.stores} stores`);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return totals;
}
