import { MillraceError } from "./base/errors.js";
import type { JsonObject } from "./base/json.js";
import {
  BATCH_EPOCHS_MAX,
  COPY_HELPERS_MAX,
  ENCODE_THREADS_MAX,
  PIPELINE_DEPTH_MAX,
  PIPELINE_DEPTH_MIN,
} from "./base/limits.js";
import { checkSignal, invalidValue, members } from "./base/option_values.js";
import { isWellFormed } from "./base/well_formed.js";
import { type CodecSpec, defaultCodec, encoderKind, resolveCodec } from "./codec/codec.js";
import { type ArrayGeometry, type DimensionOptions, describeGeometry } from "./geometry/array_geometry.js";
import type { OpenMode, SinkSpec } from "./handoff/sink.js";
import type { ArrayOptions, Durability, WriterOptions } from "./options.js";
import { copyAttributes } from "./zarr/attributes.js";
import { type FillValue, fillValue } from "./zarr/fill_value.js";

/** What defaults depend on; the caller finds it out, so that this file runs anywhere. */
export interface Machine {
  /** Cores that this process may use; at least 1. */
  readonly cores: number;
  /** Memory that this process may use, bytes: the container's limit where there is one. */
  readonly memoryBytes: number;
  /** Whether the native addon is there: then codec none needs no encode threads of JavaScript. */
  readonly addon: boolean;
  /** Whether streams may have threads of their own; default true. Web pages: false, and `threads` is "inline". */
  readonly workers?: boolean;
}

/** Writer options with every default filled in. Frozen plain data: it crosses threads. Sink and signal stay behind. */
export interface CheckedOptions {
  readonly geometry: ArrayGeometry;
  /** As given, for units and scales. */
  readonly dimensions: readonly DimensionOptions[];
  readonly codec: CodecSpec;
  readonly fill: FillValue;
  readonly attributes: JsonObject;
  readonly mode: OpenMode;
  readonly backend: "auto" | "cpu" | "gpu";
  readonly allowSoftwareAdapter: boolean;
  readonly durability: Durability;
  /** Undefined: the plan chooses. */
  readonly batchEpochs: number | undefined;
  /** 0: without a bound. */
  readonly maxBatchAgeMs: number;
  /** Undefined: the plan chooses, 3 unless memory is short. */
  readonly depth: number | undefined;
  readonly memoryBudgetBytes: number;
  /** Undefined: no bound beyond the slots. */
  readonly maxPendingBytes: number | undefined;
  readonly encodeThreads: number;
  readonly copyHelpers: number;
  readonly threads: "workers" | "inline";
  readonly publishIntervalMs: number;
}

/** Longer than any timer can wait: setTimeout takes 31 bits. */
const INTERVAL_MS_MAX = 2 ** 31 - 1;

// A new option that is missing here does not compile.
const WRITER_KEYS = Object.keys({
  sink: true,
  array: true,
  mode: true,
  backend: true,
  allowSoftwareAdapter: true,
  durability: true,
  batchEpochs: true,
  maxBatchAgeMs: true,
  depth: true,
  memoryBudgetBytes: true,
  maxPendingBytes: true,
  encodeThreads: true,
  copyHelpers: true,
  threads: true,
  publishIntervalMs: true,
  signal: true,
} satisfies Record<keyof WriterOptions, true>);

const ARRAY_KEYS = Object.keys({
  dtype: true,
  dimensions: true,
  codec: true,
  fillValue: true,
  attributes: true,
} satisfies Record<keyof ArrayOptions, true>);

const DIMENSION_KEYS = Object.keys({
  name: true,
  type: true,
  size: true,
  chunk: true,
  shard: true,
  unit: true,
  scale: true,
} satisfies Record<keyof DimensionOptions, true>);

/**
 * Checks the options of a writer at run time and fills in the defaults that `options.ts` states. A member that is
 * `undefined` counts as left out; an unknown one is refused, because it is a misspelt one.
 * @throws MillraceError INVALID_OPTION, UNKNOWN_DTYPE, BAD_GEOMETRY, UNKNOWN_CODEC, CODEC_NOT_ON_BACKEND. The context
 *   names the option.
 */
export function checkWriterOptions(options: WriterOptions, machine: Machine): CheckedOptions {
  const given = members(options, "options", "", WRITER_KEYS);
  const threads = checkThreads(given.threads, machine.workers ?? true);
  checkSink(given.sink, threads);
  checkSignal(given.signal);
  const backend = oneOf("backend", given.backend, ["auto", "cpu", "gpu"], "auto");
  const mode = oneOf("mode", given.mode, ["create", "overwrite", "resume"], "create");
  // A store that is resumed keeps its zarr.json: what other writers have put there is compared and not written.
  const array = checkArray(given.array, mode !== "resume");
  if (backend === "gpu" && encoderKind(array.codec) === "libzstd") {
    throw new MillraceError(
      "CODEC_NOT_ON_BACKEND",
      "Codec zstd with a level is libzstd, which runs on the CPU, not on backend gpu.",
      {
        context: { option: "backend", codec: array.codec.name, backend },
        hint: 'Use backend "cpu" or "auto", or codec blosc, or zstd without a level.',
      },
    );
  }
  const durability = oneOf("durability", given.durability, ["none", "shard", "batch"], "shard");
  if (durability === "batch") checkJournal(given.sink);
  return Object.freeze({
    ...array,
    mode,
    backend,
    allowSoftwareAdapter: flag("allowSoftwareAdapter", given.allowSoftwareAdapter, false),
    durability,
    batchEpochs: whole("batchEpochs", given.batchEpochs, 1, BATCH_EPOCHS_MAX),
    maxBatchAgeMs: whole("maxBatchAgeMs", given.maxBatchAgeMs, 0, INTERVAL_MS_MAX) ?? 1000,
    depth: whole("depth", given.depth, PIPELINE_DEPTH_MIN, PIPELINE_DEPTH_MAX),
    memoryBudgetBytes:
      whole("memoryBudgetBytes", given.memoryBudgetBytes, 1) ?? Math.max(1, Math.floor(machine.memoryBytes / 2)),
    maxPendingBytes: whole("maxPendingBytes", given.maxPendingBytes, 1),
    encodeThreads:
      whole("encodeThreads", given.encodeThreads, 1, ENCODE_THREADS_MAX) ?? Math.min(ENCODE_THREADS_MAX, machine.cores),
    copyHelpers:
      whole("copyHelpers", given.copyHelpers, 0, COPY_HELPERS_MAX) ??
      Math.max(0, Math.min(machine.cores - 1, COPY_HELPERS_MAX)),
    threads,
    publishIntervalMs: whole("publishIntervalMs", given.publishIntervalMs, 0, INTERVAL_MS_MAX) ?? 1000,
  });
}

function checkThreads(value: unknown, workers: boolean): "workers" | "inline" {
  const threads = oneOf("threads", value, ["workers", "inline"], workers ? "workers" : "inline");
  if (workers || threads === "inline") return threads;
  throw new MillraceError(
    "INVALID_OPTION",
    'Option threads: a web page streams on the calling thread, not on "workers".',
    {
      context: { option: "threads", given: threads },
      hint: 'Leave it out, or set it to "inline".',
    },
  );
}

type CheckedArray = Pick<CheckedOptions, "geometry" | "dimensions" | "codec" | "fill" | "attributes">;

function checkArray(value: unknown, toWrite: boolean): CheckedArray {
  const given = members(value, "option array", "array.", ARRAY_KEYS);
  const listed = given.dimensions;
  if (Array.isArray(listed)) {
    for (const [i, dimension] of listed.entries()) checkDimensionTexts(dimension, i, toWrite);
  }
  // Takes unknown input as it is typed and checks it all.
  const geometry = describeGeometry(given.dtype as ArrayOptions["dtype"], listed as ArrayOptions["dimensions"]);
  const fill = given.fillValue ?? 0;
  if (given.fillValue === null || !["number", "bigint", "string"].includes(typeof fill)) {
    throw invalid("array.fillValue", "a number, a bigint or a string", given.fillValue);
  }
  return {
    geometry,
    dimensions: Object.freeze((listed as DimensionOptions[]).map((dimension) => Object.freeze({ ...dimension }))),
    codec: Object.freeze(given.codec === undefined ? defaultCodec(geometry.dtype) : resolveCodec(given.codec)),
    fill: fillValue(geometry.dtype, fill as number | bigint | string),
    attributes: given.attributes === undefined ? Object.freeze({}) : copyAttributes(given.attributes, toWrite),
  };
}

/** What geometry does not look at. */
function checkDimensionTexts(value: unknown, i: number, toWrite: boolean): void {
  const path = `array.dimensions[${i}]`;
  const { name, type, unit, scale } = members(value, `option ${path}`, `${path}.`, DIMENSION_KEYS);
  for (const [member, text] of Object.entries({ name, unit })) {
    if (toWrite && typeof text === "string" && !isWellFormed(text)) {
      throw invalid(`${path}.${member}`, "Unicode, without half of a surrogate pair, as a text that was cut has", text);
    }
  }
  oneOf(`${path}.type`, type, ["space", "time", "channel", "other"], "other");
  if (unit !== undefined && (typeof unit !== "string" || unit === "")) {
    throw invalid(`${path}.unit`, "a non-empty string", unit);
  }
  if (scale !== undefined && !(typeof scale === "number" && Number.isFinite(scale) && scale > 0)) {
    throw invalid(`${path}.scale`, "a finite number above 0", scale);
  }
}

function checkSink(value: unknown, threads: "workers" | "inline"): asserts value is SinkSpec {
  const sink = value as Partial<SinkSpec> | null | undefined;
  if (
    typeof sink !== "object" ||
    sink === null ||
    typeof sink.kind !== "string" ||
    typeof sink.location !== "string" ||
    typeof sink.options !== "object" ||
    typeof sink.memoryBytes !== "function"
  ) {
    throw invalid("sink", "what a function such as fileSink() returns", value, 'For a folder: fileSink("run.zarr").');
  }
  if (sink.instance !== undefined && threads !== "inline") {
    throw new MillraceError("INVALID_OPTION", "Option sink holds a ready-made sink, which cannot cross to a worker.", {
      context: { option: "sink", kind: sink.kind },
      hint: 'Set threads to "inline".',
    });
  }
}

/** Where only the sink itself knows, it is asked when it is made. */
function checkJournal({ kind, journal, instance }: SinkSpec): void {
  if (journal !== false && (instance === undefined || instance.journal !== undefined)) return;
  throw new MillraceError(
    "INVALID_OPTION",
    `Option durability: "batch" requires a sink with a journal; ${kind} has none.`,
    {
      context: { option: "durability", given: "batch", sink: kind },
      hint: 'Use fileSink, or durability "shard".',
    },
  );
}

function oneOf<T extends string>(option: string, value: unknown, allowed: readonly T[], fallback: T): T {
  if (value === undefined) return fallback;
  if (allowed.includes(value as T)) return value as T;
  throw invalid(option, `one of ${allowed.map((a) => JSON.stringify(a)).join(", ")}`, value);
}

function flag(option: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value === "boolean") return value;
  throw invalid(option, "true or false", value);
}

function whole(option: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalid(option, `a whole number from ${min} to ${max}`, value);
}

function invalid(option: string, expected: string, value: unknown, hint?: string): MillraceError {
  return invalidValue(`Option ${option}`, option, expected, value, hint);
}
