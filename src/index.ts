/** The public names of Millrace, and nothing else. */
export { ERROR_CODES, type ErrorCode, type ErrorContext, isMillraceError, MillraceError } from "./base/errors.js";
export { estimateMemory } from "./estimate.js";
export type { ArrayGeometry, DimensionOptions } from "./geometry/array_geometry.js";
export { DTYPES, type DType } from "./geometry/dtype.js";
export type { ShardExpectation, ShardHandle, Sink, SinkSpec } from "./handoff/sink.js";
export type { MetricsSnapshot, StageMetrics, WaitMetrics } from "./metrics/snapshot.js";
export type { ArrayOptions, CodecOptions, Durability, Json, Watermarks, WriterOptions } from "./options.js";
export type { MemoryPlan } from "./plan/memory_plan.js";
export { discardSink, fileSink, memorySink, moduleSink, throttledSink } from "./sinks/specs.js";
export { type AppendOptions, ArrayWriter, openWriter, type WriterEvents } from "./writer.js";
