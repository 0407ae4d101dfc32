import { isMillraceError, MillraceError } from "../base/errors.js";
import { floorDiv, product } from "../base/integers.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { reportAbort } from "../base/report_abort.js";
import type { ChunkDecoder } from "../codec/decode.js";
import type { DType } from "../geometry/dtype.js";
import { increment, ravel } from "../geometry/mixed_radix.js";
import { type ChunkKeyEncoding, chunkKey, memberKey } from "../zarr/chunk_key.js";
import type { FillValue } from "../zarr/fill_value.js";
import type { CodecPipeline } from "../zarr/parse_codecs.js";
import type { CodecMetadata, StoredArray } from "../zarr/parse_metadata.js";
import { readShardIndex, type ShardIndex } from "../zarr/shard_index.js";
import { type ArrayLayout, arrayLayout, readNode } from "./array_layout.js";
import { chunkDecoder } from "./chunk_decoder.js";
import { type Box, copyBox, fillElements } from "./copy_box.js";
import { openStore, type StoreTarget } from "./open_store.js";
import { checkBounds, checkReadOptions, type ReadOptions } from "./read_options.js";
import { forEachLoaded, planWindows, type WantedRange, WINDOW_BYTES } from "./read_windows.js";
import { checkPath, type ObjectReader } from "./store_reader.js";
import { type TypedElements, typedElements } from "./typed_elements.js";

export type { ChunkKeyEncoding, CodecMetadata, CodecPipeline, FillValue, ReadOptions, StoredArray };

/** Elements of an array, C order. */
export interface Region {
  /**
   * By the array's dtype: Uint16Array of uint16, BigInt64Array of int64 and so on. float16 is a Float16Array where the
   * runtime has one, else its bit patterns are in a Uint16Array. Over the memory of `into` where it was given.
   */
  readonly values: TypedElements;
  /** The same memory as bytes; elements are little-endian. */
  readonly data: Uint8Array;
  /** Elements per dimension. */
  readonly shape: readonly number[];
  /** Chunks that were read. Those that are not stored are the fill value in `data`. */
  readonly chunksRead: number;
}

/** A stored array, opened for reading. Its shape is the one at opening; open it again to see it grow. */
export interface ArrayReader {
  /** Path of the node in its store; "" is the root. */
  readonly path: string;
  /** The store, for messages. */
  readonly location: string;
  /** What its zarr.json says. */
  readonly metadata: StoredArray;
  /** What follows from that. */
  readonly layout: ArrayLayout;
  /** Elements per dimension, slowest first. */
  readonly shape: readonly number[];
  /** What an element is. */
  readonly dtype: DType;
  /**
   * The elements from `start` up to, not including, `stop`, per dimension. Missing chunks read as the fill value. Up to
   * eight shards (or chunks, where there are no shards) are read at once; each holds two reads of up to 4 MiB (or one
   * chunk each, if larger) and one decoded chunk, all together 128 MiB at most, or one shard's if that is more.
   * @param start default: zeros
   * @param stop default: the shape
   * @throws MillraceError INVALID_OPTION for bounds outside the array, STORE_CORRUPT, STORE_UNSUPPORTED, CALL_ABORTED
   *   with the signal's reason as its cause, or what the store rejects with
   */
  readRegion(start?: readonly number[], stop?: readonly number[], options?: ReadOptions): Promise<Region>;
}

/** More bytes than a Uint8Array surely holds on every supported Node. */
const REGION_BYTES_MAX = 2 ** 32 - 1;

/**
 * Opens an array: plain or sharded, with any codecs of {@link openDecoder}. A reader of a place on S3 keeps its idle
 * connections, which hold no process up; whoever wants to end them opens the place with `s3Store`, and closes that.
 * @param target a folder, a file: URL, `s3://bucket/prefix`, a Map of objects, or a reader
 * @param path the array's node in the store; "" is the root
 * @throws MillraceError STORE_NOT_FOUND when there is no array, STORE_CORRUPT, STORE_UNSUPPORTED, INVALID_OPTION for a
 *   bad path, or what the store rejects with
 */
export async function openArray(target: StoreTarget, path = ""): Promise<ArrayReader> {
  checkPath(path);
  const store = await openStore(target);
  try {
    return await openNode(store, path);
  } catch (error) {
    if (store !== target) await store.close?.();
    throw error;
  }
}

/** {@link openArray}, of a reader that stays the caller's. */
export async function openNode(store: ObjectReader, path: string): Promise<ArrayReader> {
  const node = await readNode(store, path);
  if (node?.nodeType !== "array") {
    const what = node === undefined ? "there is no zarr.json" : "there is a group, no array,";
    throw new MillraceError("STORE_NOT_FOUND", `${what} at ${JSON.stringify(path)} of ${store.location}.`, {
      context: { location: store.location, path },
    });
  }
  return await openStoredArray(store, path, node);
}

async function openStoredArray(store: ObjectReader, path: string, metadata: StoredArray): Promise<ArrayReader> {
  const layout = arrayLayout(metadata, memberKey(path, METADATA_NAME));
  return new OpenArray(store, path, layout, await chunkDecoder(metadata));
}

/** Part of the region that one chunk covers. */
interface Piece {
  /** First element of the chunk, in the array. */
  readonly chunkStart: readonly number[];
}

/** Times that a block is read while it changes. */
const BLOCK_READS_MAX = 4;

/** What a read of a block has met. */
interface SeenObject {
  /** Bytes of the object when its index was looked for. */
  bytes: number | undefined;
}

const BLOCKS_AT_ONCE = 8;
/** What blocks that are read at once may hold together, beside the result. */
const READING_BYTES_MAX = 128 * 2 ** 20;

/** Indexes kept between reads of neighbouring regions; a shard that was absent is looked for again every time. */
const CACHED_INDEXES = 8;

class OpenArray implements ArrayReader {
  readonly location: string;
  readonly metadata: StoredArray;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly #blocksAtOnce: number;
  readonly #indexes = new Map<string, { readonly index: ShardIndex; readonly objectBytes: number }>();

  constructor(
    private readonly store: ObjectReader,
    readonly path: string,
    readonly layout: ArrayLayout,
    private readonly decoder: ChunkDecoder,
  ) {
    this.location = store.location;
    this.metadata = layout.metadata;
    this.shape = layout.metadata.shape;
    this.dtype = layout.metadata.dtype;
    const blockBytes = 2 * Math.max(WINDOW_BYTES, layout.chunkBytes) + layout.chunkBytes;
    this.#blocksAtOnce = Math.max(1, Math.min(BLOCKS_AT_ONCE, floorDiv(READING_BYTES_MAX, blockBytes)));
  }

  async readRegion(
    start: readonly number[] = this.metadata.shape.map(() => 0),
    stop: readonly number[] = this.metadata.shape,
    options: ReadOptions = {},
  ): Promise<Region> {
    const { shape, fill } = this.metadata;
    checkReadOptions(options);
    checkBounds(start, stop, shape);
    const { itemBytes, block } = this.layout;
    const extent = stop.map((to, d) => to - start[d]);
    const bytes = product([...extent, itemBytes], "bytes of the region");
    const { into } = options;
    if (into !== undefined && into.byteLength !== bytes) {
      throw new MillraceError("INVALID_OPTION", `the region has ${bytes} bytes, and \`into\` ${into.byteLength}.`, {
        context: { option: "into", bytes, given: into.byteLength },
      });
    }
    if (into === undefined && bytes > REGION_BYTES_MAX) {
      throw new MillraceError(
        "INVALID_OPTION",
        `a region of ${bytes} bytes is more than ${REGION_BYTES_MAX} at once.`,
        {
          context: { bytes, limit: REGION_BYTES_MAX },
          hint: "Read it in parts.",
        },
      );
    }
    const region: Box = { bytes: into ?? new Uint8Array(bytes), shape: extent };
    const values = typedElements(region.bytes, this.dtype);
    fillElements(region.bytes, fill.bytes);
    const { signal } = options;
    const read = async () => (bytes === 0 ? 0 : await this.#readBlocks(start, stop, region, signal, block));
    const chunksRead = await reportAbort("readRegion", signal, read);
    return { values, data: region.bytes, shape: extent, chunksRead };
  }

  /**
   * Several at once, since each takes a few round trips. Settles when all have, so that nothing writes to the region
   * afterwards.
   */
  async #readBlocks(
    start: readonly number[],
    stop: readonly number[],
    region: Box,
    signal: AbortSignal | undefined,
    block: readonly number[],
  ): Promise<number> {
    const { first, count } = cellsOf(start, stop, block);
    const at = first.map(() => 0);
    let chunksRead = 0;
    let isOver = false;
    const readSome = async (): Promise<void> => {
      while (!isOver) {
        const coordinates = first.map((f, d) => f + at[d]);
        isOver = !increment(at, count);
        try {
          signal?.throwIfAborted();
          const chunks = await this.#readBlock(coordinates, start, stop, region, signal);
          chunksRead += chunks;
        } catch (error) {
          isOver = true;
          throw error;
        }
      }
    };
    const lanes = Array.from({ length: this.#blocksAtOnce }, readSome);
    for (const lane of await Promise.allSettled(lanes)) if (lane.status === "rejected") throw lane.reason;
    return chunksRead;
  }

  /**
   * A writer that resumes replaces the last shards, with others that begin like them and are longer. A reader that
   * holds an old index sees garbage in a new shard; what is new is read again, and what is not is reported.
   */
  async #readBlock(
    coordinates: readonly number[],
    start: readonly number[],
    stop: readonly number[],
    region: Box,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const key = memberKey(this.path, chunkKey(coordinates, this.metadata.keyEncoding));
    for (let attempt = 1; ; attempt++) {
      const seen: SeenObject = { bytes: undefined };
      try {
        return await this.#readBlockOnce(key, coordinates, start, stop, region, signal, seen);
      } catch (error) {
        const maybeNew = isMillraceError(error, "STORE_CORRUPT") || isMillraceError(error, "STORE_READ_FAILED");
        if (!maybeNew || attempt === BLOCK_READS_MAX || seen.bytes === undefined) throw error;
        this.#indexes.delete(key);
        if ((await this.store.size(key)) === seen.bytes) throw error;
      }
    }
  }

  /** Returns the chunks that were read. */
  async #readBlockOnce(
    key: string,
    coordinates: readonly number[],
    start: readonly number[],
    stop: readonly number[],
    region: Box,
    signal: AbortSignal | undefined,
    seen: SeenObject,
  ): Promise<number> {
    const { block, chunksOfBlock } = this.layout;
    const { chunk } = this.metadata;
    const index = this.metadata.index === undefined ? undefined : await this.#index(key, seen);
    if (this.metadata.index !== undefined && index === undefined) return 0;
    const blockStart = coordinates.map((c, d) => c * block[d]);
    const from = start.map((s, d) => Math.max(s, blockStart[d]) - blockStart[d]);
    const to = stop.map((s, d) => Math.min(s, blockStart[d] + block[d]) - blockStart[d]);
    const { first, count } = cellsOf(from, to, chunk);
    const wanted: WantedRange<Piece>[] = [];
    const at = first.map(() => 0);
    do {
      const inBlock = first.map((f, d) => f + at[d]);
      const what = { chunkStart: inBlock.map((c, d) => blockStart[d] + c * chunk[d]) };
      if (index === undefined) {
        const size = await this.store.size(key);
        if (size !== undefined) wanted.push({ offset: 0, nbytes: size, what });
      } else {
        const range = index.get(ravel(inBlock, chunksOfBlock));
        if (range !== undefined) wanted.push({ ...range, what });
      }
    } while (increment(at, count));
    for (const { nbytes } of wanted) this.#checkStoredBytes(key, nbytes);
    await forEachLoaded(
      planWindows(wanted),
      async (window) => {
        signal?.throwIfAborted();
        return await this.store.getRange(key, window.offset, window.nbytes);
      },
      async (window, bytes) => {
        if (bytes === undefined || bytes.length !== window.nbytes) {
          throw new MillraceError("STORE_READ_FAILED", `${key} changed while it was read.`, { context: { key } });
        }
        for (const { offset, nbytes, what } of window.ranges) {
          const begin = offset - window.offset;
          const raw = await this.#decode(key, what, bytes.subarray(begin, begin + nbytes));
          this.#place(raw, what, start, stop, region);
        }
      },
    );
    return wanted.length;
  }

  #place(raw: Uint8Array, piece: Piece, start: readonly number[], stop: readonly number[], region: Box): void {
    const { chunk } = this.metadata;
    const { chunkStart } = piece;
    const from = chunkStart.map((c, d) => Math.max(c, start[d]));
    const extent = chunkStart.map((c, d) => Math.min(c + chunk[d], stop[d]) - from[d]);
    copyBox(
      { bytes: raw, shape: chunk },
      from.map((f, d) => f - chunkStart[d]),
      region,
      from.map((f, d) => f - start[d]),
      extent,
      this.layout.itemBytes,
    );
  }

  async #decode(key: string, piece: Piece, stored: Uint8Array): Promise<Uint8Array> {
    try {
      return await this.decoder.decode(stored, this.layout.chunkBytes);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      throw new MillraceError(
        error.code,
        `chunk at element ${piece.chunkStart.join(", ")} in ${key}: ${error.message}`,
        {
          context: { ...error.context, key, chunkStart: piece.chunkStart },
          cause: error,
        },
      );
    }
  }

  async #index(key: string, seen: SeenObject): Promise<ShardIndex | undefined> {
    const cached = this.#indexes.get(key);
    if (cached !== undefined) {
      seen.bytes = cached.objectBytes;
      return cached.index;
    }
    const { location, checksum } = this.metadata.index!;
    const { indexBytes, chunksPerBlock } = this.layout;
    const objectBytes = await this.store.size(key);
    if (objectBytes === undefined) return undefined;
    seen.bytes = objectBytes;
    // Asked for only where the object has as much: the index of damaged metadata may be said to be huge.
    const length = Math.min(indexBytes, objectBytes);
    // Not by suffix: the size is known, and some servers get suffixes wrong.
    const bytes = await this.store.getRange(key, location === "start" ? 0 : objectBytes - length, length);
    if (bytes === undefined) return undefined;
    const index = readShardIndex(bytes, { chunkCount: chunksPerBlock, objectBytes, location, checksum }, key);
    this.#indexes.set(key, { index, objectBytes });
    if (this.#indexes.size > CACHED_INDEXES) {
      for (const oldest of this.#indexes.keys()) {
        this.#indexes.delete(oldest);
        break;
      }
    }
    return index;
  }

  #checkStoredBytes(key: string, nbytes: number): void {
    const { storedChunkBytesMax, chunkBytes } = this.layout;
    if (nbytes <= storedChunkBytesMax) return;
    throw new MillraceError("STORE_CORRUPT", `${key} holds a chunk of ${nbytes} bytes, decoded it has ${chunkBytes}.`, {
      context: { key, nbytes, chunkBytes },
    });
  }
}

/**
 * The cells of a grid that [start, stop) touches: the first one's coordinates, and how many per dimension. No dimension
 * is empty.
 */
function cellsOf(
  start: readonly number[],
  stop: readonly number[],
  cell: readonly number[],
): { readonly first: number[]; readonly count: number[] } {
  const first = start.map((s, d) => floorDiv(s, cell[d]));
  return { first, count: stop.map((s, d) => floorDiv(s - 1, cell[d]) - first[d] + 1) };
}
