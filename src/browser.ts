/**
 * The public names of Millrace for web pages, and nothing else. No import from here on leads to Node or to a package.
 */
export type { Emitter } from "./base/emitter.js";
export {
  ERROR_CODES,
  type ErrorCode,
  type ErrorContext,
  type ErrorContextByCode,
  isMillraceError,
  MillraceError,
  type MillraceErrorInit,
  type MillraceErrorOf,
} from "./base/errors.js";
export type { ArrayGeometry, DimensionOptions } from "./geometry/array_geometry.js";
export { DTYPES, type DType, type DTypeInfo, type DTypeKind } from "./geometry/dtype.js";
export type { OutputLayout } from "./handoff/host_batch.js";
export type {
  JournalFile,
  OpenMode,
  ShardExpectation,
  ShardHandle,
  Sink,
  SinkJournal,
  SinkSpec,
  StoredObjects,
} from "./handoff/sink.js";
export type { CountedRule, WaitOwner } from "./metrics/counted_rules.js";
export type { LatencySnapshot } from "./metrics/latency.js";
export type { CurrentWait, MetricsSnapshot, StageMetrics, WaitMetrics } from "./metrics/snapshot.js";
export type { ArrayOptions, CodecOptions, Durability, Json, Watermarks, WriterOptions } from "./options.js";
export type { BatchPlan } from "./plan/batch_plan.js";
export type { GpuPlan, MemoryPlan } from "./plan/memory_plan.js";
export type { ByteRange, MemorySinkSpec } from "./sinks/memory_spec.js";
export { discardSink, type ModuleSinkOptions, memorySink, moduleSink, throttledSink } from "./sinks/specs.js";
export type { ThrottleSettings } from "./sinks/throttled.js";
export { ArrayWriter } from "./writer/array_writer.js";
export { estimateMemory, openWriter } from "./writer/page_writer.js";
export type { AppendOptions, AppendSource, WriterEvents } from "./writer/writer_types.js";
