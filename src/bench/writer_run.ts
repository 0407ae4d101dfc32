import {
  type ArrayWriter,
  discardSink,
  estimateMemory,
  fileSink,
  type MetricsSnapshot,
  openWriter,
  type SinkSpec,
  throttledSink,
  type WriterOptions,
} from "../index.js";
import type { Fill } from "./fill.js";
import type { BenchSettings, BenchSink } from "./job.js";
import { type MemoryUse, MemoryWatch } from "./memory_watch.js";
import { type MetricsDelta, metricsBetween } from "./metrics_delta.js";
import { openSource, type Source } from "./source.js";
import { cpuSecondsSince, gbPerSecond } from "./statistics.js";
import { WINDOW_RULE, Window } from "./window.js";

/** Figures of one run of the writer: of the window alone, unless a field says otherwise. */
export interface WriterRun {
  readonly gbPerSecond: number;
  /** Processor time inside the window, user and system, all threads; the generator's too when the input is not prefilled. */
  readonly cpuSeconds: number;
  readonly gbPerCpuSecond: number;
  readonly bytesIn: number;
  /** Bytes handed to the sink for shards, indexes included. */
  readonly bytesStored: number;
  readonly batches: number;
  readonly seconds: number;
  /** Part of `seconds` after the last append returned. */
  readonly drainSeconds: number;
  readonly backend: string;
  readonly adapter: string;
  readonly epochsPerBatch: number;
  readonly batchBytes: number;
  readonly stages: MetricsDelta["stages"];
  readonly waits: MetricsDelta["waits"];
  readonly chunksByRoute: MetricsDelta["chunksByRoute"];
  /** Of the whole run, warm-up included: a histogram cannot be cut in two. */
  readonly appendNs: MetricsSnapshot["appendNs"];
  readonly memory: MemoryUse;
}

/**
 * Runs one writer: warm-up, drain, window, close.
 * @throws MillraceError INSUFFICIENT_COVERAGE, and whatever the writer throws
 */
export async function runWriter(settings: BenchSettings, fill: Fill): Promise<WriterRun> {
  const options = writerOptions(settings);
  const plan = estimateMemory(options);
  const batchBytes = plan.batch.stagingSlotBytes;
  const [{ chunk: epochRows }] = settings.dimensions;
  const rowBytes = batchBytes / (plan.epochsPerBatch * epochRows);
  const source = openSource({ ...settings, fill, rowBytes, epochRows, batchBytes });

  const memory = new MemoryWatch(plan.totalBytes);
  const writer = await openWriter(options);
  memory.opened();
  const warmupBatches = Math.max(WINDOW_RULE.warmupBatchesMin, plan.batch.stagingSlots, plan.batch.outputSlots);
  try {
    for (let batch = 0; batch < warmupBatches; batch++) await appendBatch(writer, source, batchBytes);
    await writer.flush();
    const before = writer.metrics();
    const cpuFrom = process.cpuUsage();
    const window = new Window({ batchBytes, seconds: settings.seconds, batches: settings.batches });
    do {
      await appendBatch(writer, source, batchBytes);
      memory.sample();
    } while (window.batchAccepted());
    await writer.close();
    const result = window.close();
    const cpuSeconds = cpuSecondsSince(cpuFrom);
    const delta = metricsBetween(before, writer.metrics());
    return {
      gbPerSecond: gbPerSecond(result.bytes, result.ns),
      cpuSeconds,
      gbPerCpuSecond: result.bytes / 1e9 / cpuSeconds,
      bytesIn: result.bytes,
      bytesStored: delta.bytesStored,
      batches: result.batches,
      seconds: result.ns / 1e9,
      drainSeconds: result.drainNs / 1e9,
      backend: writer.backend,
      adapter: writer.adapter,
      epochsPerBatch: plan.epochsPerBatch,
      batchBytes,
      stages: delta.stages,
      waits: delta.waits,
      chunksByRoute: delta.chunksByRoute,
      appendNs: writer.metrics().appendNs,
      memory: memory.result(),
    };
  } catch (error) {
    await writer.abort(error);
    throw error;
  }
}

async function appendBatch(writer: ArrayWriter, source: Source, batchBytes: number): Promise<void> {
  for (let left = batchBytes; left > 0; ) {
    const data = source.take(left);
    left -= data.byteLength;
    await writer.append(data);
  }
}

export function writerOptions(settings: BenchSettings): WriterOptions {
  const { dimensions, codec, backend, durability, encodeThreads, copyHelpers, depth, batchEpochs } = settings;
  return {
    sink: sinkOf(settings.sink),
    array: { dtype: "uint16", dimensions, codec },
    mode: "overwrite",
    backend,
    durability,
    encodeThreads,
    copyHelpers,
    depth,
    batchEpochs,
  };
}

function sinkOf(sink: BenchSink): SinkSpec {
  switch (sink.kind) {
    case "discard":
      return discardSink();
    case "file":
      return fileSink(`${sink.folder}/bench.zarr`, { directIo: sink.directIo });
    case "throttled":
      return throttledSink(discardSink(), { bytesPerSecond: sink.bytesPerSecond, latencyMs: sink.latencyMs });
  }
}
