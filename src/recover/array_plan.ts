import type { S3Api } from "../s3/s3_api.js";
import { firstBadShard } from "./check_shards.js";
import type { RecoveredArray } from "./report.js";
import { completeRun, lengthOf, type RowRun, rowsBehind, rowsOf, strayRow } from "./row_run.js";
import type { ShardCensus } from "./shard_census.js";
import type { Steps } from "./steps.js";

/** What is to be done about one array. */
export interface ArrayPlan {
  readonly report: RecoveredArray;
  /** Shards to remove once the shape is published. */
  readonly doomed: readonly string[];
  /** Something is to be left for a person to look at. */
  readonly unsettled: boolean;
}

/** Decides which rows of an array are kept. Reads indexes of shards, changes nothing. */
export async function planArray(api: S3Api, census: ShardCensus, steps: Steps): Promise<ArrayPlan> {
  const run = completeRun(census);
  const bad = await firstBadShard(api, census, run, steps);
  const end = bad?.row ?? run.end;
  const behind = rowsBehind(census, end);
  const damage = bad === undefined ? stray(census, run, behind) : { key: bad.key, message: bad.message };
  const unsettled = damage !== undefined && !steps.discardDamaged;
  const doomed = unsettled ? [] : behind.flatMap((row) => [...(census.beyond.get(row)?.keys() ?? [])]);
  return {
    report: {
      path: census.path,
      rowsBefore: census.rowsPublished,
      rowsAfter: lengthOf(census, run, end),
      rowsLost: rowsOf(census, behind),
      shardsKept: census.shardsPublished + (end - run.first) * census.shardsPerRow,
      shardsRemoved: doomed.length,
      damage,
    },
    doomed,
    unsettled,
  };
}

function stray(census: ShardCensus, run: RowRun, behind: readonly number[]): RecoveredArray["damage"] {
  const row = strayRow(run, behind);
  if (row === undefined) return undefined;
  const [key] = census.beyond.get(row)!.keys();
  if (row >= run.limit) {
    const rows = census.endsAt ?? census.rowsPublished;
    return { key, message: `the array ends at row ${rows}, and this shard lies behind it` };
  }
  const missing = census.missingKey(run.end)!;
  return { key: missing, message: `the shard is missing, though a later row is there (${key})` };
}
