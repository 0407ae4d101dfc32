import {
  type ArrayWriter,
  discardSink,
  estimateMemory,
  fileSink,
  type MetricsSnapshot,
  openWriter,
  type S3Options,
  type SinkSpec,
  s3Sink,
  throttledSink,
  type WriterOptions,
} from "../index.js";
import type { Fill } from "./fill.js";
import type { BenchSettings, BenchSink } from "./job.js";
import { type MemoryUse, MemoryWatch } from "./memory_watch.js";
import { type MetricsDelta, metricsBetween, sumDeltas, worstAppendNs } from "./metrics_delta.js";
import { openSources, type Source } from "./source.js";
import { cpuSecondsSince, gbPerSecond } from "./statistics.js";
import { WINDOW_RULE, Window } from "./window.js";

/**
 * Figures of one run of the writer, or of several side by side: of the window alone and of all streams together, unless
 * a field says otherwise.
 */
export interface WriterRun {
  readonly gbPerSecond: number;
  /**
   * Processor time inside the window, user and system, all threads; the generator's too when the input is not
   * prefilled.
   */
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
  /** Of one stream. */
  readonly epochsPerBatch: number;
  /** A batch of every stream. */
  readonly batchBytes: number;
  readonly stages: MetricsDelta["stages"];
  readonly waits: MetricsDelta["waits"];
  readonly chunksByRoute: MetricsDelta["chunksByRoute"];
  /** Of the whole run, warm-up included: a histogram cannot be cut in two. Of several streams, the worst. */
  readonly appendNs: MetricsSnapshot["appendNs"];
  readonly memory: MemoryUse;
}

/** Watches the writers of a run until the returned function is called. Only looks: what it costs is in the figures. */
export type WatchWriters = (writers: readonly ArrayWriter[]) => () => void;

/**
 * Runs one writer, or several: warm-up, drain, window, close.
 * @throws MillraceError INSUFFICIENT_COVERAGE, and whatever the writer throws
 */
export async function runWriter(settings: BenchSettings, fill: Fill, watch?: WatchWriters): Promise<WriterRun> {
  const options = Array.from({ length: settings.streams }, (_, stream) => writerOptions(settings, stream));
  const plan = estimateMemory(options[0]);
  const streamBatchBytes = plan.batch.stagingSlotBytes;
  const batchBytes = settings.streams * streamBatchBytes;
  const [{ chunk: epochRows }] = settings.dimensions;
  const rowBytes = streamBatchBytes / (plan.epochsPerBatch * epochRows);
  const sources = openSources(
    { ...settings, fill, rowBytes, epochRows, batchBytes: streamBatchBytes },
    settings.streams,
  );

  const memory = new MemoryWatch(settings.streams * plan.totalBytes);
  const writers: ArrayWriter[] = [];
  // Side by side, each as fast as it is let: one whose memory is full does not hold up the other.
  const appendBatches = (): Promise<unknown> =>
    Promise.all(writers.map((writer, stream) => appendBatch(writer, sources[stream], streamBatchBytes)));
  let unwatch: (() => void) | undefined;
  const warmupBatches = Math.max(WINDOW_RULE.warmupBatchesMin, plan.batch.stagingSlots, plan.batch.outputSlots);
  try {
    for (const stream of options) writers.push(await openWriter(stream));
    unwatch = watch?.(writers);
    memory.opened();
    for (let batch = 0; batch < warmupBatches; batch++) await appendBatches();
    await Promise.all(writers.map((writer) => writer.flush()));
    const before = writers.map((writer) => writer.metrics());
    const cpuFrom = process.cpuUsage();
    const window = new Window({ batchBytes, seconds: settings.seconds, batches: settings.batches });
    do {
      await appendBatches();
      memory.sample();
    } while (window.batchAccepted());
    await Promise.all(writers.map((writer) => writer.close()));
    const result = window.close();
    const cpuSeconds = cpuSecondsSince(cpuFrom);
    const after = writers.map((writer) => writer.metrics());
    const delta = sumDeltas(after.map((snapshot, stream) => metricsBetween(before[stream], snapshot)));
    return {
      gbPerSecond: gbPerSecond(result.bytes, result.ns),
      cpuSeconds,
      gbPerCpuSecond: result.bytes / 1e9 / cpuSeconds,
      bytesIn: result.bytes,
      bytesStored: delta.bytesStored,
      batches: result.batches,
      seconds: result.ns / 1e9,
      drainSeconds: result.drainNs / 1e9,
      backend: writers[0].backend,
      adapter: writers[0].adapter,
      epochsPerBatch: plan.epochsPerBatch,
      batchBytes,
      stages: delta.stages,
      waits: delta.waits,
      chunksByRoute: delta.chunksByRoute,
      appendNs: worstAppendNs(after.map((snapshot) => snapshot.appendNs)),
      memory: memory.result(),
    };
  } catch (error) {
    await Promise.all(writers.map((writer) => writer.abort(error)));
    throw error;
  } finally {
    unwatch?.();
  }
}

async function appendBatch(writer: ArrayWriter, source: Source, batchBytes: number): Promise<void> {
  for (let left = batchBytes; left > 0; ) {
    const data = source.take(left);
    left -= data.byteLength;
    await writer.append(data);
  }
}

function writerOptions(settings: BenchSettings, stream: number): WriterOptions {
  const { dimensions, codec, backend, allowSoftwareAdapter } = settings;
  const { durability, encodeThreads, copyHelpers, depth, batchEpochs } = settings;
  return {
    sink: sinkOf(settings.sink, stream),
    array: { dtype: "uint16", dimensions, codec },
    mode: "overwrite",
    backend,
    allowSoftwareAdapter,
    durability,
    encodeThreads,
    copyHelpers,
    depth,
    batchEpochs,
  };
}

/** One place for all rounds: each overwrites what the one before it has left. */
function benchPrefix({ prefix = "" }: S3Options, stream: number): string {
  return `${prefix === "" ? "" : `${prefix}/`}bench${stream}.zarr`;
}

function sinkOf(sink: BenchSink, stream: number): SinkSpec {
  switch (sink.kind) {
    case "discard":
      return discardSink();
    case "file":
      return fileSink(`${sink.folder}/bench${stream}.zarr`, { directIo: sink.directIo });
    case "s3": {
      const { place, partBytes, concurrency } = sink;
      return s3Sink({ ...place, prefix: benchPrefix(place, stream), partBytes, concurrency });
    }
    case "throttled":
      return throttledSink(discardSink(), { bytesPerSecond: sink.bytesPerSecond, latencyMs: sink.latencyMs });
  }
}
