import { MillraceError } from "../base/errors.js";
import { OPEN_SHARD_FILES_MAX } from "../base/limits.js";
import type { Sink } from "../handoff/sink.js";
import type { S3Place } from "../s3/s3_options.js";
import { guardSink } from "./guarded_sink.js";
import type { Port } from "./memory_port.js";
import { guarded } from "./os_error.js";
import type { S3SinkSettings } from "./s3.js";
import type { FileSinkOptions } from "./specs.js";
import type { ThrottleSettings } from "./throttled.js";

/** The fields of a SinkSpec that cross to the worker. */
interface SinkRecipe {
  readonly kind: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly location: string;
}

/**
 * Makes the sink that a spec describes, on the thread that will use it. Loads only the code of that kind. Rejects with
 * INVALID_OPTION for an unknown kind, and for a module that does not load or makes no sink; with SINK_FAILED for one
 * that throws.
 */
export async function makeSink(kind: string, options: SinkRecipe["options"], location: string): Promise<Sink> {
  switch (kind) {
    case "file":
      return makeFileSink(options, location);
    case "memory": {
      const { MemorySink } = await import("./memory.js");
      return new MemorySink(options.port as Port);
    }
    case "s3":
      return makeS3Sink(options as unknown as S3Recipe);
    case "discard": {
      const { DiscardSink } = await import("./discard.js");
      return new DiscardSink();
    }
    case "throttled": {
      const { ThrottledSink } = await import("./throttled.js");
      const inner = options.inner as SinkRecipe;
      const settings = options as unknown as ThrottleSettings;
      return new ThrottledSink(await makeSink(inner.kind, inner.options, inner.location), settings);
    }
    case "module":
      return makeModuleSink(options.url as string, options.options);
    default:
      throw new MillraceError("INVALID_OPTION", `there is no sink of kind ${JSON.stringify(kind)}.`, {
        context: { option: "sink", kind, location },
        hint: "Make sinks with fileSink, s3Sink, memorySink, discardSink, throttledSink or moduleSink.",
      });
  }
}

async function makeFileSink(options: FileSinkOptions, root: string): Promise<Sink> {
  const { FileSink } = await import("./file.js");
  const { maxOpenFiles = OPEN_SHARD_FILES_MAX, directIo = false, force } = options;
  const { addonStatus, loadAddon } = await import("../native/binding.js");
  const addon = loadAddon();
  const crc32c = addon && ((bytes: Uint8Array) => addon.crc32c(bytes));
  if (directIo === false) return new FileSink({ root, maxOpenFiles, force, crc32c });

  if (addon === undefined) {
    if (directIo === "auto") return new FileSink({ root, maxOpenFiles, force, crc32c });
    const { reason, hint } = addonStatus();
    throw new MillraceError("INVALID_OPTION", `fileSink directIo: true needs the native addon: ${reason}`, {
      context: { option: "directIo", path: root },
      hint: `${hint} Or use directIo: "auto".`,
    });
  }
  const { DirectFiles } = await import("./direct_file.js");
  // Direct handles cannot be closed early, so they get a share of their own and never push out buffered ones.
  const directMax = maxOpenFiles >> 1;
  const direct = new DirectFiles(addon, directMax);
  return new FileSink({
    root,
    maxOpenFiles: maxOpenFiles - directMax,
    direct,
    directAsked: directIo === true,
    force,
    crc32c,
  });
}

interface S3Recipe extends Omit<S3SinkSettings, "api"> {
  readonly place: S3Place;
}

/** Connections besides those of parts: metadata, completing and giving up must not queue behind a slow link's parts. */
const FURTHER_SOCKETS = 8;

async function makeS3Sink({ place, partBytes, concurrency }: S3Recipe): Promise<Sink> {
  const [{ openSdkApi }, { S3Sink }] = await Promise.all([import("../s3/sdk_api.js"), import("./s3.js")]);
  return new S3Sink({ api: await openSdkApi(place, concurrency + FURTHER_SOCKETS), partBytes, concurrency });
}

async function makeModuleSink(url: string, options: unknown): Promise<Sink> {
  const context = { option: "sink", url };
  let make: unknown;
  try {
    make = ((await import(url)) as { default?: unknown }).default;
  } catch (error) {
    throw new MillraceError("INVALID_OPTION", `moduleSink could not load ${url}: ${String(error)}.`, {
      context,
      cause: error,
    });
  }
  if (typeof make !== "function") {
    throw new MillraceError("INVALID_OPTION", `the default export of ${url} must be a function that makes a sink.`, {
      context,
    });
  }
  const factory = make as (options: unknown) => unknown;
  return guardSink(await guarded({ what: "make the sink of", path: url }, async () => factory(options)), url);
}
