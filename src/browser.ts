/** The public names of Millrace for web pages, and nothing else. No import from here on leads to Node or to a package. */
export { ERROR_CODES, type ErrorCode, type ErrorContext, isMillraceError, MillraceError } from "./base/errors.js";
export type { ArrayGeometry, DimensionOptions } from "./geometry/array_geometry.js";
export { DTYPES, type DType } from "./geometry/dtype.js";
export type { ShardExpectation, ShardHandle, Sink, SinkSpec } from "./handoff/sink.js";
export type { CurrentWait, MetricsSnapshot, StageMetrics, WaitMetrics } from "./metrics/snapshot.js";
export type { ArrayOptions, CodecOptions, Durability, Json, Watermarks, WriterOptions } from "./options.js";
export type { MemoryPlan } from "./plan/memory_plan.js";
export { discardSink, memorySink, moduleSink, throttledSink } from "./sinks/specs.js";
export { ArrayWriter } from "./writer/array_writer.js";
export { estimateMemory, openWriter } from "./writer/page_writer.js";
export type { AppendOptions, AppendSource, WriterEvents } from "./writer/writer_types.js";
