import { assert } from "../base/assert.js";
import { MillraceError } from "../base/errors.js";
import { isCount } from "../base/integers.js";
import { crc32c } from "../codec/crc32c.js";

/**
 * The index of a shard (Zarr v3 sharding_indexed): per chunk in C order two little-endian u64, offset from the start of
 * the shard and length; both 2^64 − 1 where the chunk is absent. Behind it a little-endian CRC-32C of those bytes.
 */

const ENTRY_BYTES = 16;
const CHECKSUM_BYTES = 4;
const ABSENT_WORD = 0xffff_ffff;

/** Bytes of the index of a shard with so many chunks. */
export function shardIndexBytes(chunkCount: number, checksum = true): number {
  return ENTRY_BYTES * chunkCount + (checksum ? CHECKSUM_BYTES : 0);
}

/** Where a chunk's bytes lie in its shard. */
export interface ChunkRange {
  readonly offset: number;
  readonly nbytes: number;
}

/** The index of an open shard; a chunk never entered is absent. Holds the encoded form: 16 bytes a chunk and 4. */
export class ShardIndex {
  readonly chunkCount: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(chunkCount: number) {
    assert(isCount(chunkCount) && chunkCount > 0, "a shard has chunks", { chunkCount });
    this.chunkCount = chunkCount;
    this.#bytes = new Uint8Array(shardIndexBytes(chunkCount)).fill(0xff);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Enters a chunk, or moves it: the last call counts. */
  set(chunk: number, offset: number, nbytes: number): void {
    assert(isCount(chunk) && chunk < this.chunkCount, "chunk is inside the shard", { chunk, chunks: this.chunkCount });
    assert(isCount(offset) && isCount(nbytes) && isCount(offset + nbytes), "chunk range is exact", { offset, nbytes });
    this.#setWord(ENTRY_BYTES * chunk, offset);
    this.#setWord(ENTRY_BYTES * chunk + 8, nbytes);
  }

  /** Makes a chunk absent. */
  clear(chunk: number): void {
    assert(isCount(chunk) && chunk < this.chunkCount, "chunk is inside the shard", { chunk, chunks: this.chunkCount });
    this.#bytes.fill(0xff, ENTRY_BYTES * chunk, ENTRY_BYTES * (chunk + 1));
  }

  /** The range of a chunk, or undefined when it is absent. */
  get(chunk: number): ChunkRange | undefined {
    assert(isCount(chunk) && chunk < this.chunkCount, "chunk is inside the shard", { chunk, chunks: this.chunkCount });
    const at = ENTRY_BYTES * chunk;
    // No exact range has an offset whose high word is all ones.
    if (this.#view.getUint32(at + 4, true) === ABSENT_WORD) return undefined;
    return { offset: this.#word(at), nbytes: this.#word(at + 8) };
  }

  /** Chunks that are present. O(chunkCount). */
  presentCount(): number {
    let count = 0;
    for (let c = 0; c < this.chunkCount; c++) {
      if (this.#view.getUint32(ENTRY_BYTES * c + 4, true) !== ABSENT_WORD) count++;
    }
    return count;
  }

  /** The index with its checksum. A view of the index's own memory, valid until the next `set` or `clear`. */
  encode(): Uint8Array {
    const end = ENTRY_BYTES * this.chunkCount;
    this.#view.setUint32(end, crc32c(this.#bytes.subarray(0, end)), true);
    return this.#bytes;
  }

  #setWord(at: number, value: number): void {
    const low = value % 2 ** 32;
    this.#view.setUint32(at, low, true);
    this.#view.setUint32(at + 4, (value - low) / 2 ** 32, true);
  }

  #word(at: number): number {
    return this.#view.getUint32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
  }
}

/** One way in which an index contradicts its shard. */
export interface ShardIndexDefect {
  readonly kind: "length" | "checksum" | "half_absent" | "bounds" | "overlap" | "size";
  /** Entry in the index; undefined when the index as a whole is bad. */
  readonly chunk: number | undefined;
  /** What was expected and what came; without the shard's name. */
  readonly message: string;
  /** The bytes in question, where the entry names any that exact numbers can tell. */
  readonly range?: ChunkRange;
}

/**
 * More defects of one index than this are counted, not listed: an index of zeros is as many defects as it has entries.
 */
const INDEX_DEFECTS_MAX = 1000;

interface ShardIndexCheck {
  readonly chunkCount: number;
  /** Length of the whole object, index included. */
  readonly objectBytes: number;
  readonly location?: "start" | "end";
  /** Whether index_codecs end in crc32c. Default true. */
  readonly checksum?: boolean;
  /** Length that every chunk must have: codec `none`. */
  readonly exactChunkBytes?: number;
}

interface DecodedShardIndex {
  /** Holds the good entries; bad ones are absent. Undefined when the index as a whole is bad: length or checksum. */
  readonly index: ShardIndex | undefined;
  /** The first {@link INDEX_DEFECTS_MAX}. */
  readonly defects: readonly ShardIndexDefect[];
  readonly defectCount: number;
  /** Numbers of the good chunks, by offset. */
  readonly order: Uint32Array;
}

/**
 * Reads an index and checks all that can be known without the chunks: length, checksum, bounds, overlap. Never throws
 * for bad bytes. Of two chunks that overlap, the one with the lower offset is kept, at equal offsets the shorter one,
 * then the one with the lower number. Takes, besides the bytes given, twice their size.
 * @param bytes the index alone, checksum included: the first or last `shardIndexBytes` of the object.
 */
export function decodeShardIndex(bytes: Uint8Array, check: ShardIndexCheck): DecodedShardIndex {
  const { chunkCount, objectBytes, location = "end", checksum = true, exactChunkBytes } = check;
  const indexBytes = shardIndexBytes(chunkCount, checksum);
  const whole = (kind: "length" | "checksum", message: string): DecodedShardIndex => ({
    index: undefined,
    defects: [{ kind, chunk: undefined, message }],
    defectCount: 1,
    order: new Uint32Array(0),
  });
  if (bytes.length !== indexBytes) return whole("length", `index has ${bytes.length} bytes, expected ${indexBytes}`);
  if (objectBytes < indexBytes)
    return whole("length", `object has ${objectBytes} bytes, its index alone ${indexBytes}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entriesEnd = ENTRY_BYTES * chunkCount;
  if (checksum) {
    const stored = view.getUint32(entriesEnd, true);
    const computed = crc32c(bytes.subarray(0, entriesEnd));
    if (stored !== computed)
      return whole("checksum", `index crc32c is ${hex(stored)}, its bytes give ${hex(computed)}`);
  }

  const dataFrom = location === "start" ? indexBytes : 0;
  const dataTo = location === "start" ? objectBytes : objectBytes - indexBytes;
  const index = new ShardIndex(chunkCount);
  const defects: ShardIndexDefect[] = [];
  let defectCount = 0;
  const defect = (kind: ShardIndexDefect["kind"], chunk: number, message: () => string, range?: ChunkRange): void => {
    if (defectCount++ >= INDEX_DEFECTS_MAX) return;
    defects.push({ kind, chunk, message: `chunk ${chunk}: ${message()}`, ...(range && { range }) });
  };
  const present = new Uint32Array(chunkCount);
  let presentCount = 0;
  for (let chunk = 0; chunk < chunkCount; chunk++) {
    const offset = readWord(view, ENTRY_BYTES * chunk);
    const nbytes = readWord(view, ENTRY_BYTES * chunk + 8);
    if (offset === undefined && nbytes === undefined) continue;
    if (offset === undefined || nbytes === undefined) {
      defect(
        "half_absent",
        chunk,
        () => `${offset === undefined ? "offset" : "length"} says absent, the other word does not`,
      );
      continue;
    }
    const range = isCount(offset) && isCount(nbytes) ? { offset, nbytes } : undefined;
    if (offset < dataFrom || offset + nbytes > dataTo) {
      // Words beyond 2^53 are inexact here, and far out of bounds all the same.
      const message = () => `bytes ${offset} to ${offset + nbytes} lie outside the data, ${dataFrom} to ${dataTo}`;
      defect("bounds", chunk, message, range);
    } else if (exactChunkBytes !== undefined ? nbytes !== exactChunkBytes : nbytes === 0) {
      defect("size", chunk, () => `${nbytes} bytes, expected ${exactChunkBytes ?? "at least one"}`, range);
    } else {
      index.set(chunk, offset, nbytes);
      present[presentCount++] = chunk;
    }
  }

  const sorted = byOffset(index, present.subarray(0, presentCount));
  let kept = 0;
  let end = 0;
  let owner = -1;
  for (const chunk of sorted) {
    const range = index.get(chunk)!;
    if (range.offset < end) {
      const message = () => `bytes from ${range.offset} overlap chunk ${owner}, which ends at ${end}`;
      defect("overlap", chunk, message, range);
      index.clear(chunk);
    } else {
      end = range.offset + range.nbytes;
      owner = chunk;
      sorted[kept++] = chunk;
    }
  }
  return { index, defects, defectCount, order: sorted.subarray(0, kept) };
}

/** Sorts chunks by offset, then length, then number; in place. Millrace's own shards are in order already. */
function byOffset(index: ShardIndex, chunks: Uint32Array): Uint32Array {
  const compare = (a: number, b: number): number => {
    const x = index.get(a)!;
    const y = index.get(b)!;
    return x.offset - y.offset || x.nbytes - y.nbytes || a - b;
  };
  for (let i = 1; i < chunks.length; i++) if (compare(chunks[i - 1], chunks[i]) > 0) return chunks.sort(compare);
  return chunks;
}

/**
 * Like {@link decodeShardIndex}, for readers that cannot go on with a bad index.
 * @param key the shard's key, for the message.
 * @throws MillraceError STORE_CORRUPT with the first defect and how many there are.
 */
export function readShardIndex(bytes: Uint8Array, check: ShardIndexCheck, key: string): ShardIndex {
  const { index, defects, defectCount } = decodeShardIndex(bytes, check);
  if (index !== undefined && defectCount === 0) return index;
  const more = defectCount > 1 ? ` (and ${defectCount - 1} more)` : "";
  throw new MillraceError("STORE_CORRUPT", `Index of shard ${key}: ${defects[0].message}${more}.`, {
    context: { key, defect: defects[0].kind, chunk: defects[0].chunk ?? null, defects: defectCount },
  });
}

/** A u64, or undefined for 2^64 − 1. Inexact from 2^53 on. */
function readWord(view: DataView, at: number): number | undefined {
  const low = view.getUint32(at, true);
  const high = view.getUint32(at + 4, true);
  return low === ABSENT_WORD && high === ABSENT_WORD ? undefined : high * 2 ** 32 + low;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
