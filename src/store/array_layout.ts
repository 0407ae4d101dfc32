import { MillraceError } from "../base/errors.js";
import { ceilDiv, exactDiv, product } from "../base/integers.js";
import { CHUNK_BYTES_MAX, CHUNKS_PER_SHARD_MAX } from "../base/limits.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { encodedBytesMax } from "../codec/decode.js";
import { itemBytes } from "../geometry/dtype.js";
import { memberKey } from "../zarr/chunk_key.js";
import { parseMetadata, type StoredArray, type StoredNode } from "../zarr/parse_metadata.js";
import { shardIndexBytes } from "../zarr/shard_index.js";
import type { ObjectReader } from "./store_reader.js";

/**
 * A zarr.json larger than this is not read: consolidated metadata of a huge group may have megabytes, an array's never.
 */
const METADATA_BYTES_MAX = 64 * 2 ** 20;

/**
 * Everything about a stored array that reading it needs. "Block" = what one key holds: a shard, or a chunk where there
 * are none.
 */
export interface ArrayLayout {
  /** What the array's zarr.json says. */
  readonly metadata: StoredArray;
  /** Bytes of an element. */
  readonly itemBytes: number;
  /** Bytes of a decoded chunk. */
  readonly chunkBytes: number;
  /** Elements of a block. */
  readonly block: readonly number[];
  /** Chunks per dimension that hold elements of the array. */
  readonly chunkGrid: readonly number[];
  /** Blocks per dimension that hold elements of the array. */
  readonly blockGrid: readonly number[];
  /** Chunks per dimension of one block. */
  readonly chunksOfBlock: readonly number[];
  /** Chunks of a block. */
  readonly chunksPerBlock: number;
  /** 0 where there are no shards. */
  readonly indexBytes: number;
  /** A stored chunk longer than this is damage, whatever the codec. Bounds memory. */
  readonly storedChunkBytesMax: number;
}

/** @throws MillraceError STORE_UNSUPPORTED for chunks or shards beyond Millrace's limits; `key` is for the message */
export function arrayLayout(metadata: StoredArray, key: string): ArrayLayout {
  const block = metadata.shard ?? metadata.chunk;
  const chunksOfBlock = block.map((size, d) => exactDiv(size, metadata.chunk[d]));
  const limited = (factors: readonly number[], max: number, what: string): number => {
    let value = Number.POSITIVE_INFINITY;
    try {
      value = product(factors, what);
    } catch (error) {
      // Beyond 2^53: beyond the limit too.
      if (!(error instanceof MillraceError) || error.code !== "BAD_GEOMETRY") throw error;
    }
    if (value <= max) return value;
    throw new MillraceError("STORE_UNSUPPORTED", `${key} has ${what} beyond the limit of ${max}.`, {
      context: { key, limit: max },
    });
  };
  const item = itemBytes(metadata.dtype);
  const chunkBytes = limited([...metadata.chunk, item], CHUNK_BYTES_MAX, "bytes per chunk");
  const chunksPerBlock = limited(chunksOfBlock, CHUNKS_PER_SHARD_MAX, "chunks per shard");
  return {
    metadata,
    itemBytes: item,
    chunkBytes,
    block,
    chunkGrid: metadata.shape.map((size, d) => ceilDiv(size, metadata.chunk[d])),
    blockGrid: metadata.shape.map((size, d) => ceilDiv(size, block[d])),
    chunksOfBlock,
    chunksPerBlock,
    indexBytes: metadata.index === undefined ? 0 : shardIndexBytes(chunksPerBlock, metadata.index.checksum),
    storedChunkBytesMax: encodedBytesMax(chunkBytes),
  };
}

/**
 * The node at `path` ("" is the root), or undefined when there is no zarr.json.
 * @throws MillraceError STORE_CORRUPT, STORE_UNSUPPORTED, or what the store rejects with
 */
export async function readNode(store: ObjectReader, path: string): Promise<StoredNode | undefined> {
  const bytes = await readMetadata(store, path);
  return bytes && parseMetadata(bytes, memberKey(path, METADATA_NAME));
}

/**
 * The zarr.json at `path`, as it lies there. @throws as {@link readNode}, of what is in it only that it is far too long
 */
export async function readMetadata(store: ObjectReader, path: string): Promise<Uint8Array | undefined> {
  const key = memberKey(path, METADATA_NAME);
  // One request instead of two; and of a bucket that is not there a server says so to GET alone, its answers to HEAD
  // have no body.
  const bytes = await store.getRange(key, 0, METADATA_BYTES_MAX + 1);
  if (bytes === undefined) return undefined;
  if (bytes.length > METADATA_BYTES_MAX) {
    throw new MillraceError(
      "STORE_CORRUPT",
      `${key} has more than ${METADATA_BYTES_MAX} bytes, which no metadata has.`,
      {
        context: { key, limit: METADATA_BYTES_MAX },
      },
    );
  }
  return bytes;
}
