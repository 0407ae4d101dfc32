// One writer for as long as asked, fed as fast as it takes, with pauses of random length. Its shards are removed once
// they are published, some after they were read back and compared, so that the disk stays empty. Watches what must not
// grow: memory, handles, threads.

import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { seededRandom } from "../../dist/bench/seeded_random.js";
import { openSource } from "../../dist/bench/source.js";
import { openBenchFill } from "../../dist/cli/bench_fills.js";
import { fileSink, openArray, openWriter } from "../../dist/index.js";
import { Histogram } from "../../dist/metrics/histogram.js";

/** A fast detector: frames of half a megabyte. */
const FRAME = [512, 512];
const FRAME_BYTES = FRAME[0] * FRAME[1] * 2;
const DIMENSIONS = [
  { name: "t", type: "time", size: null, chunk: 32, shard: 128 },
  { name: "y", type: "space", size: FRAME[0], chunk: 128, shard: 256 },
  { name: "x", type: "space", size: FRAME[1], chunk: 128, shard: 512 },
];
const BURST_SECONDS_MAX = 10;
const PAUSE_SECONDS_MAX = 3;
/** One pause of twenty: long enough for everything to run dry. */
const LONG_PAUSE_SECONDS = 15;
const SAMPLE_MS = 2000;
/** Appends that found room and took longer are looked at: was this thread given a core? */
const SLOW_NS = 1_000_000;
/** After so many appends comes a bare copy of a frame, on the same thread: what it takes is the machine's, not ours. */
const APPENDS_PER_COPY = 16;
/** Where bare copies go, as cold as staging. */
const COPY_FRAMES = 128;
const CHECK_MS = 10_000;
/**
 * What may differ without a leak: the heap's own rhythm and pages of the allocator; files that are open for a moment.
 */
const RSS_SLACK_BYTES = 64 * 2 ** 20;
const RSS_SLACK = 0.05;
/** Fewer say nothing about growth: two minutes. */
const SAMPLES_MIN = 60;
const COUNT_SLACK = { handles: 2, threads: 0, resources: 2 };

const entriesOf = (folder) => {
  try {
    return readdirSync(folder).length;
  } catch {
    return undefined; // not Linux
  }
};

function sample(fromMs) {
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  return {
    seconds: Math.round((performance.now() - fromMs) / 1000),
    rss,
    heapUsed,
    external,
    arrayBuffers,
    handles: entriesOf("/proc/self/fd"),
    threads: entriesOf("/proc/self/task"),
    resources: process.getActiveResourcesInfo().length,
  };
}

/**
 * For how long, in all, the main thread was ready to run and had no core: the second number of schedstat (Linux:
 * sched-stats.rst), in ns. Undefined elsewhere.
 */
function openRunDelay() {
  let file;
  try {
    file = openSync(`/proc/self/task/${process.pid}/schedstat`);
  } catch {
    return undefined;
  }
  const text = Buffer.alloc(64);
  return {
    readNs: () => Number(text.latin1Slice(0, readSync(file, text, 0, text.length, 0)).split(" ")[1]),
    close: () => closeSync(file),
  };
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Medians of the last quarter and of the one after warm-up. */
function growthOf(samples) {
  // The first tenth opens files, compiles code and touches pages.
  const warm = samples.slice(Math.ceil(samples.length / 10));
  const quarter = Math.ceil(warm.length / 4);
  const growth = {};
  for (const name of ["rss", "heapUsed", "arrayBuffers", "handles", "threads", "resources"]) {
    const values = warm.map((one) => one[name]);
    if (values.includes(undefined)) continue;
    growth[name] = {
      early: median(values.slice(0, quarter)),
      late: median(values.slice(-quarter)),
      highest: values.reduce((a, b) => Math.max(a, b)),
    };
  }
  return growth;
}

function failuresOf(growth) {
  const failures = [];
  const { rss } = growth;
  if (rss.late > rss.early + Math.max(RSS_SLACK_BYTES, rss.early * RSS_SLACK)) {
    failures.push(`resident memory grew from ${rss.early} to ${rss.late} bytes`);
  }
  for (const [name, slack] of Object.entries(COUNT_SLACK)) {
    const found = growth[name];
    if (found !== undefined && found.late > found.early + slack) {
      failures.push(`${name} grew from ${found.early} to ${found.late}`);
    }
  }
  return failures;
}

const figures = (histogram) => {
  const at = (percentile) => histogram.percentile(percentile) / 1e6;
  return {
    count: histogram.count,
    p50Ms: at(50),
    p99Ms: at(99),
    p999Ms: at(99.9),
    p9999Ms: at(99.99),
    maxMs: at(100),
  };
};

/**
 * @param options.folder where the store is made; it is removed, unless something was wrong with it
 * @returns what was measured; `failures` is empty when nothing grew and every frame that was read back was right
 */
export async function soakRate({ minutes, seed, folder, codec, durability, onProgress }) {
  const random = seededRandom(seed);
  const path = join(folder, "run.zarr");
  const [epochRows, batchRows] = [DIMENSIONS[0].chunk, DIMENSIONS[0].chunk];
  const fill = await openBenchFill({ name: "camera", files: [] }, { dimensions: DIMENSIONS });
  const source = openSource({
    fill,
    rowBytes: FRAME_BYTES,
    epochRows,
    appendBytes: FRAME_BYTES,
    batchBytes: batchRows * FRAME_BYTES,
    prefill: true,
  });
  const ringRows = source.bytes / FRAME_BYTES;
  const ring = Array.from({ length: ringRows }, () => source.take(FRAME_BYTES));

  const writer = await openWriter({
    sink: fileSink(path),
    durability,
    array: { dtype: "uint16", codec, dimensions: DIMENSIONS },
  });
  /** Sealed shards that still lie on the disk, oldest first. */
  const sealed = [];
  let failed;
  writer.on("error", (error) => {
    failed ??= error;
  });
  writer.on("shard", (shard) => sealed.push(shard));
  let framesCompared = 0;
  let bytesStored = 0;
  const compare = async (row) => {
    const { data } = await (await openArray(path)).readRegion([row, 0, 0], [row + 1, ...FRAME]);
    if (Buffer.compare(data, ring[row % ringRows]) !== 0) throw new Error(`frame ${row} reads back wrong`);
    framesCompared++;
  };

  const fromMs = performance.now();
  const endMs = fromMs + minutes * 60_000;
  const samples = [];
  let stop = false;
  // Beside the stream, on the same thread, as an application would.
  const watch = (async () => {
    let compareMs = fromMs;
    let removing;
    while (!stop) {
      samples.push(sample(fromMs));
      onProgress(samples.at(-1), writer);
      const { published } = writer.watermarks;
      let last;
      while (sealed.length > 0 && sealed[0].rowTo <= published) {
        const shard = sealed.shift();
        // Of a row of shards that is whole yet.
        if (performance.now() >= compareMs && shard.rowFrom !== removing) {
          await compare(shard.rowFrom + Math.floor(random() * (shard.rowTo - shard.rowFrom)));
          compareMs = performance.now() + CHECK_MS;
        }
        removing = shard.rowFrom;
        bytesStored += shard.bytes;
        await rm(join(path, shard.key));
        last = shard;
      }
      if (last === undefined) await turn();
      await pause(SAMPLE_MS);
    }
  })();
  const watched = watch.catch((error) => {
    failed ??= error;
  });

  const free = new Histogram(3_600_000_000_000);
  const waited = new Histogram(3_600_000_000_000);
  const bare = new Histogram(3_600_000_000_000);
  const copies = new Uint8Array(COPY_FRAMES * FRAME_BYTES).fill(1);
  const runDelay = openRunDelay();
  const slow = { count: 0, ms: 0, withoutCoreMs: 0 };
  const nowNs = () => Number(process.hrtime.bigint());
  let streamingMs = 0;
  let pauses = 0;
  let row = 0;
  while (performance.now() < endMs && failed === undefined) {
    const burstMs = performance.now();
    const burstEndMs = Math.min(endMs, burstMs + random() * BURST_SECONDS_MAX * 1000);
    while (performance.now() < burstEndMs && failed === undefined) {
      const frame = ring[row % ringRows];
      const delayedNs = runDelay?.readNs();
      const startNs = nowNs();
      const accepted = writer.tryAppend(frame);
      if (accepted === FRAME_BYTES) {
        const tookNs = nowNs() - startNs;
        free.record(tookNs);
        if (tookNs > SLOW_NS && runDelay !== undefined) {
          slow.count++;
          slow.ms += tookNs / 1e6;
          slow.withoutCoreMs += (runDelay.readNs() - delayedNs) / 1e6;
        }
      } else {
        await writer.append(frame.subarray(accepted));
        waited.record(nowNs() - startNs);
      }
      row++;
      if (row % APPENDS_PER_COPY === 0) {
        const at = ((row / APPENDS_PER_COPY) % COPY_FRAMES) * FRAME_BYTES;
        const copyNs = nowNs();
        copies.set(frame, at);
        bare.record(nowNs() - copyNs);
      }
      // A camera's callback: every frame comes in a turn of its own.
      await turn();
    }
    streamingMs += performance.now() - burstMs;
    const long = random() < 0.05;
    await pause(
      Math.min(
        long ? LONG_PAUSE_SECONDS * 1000 : random() * PAUSE_SECONDS_MAX * 1000,
        Math.max(0, endMs - performance.now()),
      ),
    );
    pauses++;
  }
  runDelay?.close();
  stop = true;
  await watched;
  const failures = [];
  let metrics = writer.metrics();
  if (failed === undefined) {
    await writer.close();
    metrics = writer.metrics();
    if (writer.watermarks.published !== row)
      failures.push(`${row} frames were appended, ${writer.watermarks.published} published`);
    for (let at = Math.max(0, row - 32); at < row; at++) await compare(at);
  } else {
    await writer.abort(failed);
    failures.push(String(failed.message));
  }
  const growth = growthOf(samples);
  const growthJudged = samples.length >= SAMPLES_MIN;
  if (growthJudged) failures.push(...failuresOf(growth));
  return {
    minutes: (performance.now() - fromMs) / 60_000,
    codec,
    backend: writer.backend,
    adapter: writer.adapter,
    durability,
    frames: row,
    frameBytes: FRAME_BYTES,
    bytesIn: row * FRAME_BYTES,
    bytesStored: metrics.bytesStored,
    bytesRemoved: bytesStored,
    gbPerSecondWhileStreaming: (row * FRAME_BYTES) / 1e6 / streamingMs,
    pauses,
    framesCompared,
    /** Appends that found room, and appends that had to wait for a slot. */
    append: { roomLeft: figures(free), waited: figures(waited) },
    /** Appends of the first kind above a millisecond, and how much of it this thread waited for a core. */
    slow: runDelay && slow,
    bareCopy: figures(bare),
    waits: metrics.waits,
    plannedBytes: writer.plan.totalBytes,
    growth,
    growthJudged,
    samples,
    failures,
  };
}
