import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { shardKeyCoordinates } from "../geometry/chunk_grid.js";
import { PARTIAL_SUFFIX } from "../sinks/object_key.js";
import { chunkKey } from "../zarr/chunk_key.js";
import type { RowLedger } from "./row_ledger.js";
import type { ShardProof, ShardProver } from "./shard_proof.js";

/**
 * What is to be done about one shard of a row that is kept.
 * - "keep": it lies under its key as it shall be.
 * - "seal": its partial file is cut to the chunks that are kept, gets its index and its name.
 * - "reseal": the same; it was sealed with more epochs than are kept, so first it gets its partial name back.
 * - "none": it holds no chunk that is kept.
 */
type ShardAction = "keep" | "seal" | "reseal" | "none";

export interface RowPlan {
  readonly row: number;
  /** Epochs of the row that are kept. */
  readonly epochs: number;
  /** Length of the append dimension with them; the published one where that is more. */
  readonly rowsTo: number;
  /** By shard; undefined where the published shape covers all that is kept, and nothing is touched. */
  readonly actions: readonly ShardAction[] | undefined;
  /** A chunk that the writer has promised is not there. */
  readonly damage: { readonly key: string; readonly message: string } | undefined;
}

export function shardKeyOf(g: ArrayGeometry, row: number, shard: number): string {
  return chunkKey(shardKeyCoordinates(g, row, shard));
}

/**
 * The better of a shard's two files, which are both there when a row was opened again: `key` is the old one until the
 * new one is sealed.
 */
interface Proven {
  readonly sealed: ShardProof;
  readonly partial: ShardProof;
  readonly epochs: number;
}

/**
 * Finds how many leading epochs of a row are whole in every shard, by reading every chunk that its journal names.
 * @param rowsPublished length of the append dimension in zarr.json: those rows are never given up
 */
export async function planRow(
  ledger: RowLedger,
  g: ArrayGeometry,
  prover: ShardProver,
  rowsPublished: number,
  isFollowed: boolean,
  onChecked: () => void,
): Promise<RowPlan> {
  const { row, epochCount } = ledger;
  const proofs: Proven[] = [];
  let epochs = epochCount;
  let damage: RowPlan["damage"];
  const promised = ledger.promisedEpochs(isFollowed);
  for (let s = 0; s < g.shardsPerRow; s++) {
    const key = shardKeyOf(g, row, s);
    const chunks = ledger.chunksOf(s);
    const sealed = await prover.prove(key, chunks, epochCount);
    const partial = await prover.prove(key + PARTIAL_SUFFIX, chunks, epochCount);
    const proven = Math.max(sealed.epochs, partial.epochs);
    proofs.push({ sealed, partial, epochs: proven });
    epochs = Math.min(epochs, proven);
    if (proven < promised && damage === undefined) {
      const isPartial = partial.exists && (!sealed.exists || partial.epochs > sealed.epochs);
      const fault = isPartial ? partial.fault : sealed.fault;
      damage = { key: isPartial ? key + PARTIAL_SUFFIX : key, message: fault ?? "it is not what the journal says" };
    }
    onChecked();
  }
  const rowsTo = ledger.rowsAt(epochs);
  if (rowsTo <= rowsPublished) return { row, epochs, rowsTo: rowsPublished, actions: undefined, damage };

  const isPublished = rowsPublished > row * g.epochsPerShard * g.epochRows;
  const actions: ShardAction[] = [];
  for (const [s, { sealed, partial }] of proofs.entries()) {
    const key = shardKeyOf(g, row, s);
    const target = ledger.shardOf(s, epochs);
    const hasPartial = partial.epochs >= epochs;
    if (target === undefined) actions.push("none");
    else if (sealed.epochs >= epochs && (await prover.isSealed(key, target.dataBytes, target.index))) {
      actions.push("keep");
    } else if (hasPartial) actions.push("seal");
    // Readers look into it: it stays, with more epochs than the shape will cover. Into a torn one, which was never
    // synced, nobody can look.
    else if (isPublished && (await prover.hasIndex(key, g.chunksPerShard))) actions.push("keep");
    else actions.push("reseal");
  }
  return { row, epochs, rowsTo, actions, damage };
}
