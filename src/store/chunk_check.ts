import { setImmediate } from "node:timers/promises";
import { isMillraceError } from "../base/errors.js";
import { bloscHeaderOddity } from "../codec/blosc_header.js";
import type { ChunkDecoder } from "../codec/decode.js";
import type { DType } from "../geometry/dtype.js";
import type { CodecMetadata } from "../zarr/parse_metadata.js";
import type { DefectCode } from "./verify_report.js";

/** What checking the chunks of an array takes. Plain data: it crosses threads. */
export interface ChunkCheckSpec {
  readonly compressors: readonly CodecMetadata[];
  readonly dtype: DType;
  readonly chunkBytes: number;
}

/** Neighbouring chunks of one object, as they are stored. */
export interface ChunkWindow {
  readonly bytes: Uint8Array;
  /** Numbers of the chunks in their shard. */
  readonly chunks: Uint32Array;
  /** Where each begins in `bytes`. */
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
}

interface BadChunk {
  /** Position in the window. */
  readonly at: number;
  readonly code: DefectCode;
  readonly message: string;
}

/** Oddities of many chunks, told by the first. */
interface OddChunks {
  readonly count: number;
  /** Position of the first in its window. */
  readonly at: number;
  readonly message: string;
}

export interface WindowResult {
  readonly bytesDecoded: number;
  readonly bad: readonly BadChunk[];
  readonly oddHeaders: OddChunks | undefined;
  readonly checksumAbsent: OddChunks | undefined;
}

/** Decoded bytes after which others get the thread: timers, signals. Chunks of zeros decode a thousandfold. */
const YIELD_BYTES = 16 * 2 ** 20;

/** Checks the chunks of one array, on the calling thread. */
export class ChunkChecker {
  readonly #decoder: ChunkDecoder;
  readonly #chunkBytes: number;
  /** Configuration of the outermost codec where that is Blosc, whose header says the same once more. */
  readonly #blosc: CodecMetadata["configuration"];
  readonly #checksumPromised: boolean;
  #unyielded = 0;

  constructor(decoder: ChunkDecoder, { compressors, chunkBytes }: ChunkCheckSpec) {
    this.#decoder = decoder;
    this.#chunkBytes = chunkBytes;
    const outer = compressors.at(-1);
    this.#blosc = outer?.name === "blosc" ? outer.configuration : undefined;
    this.#checksumPromised = outer?.name === "zstd" && outer.configuration?.checksum === true;
  }

  /**
   * @param stopped asked now and then; true: the rest need not be checked
   * @throws MillraceError INTERNAL for a bug in a decoder; whatever the bytes are is in the result
   */
  async check({ bytes, chunks, starts, lengths }: ChunkWindow, stopped = () => false): Promise<WindowResult> {
    const bad: BadChunk[] = [];
    const oddHeaders = new OddCounter();
    const checksumAbsent = new OddCounter();
    let bytesDecoded = 0;
    for (let at = 0; at < chunks.length; at++) {
      const stored = bytes.subarray(starts[at], starts[at] + lengths[at]);
      const fault = await this.#faultOf(stored);
      if (fault !== undefined) bad.push({ at, ...fault });
      else {
        bytesDecoded += this.#chunkBytes;
        const oddity = this.#blosc && bloscHeaderOddity(stored, this.#blosc);
        if (oddity !== undefined) oddHeaders.add(at, oddity);
        if (this.#checksumPromised && lacksChecksum(stored)) {
          checksumAbsent.add(at, "the zstd frame has no checksum, zarr.json says it has");
        }
      }
      this.#unyielded += this.#chunkBytes;
      if (this.#unyielded < YIELD_BYTES) continue;
      this.#unyielded = 0;
      await setImmediate();
      if (stopped()) break;
    }
    return { bytesDecoded, bad, oddHeaders: oddHeaders.found, checksumAbsent: checksumAbsent.found };
  }

  async #faultOf(stored: Uint8Array): Promise<Omit<BadChunk, "at"> | undefined> {
    try {
      await this.#decoder.decode(stored, this.#chunkBytes);
      return undefined;
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      const { code, message, context } = error;
      if (code === "STORE_UNSUPPORTED") return { code: "CHUNK_UNSUPPORTED", message };
      if (code === "OUT_OF_MEMORY") return { code: "MEMORY_LIMIT", message };
      if (code !== "STORE_CORRUPT") throw error;
      return { code: context.checksum === true ? "CHUNK_CHECKSUM" : "CHUNK_DECODE", message };
    }
  }
}

class OddCounter {
  #count = 0;
  #first: { at: number; message: string } | undefined;

  add(at: number, message: string): void {
    this.#count++;
    this.#first ??= { at, message };
  }

  get found(): OddChunks | undefined {
    return this.#first && { count: this.#count, ...this.#first };
  }
}

/** Content_Checksum_Flag of the first frame (RFC 8878 §3.1.1.1.1); a skippable one says nothing. */
function lacksChecksum(stored: Uint8Array): boolean {
  const isFrame = stored[0] === 0x28 && stored[1] === 0xb5 && stored[2] === 0x2f && stored[3] === 0xfd;
  return isFrame && (stored[4] & 0x04) === 0;
}
