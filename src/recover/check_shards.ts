import { forEachLimited } from "../base/limited.js";
import type { S3Api } from "../s3/s3_api.js";
import { decodeShardIndex, shardIndexBytes } from "../zarr/shard_index.js";
import type { RowRun } from "./row_run.js";
import type { ShardCensus } from "./shard_census.js";
import type { Steps } from "./steps.js";

/** Requests at once. */
const CHECKS_AT_ONCE = 8;

interface BadShard {
  readonly row: number;
  readonly key: string;
  readonly message: string;
}

/**
 * Reads the index of every shard of the run before its rows are published, so that an object of somebody else's, or one
 * that was damaged, ends the run. Chunks are not read: `verify` does that.
 * @returns a bad shard of the first row that has one
 */
export async function firstBadShard(
  api: S3Api,
  census: ShardCensus,
  run: RowRun,
  steps: Steps,
): Promise<BadShard | undefined> {
  const shards: { row: number; key: string; bytes: number }[] = [];
  for (let row = run.first; row < run.end; row++) {
    for (const [key, bytes] of census.beyond.get(row) ?? []) shards.push({ row, key, bytes });
  }
  const bad: BadShard[] = [];
  await forEachLimited(shards, CHECKS_AT_ONCE, async ({ row, key, bytes }) => {
    // Checks begin in the order of rows: those that have not begun are in no earlier one.
    if (bad.length > 0) return;
    const message = await indexFault(api, census, key, bytes);
    steps.did("check");
    if (message !== undefined) bad.push({ row, key, message });
  });
  return bad.sort((a, b) => a.row - b.row || (a.key < b.key ? -1 : 1))[0];
}

/** What is wrong with a shard, as far as its index tells. */
async function indexFault(
  api: S3Api,
  { array, geometry }: ShardCensus,
  key: string,
  objectBytes: number,
): Promise<string | undefined> {
  const { location, checksum } = array.index!;
  const length = shardIndexBytes(geometry.chunksPerShard, checksum);
  // Asked first: of an empty object S3 has no last bytes to give, and calls that an error.
  if (objectBytes < length) return `the object has ${objectBytes} bytes, a shard's index alone has ${length}`;
  const range = { offset: location === "start" ? 0 : objectBytes - length, length };
  const bytes = await api.get(key, range);
  if (bytes === undefined) return "the object went away while it was looked at";
  const { defects } = decodeShardIndex(bytes, {
    chunkCount: geometry.chunksPerShard,
    objectBytes,
    location,
    checksum,
    exactChunkBytes: array.compressors.length === 0 ? geometry.chunkBytes : undefined,
  });
  if (defects.length === 0) return undefined;
  return defects.length === 1 ? defects[0].message : `${defects[0].message} (and ${defects.length - 1} more)`;
}
