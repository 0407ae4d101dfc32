/** The public names of Millrace, and nothing else. */
export { ERROR_CODES, type ErrorCode, type ErrorContext, isMillraceError, MillraceError } from "./base/errors.js";
export type { ArrayGeometry, DimensionOptions } from "./geometry/array_geometry.js";
export { DTYPES, type DType } from "./geometry/dtype.js";
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
export type { CurrentWait, MetricsSnapshot, StageMetrics, WaitMetrics } from "./metrics/snapshot.js";
export type { ArrayOptions, CodecOptions, Durability, Json, Watermarks, WriterOptions } from "./options.js";
export {
  adviseLayout,
  type LayoutAdvice,
  type LayoutRequest,
} from "./plan/advise_layout.js";
export type { MemoryPlan } from "./plan/memory_plan.js";
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
export { type S3SinkOptions, s3Sink } from "./sinks/s3_spec.js";
export { discardSink, fileSink, memorySink, moduleSink, throttledSink } from "./sinks/specs.js";
export { type ArrayReader, openArray, type ReadOptions, type Region } from "./store/array_reader.js";
export { type InspectedArray, type InspectReport, inspectStore } from "./store/inspect.js";
export type { StoreTarget } from "./store/open_store.js";
export { type S3Store, s3Store } from "./store/s3_store.js";
export type { StoreReader } from "./store/store_reader.js";
export type { TypedElements } from "./store/typed_elements.js";
export { type VerifyOptions, type VerifyProgress, verifyStore } from "./store/verify.js";
export type { AnyFinding as VerifyFinding, VerifyReport } from "./store/verify_report.js";
export { ArrayWriter } from "./writer/array_writer.js";
export { estimateMemory } from "./writer/estimate.js";
export { openWriter } from "./writer/open_writer.js";
export type { AppendOptions, WriterEvents } from "./writer/writer_types.js";
