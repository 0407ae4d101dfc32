import { isMillraceError, type MillraceError } from "../base/errors.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { type ChunkDecoder, encodedBytesMax } from "../codec/decode.js";
import { ravel, unravel } from "../geometry/mixed_radix.js";
import { chunkKey, memberKey, parseChunkKey } from "../zarr/chunk_key.js";
import type { StoredArray } from "../zarr/parse_metadata.js";
import { type ArrayLayout, arrayLayout } from "./array_layout.js";
import { ChunkChecker, type ChunkCheckSpec } from "./chunk_check.js";
import { chunkDecoder } from "./chunk_decoder.js";
import type { StoreEntry } from "./store_reader.js";
import type { Findings, VerifiedArray } from "./verify_report.js";

export interface ObjectResult {
  readonly chunksChecked: number;
  readonly chunksInShape: number;
  readonly bytesDecoded: number;
}

/** Shards of which is known that they are there, over all arrays of a store; beyond it they are only counted. */
const PRESENT_MAX = 2 ** 20;

/** What of {@link PRESENT_MAX} is left; shared by the arrays of a store. */
export class PresentQuota {
  left = PRESENT_MAX;
}

/** One array while its objects pass by. Of its metadata the attributes are dropped. */
export class ArrayCheck {
  readonly spec: ChunkCheckSpec;
  readonly checker: ChunkChecker;
  /** Bytes that decoding one chunk takes at most, beside the stored chunk. */
  readonly decodeBytes: number;
  #objects = 0;
  #objectsInShape = 0;
  #chunks = 0;
  #chunksInShape = 0;
  #bytesStored = 0;
  #bytesDecoded = 0;
  #present: Set<number> | undefined = new Set();

  constructor(
    readonly path: string,
    readonly layout: ArrayLayout,
    private readonly decoder: ChunkDecoder,
  ) {
    const { compressors, dtype } = layout.metadata;
    const { chunkBytes } = layout;
    this.spec = { compressors, dtype, chunkBytes };
    this.checker = new ChunkChecker(decoder, this.spec);
    // The result, and a block of Blosc that is not shuffled back yet; between two compressors also what the outer one
    // gave.
    this.decodeBytes =
      compressors.length === 0 ? 0 : 2 * chunkBytes + (compressors.length > 1 ? 2 * encodedBytesMax(chunkBytes) : 0);
  }

  /** Undefined for a key that is none of this array's shards. */
  coordinatesOf(key: string): number[] | undefined {
    const { keyEncoding, shape } = this.layout.metadata;
    return parseChunkKey(this.relative(key), shape.length, keyEncoding);
  }

  relative(key: string): string {
    return this.path === "" ? key : key.slice(this.path.length + 1);
  }

  /** Dimensions along which a shard lies behind the end of the array. */
  dimensionsOutside(coordinates: readonly number[]): number[] {
    return coordinates.flatMap((c, d) => (c < this.layout.blockGrid[d] ? [] : [d]));
  }

  /** Position in the grid of chunks of a chunk of a shard. */
  chunkCoordinates(block: readonly number[], chunk: number): number[] {
    const { chunksOfBlock } = this.layout;
    return unravel(chunk, chunksOfBlock).map((c, d) => block[d] * chunksOfBlock[d] + c);
  }

  add(entry: StoreEntry, coordinates: readonly number[], result: ObjectResult, quota: PresentQuota): void {
    this.#objects++;
    this.#bytesStored += entry.size;
    this.#chunks += result.chunksChecked;
    this.#chunksInShape += result.chunksInShape;
    this.#bytesDecoded += result.bytesDecoded;
    if (this.dimensionsOutside(coordinates).length > 0) return;
    this.#objectsInShape++;
    if (quota.left === 0 || this.objectsExpected > Number.MAX_SAFE_INTEGER) this.#present = undefined;
    if (this.#present === undefined) return;
    quota.left--;
    this.#present.add(ravel(coordinates, this.layout.blockGrid));
  }

  /** Shards inside the shape. Inexact beyond 2^53. */
  get objectsExpected(): number {
    return countOf(this.layout.blockGrid);
  }

  /** One note on all shards that are not there. */
  noteAbsent({ notes }: Findings): void {
    const missing = this.objectsExpected - this.#objectsInShape;
    if (missing <= 0) return;
    const first = this.#firstAbsent();
    const which = first === undefined ? "" : `, ${first} first`;
    const message = `${missing} of ${this.objectsExpected} shards are absent${which}; they read as the fill value`;
    notes.add("SHARDS_ABSENT", memberKey(this.path, METADATA_NAME), message);
  }

  /** In C order. As many steps as there are shards. */
  #firstAbsent(): string | undefined {
    if (this.#present === undefined) return undefined;
    let number = 0;
    while (this.#present.has(number)) number++;
    const { blockGrid, metadata } = this.layout;
    return memberKey(this.path, chunkKey(unravel(number, blockGrid), metadata.keyEncoding));
  }

  report(): VerifiedArray {
    const { metadata, chunkGrid } = this.layout;
    return {
      path: this.path,
      shape: metadata.shape,
      dtype: metadata.dtype,
      codecs: this.decoder.description,
      objectsChecked: this.#objects,
      objectsMissing: this.objectsExpected - this.#objectsInShape,
      chunksChecked: this.#chunks,
      chunksMissing: countOf(chunkGrid) - this.#chunksInShape,
      bytesStored: this.#bytesStored,
      bytesDecoded: this.#bytesDecoded,
    };
  }
}

/** Cells of a grid; a grid may be as large as metadata can say. Finite, as JSON has no infinity. */
function countOf(grid: readonly number[]): number {
  if (grid.includes(0)) return 0;
  return Math.min(
    grid.reduce((n, count) => n * count, 1),
    Number.MAX_VALUE,
  );
}

/** The error is returned: why an array's metadata cannot be followed, though each part of it reads. */
export async function openArrayCheck(path: string, metadata: StoredArray): Promise<ArrayCheck | MillraceError> {
  const bare: StoredArray = { ...metadata, attributes: {} };
  try {
    const layout = arrayLayout(bare, memberKey(path, METADATA_NAME));
    return new ArrayCheck(path, layout, await chunkDecoder(bare));
  } catch (error) {
    if (isMillraceError(error) && (error.code === "STORE_CORRUPT" || error.code === "STORE_UNSUPPORTED")) return error;
    throw error;
  }
}
