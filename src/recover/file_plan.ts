import { ceilDiv, floorDiv } from "../base/integers.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { journalKey } from "../journal/writer_marker.js";
import { PARTIAL_SUFFIX } from "../sinks/object_key.js";
import { FileCensus } from "./file_census.js";
import type { RecoveryFiles } from "./recovery_files.js";
import type { RecoveredArray } from "./report.js";
import type { RowLedger } from "./row_ledger.js";
import { planRow, type RowPlan, shardKeyOf } from "./row_plan.js";
import { ShardProver } from "./shard_proof.js";
import type { Steps } from "./steps.js";

/** What is to be done about a store in a folder. */
export interface FilePlan {
  readonly report: RecoveredArray;
  /** Rows of shards of which more is kept than the published shape covers, ascending. */
  readonly rows: readonly RowPlan[];
  /** Files to remove once the shape is published, besides journals and the marker. */
  readonly doomed: readonly string[];
  /** Folders from which the writer may have removed a file without syncing that. */
  readonly folders: readonly string[];
  /** Rows whose journals are not needed any more. */
  readonly journals: readonly number[];
  /** Something is to be left for a person to look at. */
  readonly unsettled: boolean;
}

interface FilePlanInit {
  readonly files: RecoveryFiles;
  readonly steps: Steps;
  readonly geometry: ArrayGeometry;
  readonly rowsPublished: number;
  /** Rows that have a journal, ascending. */
  readonly journals: readonly number[];
  readonly ledger: (row: number) => Promise<RowLedger>;
}

interface JournalSummary {
  readonly epochCount: number;
  readonly rowsCommitted: number;
  readonly isPromised: boolean;
}

/** Reads journals and chunks, and decides; changes nothing. "Row" here is of shards, "rows" are of elements. */
export async function planFiles(init: FilePlanInit): Promise<FilePlan> {
  const { files, steps, geometry: g, rowsPublished, ledger } = init;
  const rowsPerShard = g.epochsPerShard * g.epochRows;
  const first = floorDiv(rowsPublished, rowsPerShard);
  const census = await FileCensus.take(files, g, first, steps);
  // Before that the shape covers everything, and a journal is only one that was not removed yet.
  const summaries = new Map<number, JournalSummary>();
  for (const row of init.journals) {
    if (row >= first) summaries.set(row, summaryOf(await ledger(row)));
  }

  const rows: RowPlan[] = [];
  const prover = new ShardProver(files, steps.signal);
  let damage: RecoveredArray["damage"];
  let end = first;
  for (; summaries.has(end); end++) {
    const isFollowed = (summaries.get(end + 1)?.epochCount ?? 0) > 0;
    const plan = await planRow(await ledger(end), g, prover, rowsPublished, isFollowed, () => steps.did("check"));
    rows.push(plan);
    damage = plan.damage;
    if (damage !== undefined || plan.rowsTo < (end + 1) * rowsPerShard) break;
  }
  // From here on `end` is the row that is not whole, or has no journal: the last that a crash can have left anything
  // of.
  damage ??= strayRow(end, summaries, census);
  const unsettled = damage !== undefined && !steps.discardDamaged;
  // Cut short, it could not be looked into any more.
  if (unsettled && rows.at(-1)?.row === end) rows.pop();
  const rowsAfter = rows.at(-1)?.rowsTo ?? rowsPublished;
  const rowsCommitted = Math.max(0, ...[...summaries.values()].map((summary) => summary.rowsCommitted));

  const shards = sortOut(rows, census, g, rowsPublished, ceilDiv(rowsAfter, rowsPerShard), unsettled ? end : Infinity);
  return {
    report: {
      path: "",
      rowsBefore: rowsPublished,
      rowsAfter,
      rowsLost: Math.max(0, rowsCommitted - rowsAfter),
      shardsKept: census.sealedBefore + shards.kept.size,
      shardsRemoved: shards.doomed.length,
      damage,
    },
    rows,
    doomed: shards.doomed,
    folders: census.folders,
    journals: init.journals.filter((row) => !unsettled || row < end),
    unsettled,
  };
}

function summaryOf(ledger: RowLedger): JournalSummary {
  const { epochCount, rowsCommitted } = ledger;
  return { epochCount, rowsCommitted, isPromised: ledger.promisedEpochs(false) > 0 };
}

/**
 * Something behind the row `end` that no crash can have left: a row is begun to be sealed only when the one before is
 * whole, and at durability "batch" nothing behind a row is promised before all of it is.
 */
function strayRow(
  end: number,
  summaries: ReadonlyMap<number, JournalSummary>,
  census: FileCensus,
): RecoveredArray["damage"] {
  const what = summaries.has(end) ? "is not whole" : "has no journal";
  const promised = [...summaries].find(([row, { isPromised }]) => row > end && isPromised);
  if (promised !== undefined) {
    return { key: journalKey(promised[0]), message: `the row of shards is promised, but row ${end} before it ${what}` };
  }
  const sealed = [...census.sealed].find(([row]) => row > end);
  if (sealed === undefined) return undefined;
  return { key: [...sealed[1]][0], message: `the shard is whole, but row ${end} of shards before it ${what}` };
}

/**
 * @param keptTo row of shards behind the last that is kept
 * @param from nothing is removed from this row on
 * @returns keys of the shards that are there in the end, but for those before the first row of the census; and files
 * that go
 */
function sortOut(
  rows: readonly RowPlan[],
  census: FileCensus,
  g: ArrayGeometry,
  rowsPublished: number,
  keptTo: number,
  from: number,
): { readonly kept: ReadonlySet<string>; readonly doomed: readonly string[] } {
  const kept = new Set<string>();
  const needed = new Set<string>();
  for (const [row, keys] of census.sealed) if (row < keptTo) for (const key of keys) kept.add(key);
  for (const { row, actions = [] } of rows) {
    const isPublished = row * g.epochsPerShard * g.epochRows < rowsPublished;
    for (const [s, action] of actions.entries()) {
      const key = shardKeyOf(g, row, s);
      if (action === "seal") {
        kept.add(key);
        needed.add(key + PARTIAL_SUFFIX);
      } else if (action === "none" && !isPublished) kept.delete(key);
    }
  }
  const doomed: string[] = [];
  for (const [row, keys] of census.partial) {
    for (const key of keys) if (row < from && !needed.has(key + PARTIAL_SUFFIX)) doomed.push(key + PARTIAL_SUFFIX);
  }
  for (const [row, keys] of census.sealed) {
    for (const key of keys) if (row < from && !kept.has(key)) doomed.push(key);
  }
  return { kept, doomed };
}
