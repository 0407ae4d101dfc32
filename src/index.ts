/** The public names of Millrace, and nothing else. */
import "./base/require_node.js";

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
export type { JsonObject } from "./base/json.js";
export type { CodecSpec } from "./codec/codec.js";
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
export {
  adviseLayout,
  type LayoutAdvice,
  type LayoutDimension,
  type LayoutRequest,
} from "./plan/advise_layout.js";
export type { BatchPlan } from "./plan/batch_plan.js";
export type { GpuPlan, MemoryPlan } from "./plan/memory_plan.js";
export { type RecoverTarget, recoverStore } from "./recover/recover.js";
export type {
  CrashedWriter,
  RecoveredArray,
  RecoveredStore,
  RecoverOptions,
  RecoverProgress,
  RecoverReport,
} from "./recover/report.js";
export { storedArrayOptions } from "./resume/stored_options.js";
export type { S3Credentials, S3Options } from "./s3/s3_options.js";
export type { ByteRange, MemorySinkSpec } from "./sinks/memory_spec.js";
export { type S3SinkOptions, s3Sink } from "./sinks/s3_spec.js";
export {
  discardSink,
  type FileSinkOptions,
  fileSink,
  type ModuleSinkOptions,
  memorySink,
  moduleSink,
  throttledSink,
} from "./sinks/specs.js";
export type { ThrottleSettings } from "./sinks/throttled.js";
export type { ArrayLayout } from "./store/array_layout.js";
export {
  type ArrayReader,
  type ChunkKeyEncoding,
  type CodecMetadata,
  type CodecPipeline,
  type FillValue,
  openArray,
  type ReadOptions,
  type Region,
  type StoredArray,
} from "./store/array_reader.js";
export { type InspectedArray, type InspectedDimension, type InspectReport, inspectStore } from "./store/inspect.js";
export type { LeftWriter } from "./store/left_writer.js";
export type { StoreTarget } from "./store/open_store.js";
export { type S3Store, s3Store } from "./store/s3_store.js";
export type { StoreEntry, StoreReader } from "./store/store_reader.js";
export type { TypedElements } from "./store/typed_elements.js";
export { type VerifyOptions, type VerifyProgress, verifyStore } from "./store/verify.js";
export type {
  AnyFinding as VerifyFinding,
  DefectCode,
  Finding,
  FindingPlace,
  NoteCode,
  Severity,
  VerifiedArray,
  VerifyReport,
  WarningCode,
} from "./store/verify_report.js";
export { ArrayWriter } from "./writer/array_writer.js";
export { estimateMemory } from "./writer/estimate.js";
export { openWriter } from "./writer/open_writer.js";
export type { AppendOptions, AppendSource, WriterEvents } from "./writer/writer_types.js";
