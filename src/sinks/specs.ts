import { MillraceError } from "../base/errors.js";
import { folderOfUrl, refuseMisreadPath } from "../base/folder_path.js";
import { OPEN_SHARD_FILES_MAX, PAGE_BYTES } from "../base/limits.js";
import { describeValue } from "../base/option_values.js";
import type { SinkSpec } from "../handoff/sink.js";
import { MemorySinkSpec } from "./memory_spec.js";
import { ThrottledSink, type ThrottleSettings } from "./throttled.js";

/**
 * Handle, path and bookkeeping of an open shard: 1.5 KiB of heap, 5.2 KiB resident, measured on Node 20 with 2,000 of
 * them.
 */
const FILE_BYTES_PER_SHARD = 6 * 1024;
/** Direct I/O: the addon's bounce buffers, once for the process, and one page of tail for each file. */
const DIRECT_BYTES = 4 * 2 ** 20;
const DIRECT_BYTES_PER_SHARD = FILE_BYTES_PER_SHARD + PAGE_BYTES;

/** Options of {@link fileSink}. */
export interface FileSinkOptions {
  /**
   * Shard files open at once. Default 512. With more shards than that the least recently used file is synced, closed
   * and opened again later, which is slow on disks: raise it (and `ulimit -n`) for layouts with very many shards.
   */
  readonly maxOpenFiles?: number;
  /**
   * Writes past the page cache (O_DIRECT), through the native addon. The bytes on disk are the same. Default false.
   * "auto": where addon and file system can do it. true: the addon must be there; a file system without O_DIRECT is
   * still written through the cache. With durability "batch" shards always go through the cache: past it, the bytes
   * behind the last whole page cannot be synced.
   */
  readonly directIo?: boolean | "auto";
  /**
   * With mode "overwrite": deletes also what lies in the store's folder and is no part of a store, notes for instance.
   * Default false: refused (STORE_FOREIGN), and nothing is deleted.
   */
  readonly force?: boolean;
}

/** What {@link moduleSink} is told about a sink that it cannot see yet. */
export interface ModuleSinkOptions {
  /** Name of the place in messages. Default: the URL. */
  readonly location?: string;
  /** Memory the sink holds for each open shard, bytes, for the memory plan. Default 0. */
  readonly memoryBytesPerShard?: number;
}

function invalid(option: string, expected: string, got: unknown): MillraceError {
  const shown = describeValue(got);
  return new MillraceError("INVALID_OPTION", `${option} must be ${expected}, but is ${shown} (${typeof got}).`, {
    context: { option, expected, got: shown },
  });
}

function checkRecord(what: string, value: unknown, names: readonly string[]): void {
  if (typeof value !== "object" || value === null) throw invalid(what, "an object", value);
  for (const name of Object.keys(value)) {
    if (!names.includes(name)) throw invalid(`${what}.${name}`, `left out; ${what} knows ${names.join(", ")}`, name);
  }
}

function checkSpec(option: string, value: unknown): asserts value is SinkSpec {
  const spec = value as SinkSpec | null | undefined;
  if (typeof spec !== "object" || spec === null || typeof spec.kind !== "string" || !("memoryBytes" in spec)) {
    throw invalid(option, "a sink: fileSink(…), memorySink() …", value);
  }
}

/**
 * A store in a folder of the local file system.
 *
 * @param path the folder, absolute or relative to the current directory, or a URL object with `file:`. Made when
 *   missing. Texts that begin like a URL (`s3://…`), with `~/` or, but on Windows, with a drive are refused:
 *   `./~/run.zarr` is the folder of that name.
 * @throws MillraceError INVALID_OPTION
 */
export function fileSink(path: string | URL, options: FileSinkOptions = {}): SinkSpec {
  checkRecord("fileSink options", options, ["maxOpenFiles", "directIo", "force"]);
  const { maxOpenFiles = OPEN_SHARD_FILES_MAX, directIo = false, force = false } = options;
  if (!Number.isSafeInteger(maxOpenFiles) || maxOpenFiles < 1) {
    throw invalid("fileSink maxOpenFiles", "a whole number from 1", maxOpenFiles);
  }
  if (directIo !== true && directIo !== false && directIo !== "auto") {
    throw invalid("fileSink directIo", 'true, false or "auto"', directIo);
  }
  if (typeof force !== "boolean") throw invalid("fileSink force", "true or false", force);
  const root = absolutePath(path);
  return {
    kind: "file",
    location: root,
    options: { maxOpenFiles, directIo, force },
    journal: true,
    memoryBytes: (openShards) =>
      directIo === false ? openShards * FILE_BYTES_PER_SHARD : DIRECT_BYTES + openShards * DIRECT_BYTES_PER_SHARD,
  };
}

function absolutePath(path: unknown): string {
  // Resolved here: the sink is made later, on another thread. Through `process`, so that browsers can load this file.
  const builtin = typeof process === "object" ? process.getBuiltinModule : undefined;
  if (builtin === undefined) {
    throw new MillraceError("INVALID_OPTION", "fileSink needs Node.js 20.16 or later.", {
      context: { option: "sink" },
    });
  }
  if (path instanceof URL) {
    if (path.protocol !== "file:") throw invalid("fileSink path", "a path or a file: URL", path.href);
    return folderOfUrl("path", path, builtin("node:url").fileURLToPath);
  }
  if (typeof path !== "string" || path === "" || path.includes("\0")) throw invalid("fileSink path", "a path", path);
  refuseMisreadPath("path", path);
  return builtin("node:path").resolve(path);
}

/** A store in memory: `files` of what it returns is filled as shards are sealed. For one writer at a time. */
export function memorySink(): MemorySinkSpec {
  return new MemorySinkSpec();
}

/** Counts bytes and keeps none: for benchmarks of everything before the sink. */
export function discardSink(): SinkSpec {
  return { kind: "discard", location: "nowhere", options: {}, journal: false, memoryBytes: () => 0 };
}

/**
 * Another sink slowed down, to try a pipeline against a slow disk or network.
 *
 * @param settings `bytesPerSecond`: rate of all writes together, more than 0 (Infinity: no limit; the default).
 *   `latencyMs`: wait added to every call, 0 or more (default 0).
 * @throws MillraceError INVALID_OPTION
 */
export function throttledSink(inner: SinkSpec, settings: Partial<ThrottleSettings> = {}): SinkSpec {
  checkSpec("throttledSink inner", inner);
  checkRecord("throttledSink settings", settings, ["bytesPerSecond", "latencyMs"]);
  const { bytesPerSecond = Number.POSITIVE_INFINITY, latencyMs = 0 } = settings;
  if (typeof bytesPerSecond !== "number" || !(bytesPerSecond > 0)) {
    throw invalid("throttledSink bytesPerSecond", "a number above 0", bytesPerSecond);
  }
  if (typeof latencyMs !== "number" || !Number.isFinite(latencyMs) || latencyMs < 0) {
    throw invalid("throttledSink latencyMs", "a number from 0", latencyMs);
  }
  const throttle: ThrottleSettings = { bytesPerSecond, latencyMs };
  return {
    kind: "throttled",
    location: inner.location,
    // Read late: a memory sink has a new port for each writer.
    get options() {
      return { ...throttle, inner: { kind: inner.kind, location: inner.location, options: inner.options } };
    },
    get transfer() {
      return inner.transfer;
    },
    journal: inner.journal,
    memoryBytes: (openShards, shardBytesMax) => inner.memoryBytes(openShards, shardBytesMax),
    instance: inner.instance === undefined ? undefined : new ThrottledSink(inner.instance, throttle),
  };
}

/**
 * Your own sink. The module at `url` is imported on the delivery worker, and its default export is called with
 * `options`: it returns a {@link Sink}, or a promise of one.
 *
 * @param url absolute URL of an ES module: `new URL("./my_sink.js", import.meta.url)`.
 * @param options anything that structured clone can copy.
 * @throws MillraceError INVALID_OPTION
 */
export function moduleSink(url: string | URL, options: unknown = {}, about: ModuleSinkOptions = {}): SinkSpec {
  checkRecord("moduleSink about", about, ["location", "memoryBytesPerShard"]);
  if (!(url instanceof URL) && (typeof url !== "string" || !URL.canParse(url))) {
    throw invalid("moduleSink url", "an absolute URL", url);
  }
  const href = String(url);
  const { location = href, memoryBytesPerShard = 0 } = about;
  if (typeof location !== "string") throw invalid("moduleSink location", "a string", location);
  if (!Number.isSafeInteger(memoryBytesPerShard) || memoryBytesPerShard < 0) {
    throw invalid("moduleSink memoryBytesPerShard", "a whole number from 0", memoryBytesPerShard);
  }
  return {
    kind: "module",
    location,
    options: { url: href, options },
    memoryBytes: (openShards) => openShards * memoryBytesPerShard,
  };
}
