import { MillraceError } from "../base/errors.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { innerShardGrid, shardKeyCoordinates } from "../geometry/chunk_grid.js";
import { ancestors, type FoundArray } from "../store/walk.js";
import { chunkKey, memberKey, parseChunkKey } from "../zarr/chunk_key.js";
import { storedGeometry } from "../zarr/parse_metadata.js";
import { completeRun, type RowCensus } from "./row_run.js";

/** The objects of one array, collected while a listing passes by. */
export class ShardCensus implements RowCensus {
  readonly path: string;
  readonly array: FoundArray["metadata"];
  readonly rowsPublished: number;
  readonly rowsPerShard: number;
  readonly shardsPerRow: number;
  readonly geometry: ArrayGeometry;
  readonly endsAt: number | undefined;
  readonly beyond = new Map<number, Map<string, number>>();
  /** Shards that the published shape reaches into. */
  shardsPublished = 0;
  readonly #innerGrid: readonly number[];
  readonly #firstBeyond: number;

  /**
   * @param endsAt see {@link RowCensus}
   * @throws MillraceError STORE_UNSUPPORTED for an array that Millrace cannot have written
   */
  constructor({ path, metadata }: FoundArray, endsAt: number | undefined) {
    const key = memberKey(path, METADATA_NAME);
    if (metadata.index === undefined) {
      throw new MillraceError(
        "STORE_UNSUPPORTED",
        `${key} describes an array without shards, which Millrace did not write.`,
        {
          context: { key },
        },
      );
    }
    const geometry = storedGeometry(metadata, key);
    this.path = path;
    this.array = metadata;
    this.rowsPublished = metadata.shape[0];
    this.geometry = geometry;
    this.rowsPerShard = geometry.shard[0];
    this.shardsPerRow = geometry.shardsPerRow;
    this.endsAt = endsAt;
    this.#innerGrid = innerShardGrid(geometry);
    this.#firstBeyond = completeRun(this).first;
  }

  /** Row of shards that a key belongs to; undefined for a key that none of this array's shards has. */
  rowOf(key: string): number | undefined {
    const { shape, keyEncoding } = this.array;
    const relative = this.path === "" ? key : key.slice(this.path.length + 1);
    const at = parseChunkKey(relative, shape.length, keyEncoding);
    return at?.slice(1).every((c, d) => c < this.#innerGrid[d]) ? at[0] : undefined;
  }

  /** The first key, in C order, that a row of shards lacks. */
  missingKey(row: number): string | undefined {
    for (let shard = 0; shard < this.shardsPerRow; shard++) {
      const at = shardKeyCoordinates(this.geometry, row, shard);
      const key = memberKey(this.path, chunkKey(at, this.array.keyEncoding));
      if (!this.beyond.get(row)?.has(key)) return key;
    }
    return undefined;
  }

  add(row: number, key: string, bytes: number): void {
    if (row < this.#firstBeyond) {
      this.shardsPublished++;
      return;
    }
    const shards = this.beyond.get(row);
    if (shards === undefined) this.beyond.set(row, new Map([[key, bytes]]));
    else shards.set(key, bytes);
  }
}

/** The array that a key lies in, by the nearest path above it. */
export function ownerOf<T>(key: string, arrays: ReadonlyMap<string, T>): T | undefined {
  for (const path of ancestors(key)) {
    const array = arrays.get(path);
    if (array !== undefined) return array;
  }
  return undefined;
}
