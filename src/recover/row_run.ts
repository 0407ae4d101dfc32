import { ceilDiv } from "../base/integers.js";

/**
 * What recovery knows of one array: its metadata and a list of its objects. "Row" here: of shards, side by side;
 * elsewhere of elements.
 */
export interface RowCensus {
  /** Rows of elements that zarr.json covers. */
  readonly rowsPublished: number;
  /** Rows of elements that one row of shards has. */
  readonly rowsPerShard: number;
  /** Shards of a row that holds no chunk at the fill value. */
  readonly shardsPerRow: number;
  /** Where the writer said that the array ends, inside a row of shards; undefined: it had not come that far. */
  readonly endsAt: number | undefined;
  /** Keys, and bytes of the objects, of every row that the published shape does not reach into. No row is empty. */
  readonly beyond: ReadonlyMap<number, ReadonlyMap<string, number>>;
}

/** Rows of shards that are complete behind the published ones: [first, end). */
export interface RowRun {
  readonly first: number;
  readonly end: number;
  /** No row from here on can be one that the writer was sealing: the array ends before. Infinity: it may go on. */
  readonly limit: number;
}

/**
 * The longest run of whole rows that continues the published shape.
 *
 * A row that lacks a shard may be whole all the same, with a shard that was skipped; such a row is published before it
 * counts as durable, because no list can tell it from one that was being sealed.
 */
export function completeRun({ rowsPublished, rowsPerShard, shardsPerRow, endsAt, beyond }: RowCensus): RowRun {
  const first = ceilDiv(rowsPublished, rowsPerShard);
  // A shape that ends inside a row of shards is the last one that a writer published: behind it lies padding. One that
  // resumes publishes that row before it seals the next, so also then nothing lies behind.
  const ended = rowsPublished % rowsPerShard !== 0;
  const limit = ended ? first : Math.max(first, endsAt === undefined ? Infinity : ceilDiv(endsAt, rowsPerShard));
  let end = first;
  while (end < limit && beyond.get(end)?.size === shardsPerRow) end++;
  return { first, end, limit };
}

/** Length to publish when the run ends before row `end`. Never below the published one. */
export function lengthOf(census: RowCensus, run: RowRun, end: number): number {
  if (end === run.first) return census.rowsPublished;
  return Math.min(end * census.rowsPerShard, census.endsAt ?? Infinity);
}

/** Rows of shards from `end` on, ascending. */
export function rowsBehind(census: RowCensus, end: number): number[] {
  return [...census.beyond.keys()].filter((row) => row >= end).sort((a, b) => a - b);
}

/** Rows of elements in those rows of shards. */
export function rowsOf(census: RowCensus, rows: readonly number[]): number {
  const { rowsPerShard, endsAt = Infinity } = census;
  let count = 0;
  for (const row of rows) count += Math.max(0, Math.min(rowsPerShard, endsAt - row * rowsPerShard));
  return count;
}

/**
 * A row behind the run that no crash can have left, or undefined. A writer begins to seal a row when the one before it
 * is whole or published, so a crash leaves one incomplete row at most, the one right behind the run.
 */
export function strayRow(run: RowRun, behind: readonly number[]): number | undefined {
  return behind.find((row) => row >= run.limit || row > run.end);
}
