import type { Json } from "./base/json.js";
import type { DimensionOptions } from "./geometry/array_geometry.js";
import type { DType } from "./geometry/dtype.js";
import type { Durability, SinkSpec } from "./handoff/sink.js";

/** Codec of an array. Strings are the command line's spelling. */
export type CodecOptions =
  | { readonly name: "none" }
  /** Zarr `blosc` (zstd, byte shuffle) by Millrace's own block encoder: the same bytes on every backend. */
  | { readonly name: "blosc" }
  /**
   * Zarr `zstd`. Without `level` by the block encoder, with one (−131072 … 22) by libzstd, which runs on the CPU only.
   */
  | { readonly name: "zstd"; readonly level?: number };

export type { Json };

/** The array to write: element type, dimensions, codec, fill value, attributes. */
export interface ArrayOptions {
  /** Element type, one of {@link DTYPES}. */
  readonly dtype: DType;
  /** Slowest first; 1 … 32 of them. Dimension 0 is the append dimension. */
  readonly dimensions: readonly DimensionOptions[];
  /**
   * Default `blosc`, for one-byte dtypes `zstd`, both by the block encoder. The command line's spelling is taken too:
   * "none", "blosc", "zstd", "zstd:5".
   */
  readonly codec?: CodecOptions | string;
  /**
   * Value of what was never written and of padding. Default 0. A number, a bigint for 64-bit integers, "NaN",
   * "Infinity", "-Infinity", or a "0x…" bit pattern for floats.
   */
  readonly fillValue?: number | bigint | string;
  /** Members of the array's `attributes` in zarr.json: plain JSON. Default: none. */
  readonly attributes?: { readonly [key: string]: Json };
}

export type { Durability };

/** What {@link openWriter} takes. Only `sink` and `array` are required. */
export interface WriterOptions {
  /** Where the store goes: `fileSink(…)`, `s3Sink(…)`, `memorySink()`, `moduleSink(…)`. */
  readonly sink: SinkSpec;
  /** What is written. */
  readonly array: ArrayOptions;
  /**
   * "create" (default) refuses an existing store; "overwrite" removes it, in a folder unless its writer is at work
   * (STORE_IN_USE). "resume" continues one that its writer has closed, behind its last row: `array` must say what the
   * store says (RESUME_MISMATCH); codec, fill value and attributes that are left out are the store's.
   */
  readonly mode?: "create" | "overwrite" | "resume";
  /** Default "auto". */
  readonly backend?: "auto" | "cpu" | "gpu";
  /** Lets `backend: "gpu"` take a software adapter (tests). Default false. */
  readonly allowSoftwareAdapter?: boolean;
  /**
   * What survives a power cut, and `watermarks.durable` counts. Default "shard": sealed shards. "batch": every batch,
   * by a sync of each open shard and of the journal; for `fileSink` only. "none": nothing is synced.
   */
  readonly durability?: Durability;
  /** Epochs encoded together (K). Default: as many as reach 16 MiB raw. Bytes on disk never depend on it. */
  readonly batchEpochs?: number;
  /**
   * How long a whole epoch waits for the rest of its batch before it is encoded and handed to the sink without it, ms,
   * 0 … 2^31 − 1. Default 1000; 0 = for ever. Bytes on disk never depend on it. Rows of an epoch that is not whole wait
   * on.
   */
  readonly maxBatchAgeMs?: number;
  /** Staging and output slots. Default 3. 1 = `depth1`: every batch is drained before the next is filled. */
  readonly depth?: number;
  /**
   * Upper bound for all buffers of this writer, bytes; heaps of its threads come on top, see the plan's `threads`.
   * Default: half of the memory the process may use.
   */
  readonly memoryBudgetBytes?: number;
  /**
   * Bytes handed to the sink and not yet retired before the schedule stops kicking. Default: no bound beyond the slots.
   */
  readonly maxPendingBytes?: number;
  /**
   * Encode threads. Default: all cores; the other threads of a stream sleep most of the time. On Linux they run at a
   * nice value 5 above the caller's, so that an append, and whatever else the program does, goes first.
   */
  readonly encodeThreads?: number;
  /** Copy helpers beside the producer. Default: min(cores − 1, 3). 0 = the caller copies alone. */
  readonly copyHelpers?: number;
  /**
   * "workers" (default): engine and delivery on their own threads. "inline": everything on the caller's thread; all
   * that web pages have.
   */
  readonly threads?: "workers" | "inline";
  /** Least time between two refreshes of the published shape, ms. Default 1000; 0 = at every sealed shard row. */
  readonly publishIntervalMs?: number;
  /**
   * Aborts the writer. While it opens, `openWriter` rejects at once with WRITER_ABORTED, whatever does not answer; what
   * is under way ends behind it, and its memory is released then (docs/ordering.md).
   */
  readonly signal?: AbortSignal;
}

/** What the writer says about rows of the append dimension; each ≤ the one before, none ever decreases. */
export interface Watermarks {
  /** Copied out of the caller's memory, or skipped. */
  readonly accepted: number;
  /** Encoded, and in an output slot or further. */
  readonly encoded: number;
  /** Handed to the sink and retired by it. */
  readonly delivered: number;
  /** In sealed shards, at the chosen durability. */
  readonly durable: number;
  /** Covered by the shape in zarr.json. */
  readonly published: number;
}
