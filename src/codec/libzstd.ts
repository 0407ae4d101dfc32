import zlib from "node:zlib";
import { MillraceError } from "../base/errors.js";
import type { ChunkEncoder } from "./codec.js";
import { parseZstdFrames } from "./zstd_frame.js";

/**
 * libzstd, from whoever has it: the optional package zstd-napi, else node:zlib (Node ≥ 22.15), else, for reading only,
 * the WebAssembly build in numcodecs. All are the reference library, so the format is the same; the bytes may differ
 * between library versions.
 *
 * The environment variable MILLRACE_ZSTD = napi | zlib | none takes one of them or fails ("none": no encoder,
 * WebAssembly decoder). It exists for tests and for finding faults.
 */
export interface ZstdLibrary {
  /** "zstd-napi (libzstd 1.5.7)" */
  readonly provider: string;
  /** @throws MillraceError CODEC_FAILED if this build cannot set the level */
  readonly openEncoder: ((level: number) => ChunkEncoder) | undefined;
  /**
   * Decompresses exactly one frame, checksum verified, into `dst`; returns the bytes written. Throws whatever the
   * library throws.
   */
  readonly decompress: (frame: Uint8Array, dst: Uint8Array) => number | Promise<number>;
}

export interface ZstdSearch {
  /** The first library that can do the job, or undefined. */
  readonly library: ZstdLibrary | undefined;
  /** Why each of those tried before it is not there. */
  readonly missing: readonly string[];
}

const INSTALL_HINT = 'Install the package "zstd-napi" with its install script allowed, or run Node 22.15 or newer.';

/**
 * @throws MillraceError INVALID_OPTION for an unknown value of MILLRACE_ZSTD, or when zstd-napi fails in an unforeseen
 * way
 */
export async function findZstdEncoder(): Promise<ZstdSearch> {
  const { natives, missing } = await findNatives();
  return { library: natives[0], missing };
}

/** Like {@link findZstdEncoder}; always finds one, because numcodecs is a dependency. */
export async function findZstdDecoder(): Promise<ZstdLibrary> {
  const { natives } = await findNatives();
  return natives[0] ?? wasmLibrary();
}

/** @throws MillraceError CODEC_UNAVAILABLE when neither zstd-napi nor node:zlib offers zstd */
export async function openZstdEncoder(level: number): Promise<ChunkEncoder> {
  const { library, missing } = await findZstdEncoder();
  if (library?.openEncoder === undefined) {
    throw new MillraceError("CODEC_UNAVAILABLE", `codec zstd: no libzstd here: ${missing.join("; ")}.`, {
      context: { codec: "zstd", missing },
      hint: INSTALL_HINT,
    });
  }
  return library.openEncoder(level);
}

async function findNatives(): Promise<{ natives: ZstdLibrary[]; missing: string[] }> {
  const forced = process.env.MILLRACE_ZSTD || "any";
  if (!["any", "napi", "zlib", "none"].includes(forced)) {
    throw new MillraceError(
      "INVALID_OPTION",
      `MILLRACE_ZSTD: expected napi, zlib or none, got ${JSON.stringify(forced)}.`,
      {
        context: { option: "MILLRACE_ZSTD", value: forced },
      },
    );
  }
  const natives: ZstdLibrary[] = [];
  const missing: string[] = [];
  const add = (found: ZstdLibrary | string) => {
    if (typeof found === "string") missing.push(found);
    else natives.push(found);
  };
  if (forced === "napi" || forced === "any") add(await napiLibrary());
  if (forced === "zlib" || (forced === "any" && natives.length === 0)) add(zlibLibrary());
  if (forced !== "any") missing.push(`MILLRACE_ZSTD=${forced}`);
  return { natives, missing };
}

/** What is used of `zstd-napi/binding.js`. Own types: an optional package may be absent where Millrace is compiled. */
interface NapiBinding {
  readonly CCtx: new () => {
    setParameter(parameter: number, value: number): void;
    compress2(dst: Uint8Array, src: Uint8Array): number;
  };
  readonly DCtx: new () => { decompress(dst: Uint8Array, src: Uint8Array): number };
  readonly CParameter: {
    readonly compressionLevel: number;
    readonly checksumFlag: number;
    readonly contentSizeFlag: number;
  };
  versionString(): string;
}

/**
 * Made on first use, and kept for the thread: it is some 160 KB outside of what the collector counts, and whoever opens
 * many arrays had one for each. A call is over before the next one begins, so they can share it.
 */
let decoderContext: InstanceType<NapiBinding["DCtx"]> | undefined;

/**
 * zstd-napi, or the reason why it is not there: not installed, installed but never built (a blocked install script), or
 * built for another system. Any other failure is thrown: it would be a fault to be seen, not a missing package.
 */
export async function napiLibrary(specifier = "zstd-napi/binding.js"): Promise<ZstdLibrary | string> {
  let binding: NapiBinding;
  try {
    binding = ((await import(specifier)) as { default: NapiBinding }).default;
  } catch (error) {
    const reason = absenceOf(error);
    if (reason !== undefined) return reason;
    throw new MillraceError("CODEC_UNAVAILABLE", "codec zstd: the package zstd-napi is there but failed to load.", {
      context: { codec: "zstd" },
      cause: error,
      hint: "MILLRACE_ZSTD=zlib avoids it.",
    });
  }
  const provider = `zstd-napi (libzstd ${binding.versionString()})`;
  return {
    provider,
    openEncoder(level) {
      let cctx: InstanceType<NapiBinding["CCtx"]> | undefined = new binding.CCtx();
      const { CParameter } = binding;
      cctx.setParameter(CParameter.compressionLevel, level);
      cctx.setParameter(CParameter.checksumFlag, 0);
      cctx.setParameter(CParameter.contentSizeFlag, 1);
      return {
        provider,
        encode(src, dst) {
          if (cctx === undefined) throw closed();
          try {
            // One call, one frame, and no allocation: the context is reset by the library, not made anew.
            return cctx.compress2(dst, src);
          } catch (error) {
            throw failed(src, dst, error);
          }
        },
        close() {
          cctx = undefined;
        },
      };
    },
    decompress(frame, dst) {
      decoderContext ??= new binding.DCtx();
      return decoderContext.decompress(dst, frame);
    },
  };
}

function absenceOf(error: unknown): string | undefined {
  const { code, message = "" } = error as NodeJS.ErrnoException;
  if (code === "ERR_DLOPEN_FAILED")
    return `zstd-napi is installed but its binary does not load (${message.split("\n")[0]})`;
  if (code === "MODULE_NOT_FOUND" && message.includes("binding.node"))
    return "zstd-napi is installed but was not built";
  if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") {
    if (message.includes("zstd-napi")) return "zstd-napi is not installed";
  }
  return undefined;
}

/** The zstd functions of node:zlib, which the type package for Node 20 does not know. */
interface ZlibZstd {
  zstdCompressSync?(src: Uint8Array, options: { params: Record<number, number> }): Uint8Array;
  zstdDecompressSync?(src: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
  readonly constants: Record<string, number>;
}

function zlibLibrary(): ZstdLibrary | string {
  const { zstdCompressSync, zstdDecompressSync, constants } = zlib as unknown as ZlibZstd;
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) {
    return `node:zlib of ${process.version} has no zstd (22.15 is the first with it)`;
  }
  const version = (process.versions as Record<string, string | undefined>).zstd;
  const provider = `node:zlib (libzstd ${version ?? "of unknown version"})`;
  return {
    provider,
    openEncoder(level) {
      let open = true;
      const params = {
        [constants.ZSTD_c_compressionLevel]: level,
        [constants.ZSTD_c_checksumFlag]: 0,
        [constants.ZSTD_c_contentSizeFlag]: 1,
      };
      return {
        provider,
        encode(src, dst) {
          if (!open) throw closed();
          let encoded: Uint8Array;
          try {
            encoded = zstdCompressSync(src, { params });
          } catch (error) {
            throw failed(src, dst, error);
          }
          if (encoded.length > dst.length) throw failed(src, dst, undefined);
          dst.set(encoded);
          return encoded.length;
        },
        close() {
          open = false;
        },
      };
    },
    decompress(frame, dst) {
      const content = zstdDecompressSync(frame, { maxOutputLength: Math.max(1, dst.length) });
      dst.set(content);
      return content.length;
    },
  };
}

function wasmLibrary(): ZstdLibrary {
  return {
    provider: "numcodecs (WebAssembly)",
    openEncoder: undefined,
    async decompress(frame, dst) {
      const parsed = parseZstdFrames(frame);
      // numcodecs allocates what the header says; dst is what the caller is ready to take.
      if ("error" in parsed) throw new Error(parsed.error);
      const bytes = parsed.frames[0].contentBytes;
      if (bytes === undefined) {
        throw new MillraceError(
          "STORE_UNSUPPORTED",
          "zstd: this frame does not state its size, which numcodecs needs.",
          {
            hint: INSTALL_HINT,
          },
        );
      }
      if (bytes > dst.length) throw new Error(`the frame holds ${bytes} bytes, expected at most ${dst.length}`);
      // numcodecs refuses an empty frame.
      if (bytes === 0) return 0;
      const { default: Zstd } = await import("numcodecs/zstd");
      const content = await Zstd.fromConfig({ id: "zstd" }).decode(frame);
      dst.set(content);
      return content.length;
    },
  };
}

function failed(src: Uint8Array, dst: Uint8Array, cause: unknown): MillraceError {
  const reason = cause instanceof Error ? `: ${cause.message}` : "";
  return new MillraceError(
    "CODEC_FAILED",
    `codec zstd: ${src.length} bytes into room for ${dst.length} failed${reason}.`,
    {
      context: { codec: "zstd", srcBytes: src.length, dstBytes: dst.length },
      cause,
    },
  );
}

function closed(): MillraceError {
  return new MillraceError("INTERNAL", "codec zstd: encode was called after close");
}
