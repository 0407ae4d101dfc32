import type { CodecOptions, DimensionOptions, Durability, S3Options, WriterOptions } from "../index.js";
import type { SimpleFill } from "./fill.js";

/** What the input is made of. `images` names files: .tif, or raw uint16. */
export interface FillSpec {
  readonly name: SimpleFill | "camera" | "images";
  readonly files: readonly string[];
}

export type BenchSink =
  | { readonly kind: "discard" }
  /** `folder`: a new store is made in it for every run, and removed. */
  | { readonly kind: "file"; readonly folder: string; readonly directIo: boolean }
  /** Stores go below `place`'s prefix, and are removed. */
  | { readonly kind: "s3"; readonly place: S3Options; readonly partBytes: number; readonly concurrency: number }
  | { readonly kind: "throttled"; readonly bytesPerSecond: number; readonly latencyMs: number };

/** What one benchmark measures; every choice made. Plain data: it goes to child processes and into the result. */
export interface BenchSettings {
  readonly scenario: string;
  readonly dimensions: readonly DimensionOptions[];
  /** Writers side by side in one process, each with an array of its own. */
  readonly streams: number;
  readonly codec: CodecOptions;
  readonly backend: NonNullable<WriterOptions["backend"]>;
  readonly allowSoftwareAdapter: boolean;
  readonly sink: BenchSink;
  readonly durability: Durability;
  readonly fill: FillSpec;
  /** Input is made once, before the clock starts. */
  readonly prefill: boolean;
  readonly appendBytes: number;
  readonly seconds: number;
  /** Measures exactly so many batches instead of `seconds`. */
  readonly batches?: number;
  /** Undefined: the library's default. */
  readonly encodeThreads?: number;
  readonly copyHelpers?: number;
  readonly depth?: number;
  readonly batchEpochs?: number;
}

/** What is uploaded beside the writer. */
export interface S3Upload {
  readonly place: S3Options;
  readonly partBytes: number;
  readonly concurrency: number;
  /** All objects together. */
  readonly bytes: number;
  readonly objects: number;
}

/** One thing a child process measures. */
export type BenchJob =
  | { readonly kind: "writer"; readonly settings: BenchSettings }
  | { readonly kind: "copy"; readonly threads: number; readonly seconds: number }
  | { readonly kind: "encode"; readonly settings: BenchSettings; readonly threads: number; readonly seconds: number }
  | { readonly kind: "disk"; readonly folder: string; readonly bytes: number; readonly durable: boolean }
  | { readonly kind: "s3"; readonly upload: S3Upload };

export type CeilingKind = Exclude<BenchJob["kind"], "writer">;

/** What the machine does without a pipeline. */
export interface CeilingRun {
  readonly kind: CeilingKind;
  /** What was done, for people. */
  readonly what: string;
  readonly threads: number;
  readonly bytes: number;
  /** Input bytes per second / 10^9. */
  readonly gbPerSecond: number;
  /** Processor time of the process while it measured, user and system, all threads. */
  readonly cpuSeconds: number;
  /** `bytes` / 10^9 per second of processor time: hardly moves when other programs take their share of the cores. */
  readonly gbPerCpuSecond: number;
}
