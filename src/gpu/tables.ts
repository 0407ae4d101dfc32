import { fseStates, log2In256 } from "../codec/encoder/fse.js";
import { LITERALS_LENGTH_DEFAULT, MATCH_LENGTH_DEFAULT, PREDEFINED_LOG } from "../codec/encoder/sequences_section.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import type { EpochTable } from "../geometry/epoch_table.js";
import { CHUNK_ROW_WORDS, TABLES_FIXED_WORDS } from "../plan/gpu_layout.js";

/** Places in the table that sequences.wgsl knows by number; words. */
const LG_AT = 0;
const LL_DEFAULT_AT = 520;
const ML_DEFAULT_AT = 584;
const LL_CELLS_AT = 648;
const ML_CELLS_AT = 712;
const DIMS_AT = TABLES_FIXED_WORDS;

/** Read-only words of all kernels, and where the parts lie whose place depends on the array. */
export interface KernelTables {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly rank: number;
  readonly dimsAt: number;
  readonly chunkTableAt: number;
  readonly chunkTableWords: number;
  /** One word an epoch of a batch: not 0 where the epoch was skipped. Written anew for a batch that needs it. */
  readonly skippedAt: number;
}

/**
 * Builds the table: lg(p) of docs/encoder.md §6, the predefined distributions and their cells (RFC 8878 3.1.1.3.2.2),
 * the shape of the gather, one row a chunk of an epoch.
 */
export function kernelTables(g: ArrayGeometry, table: EpochTable, epochsPerBatch: number): KernelTables {
  const dims = mergedDimensions(g, table);
  const rank = dims.length;
  const chunkTableAt = DIMS_AT + 2 * rank;
  const chunkTableWords = CHUNK_ROW_WORDS + rank;
  const skippedAt = chunkTableAt + table.chunksPerEpoch * chunkTableWords;
  const words = new Uint32Array(skippedAt + epochsPerBatch);
  for (let p = 1; p <= 512; p++) words[LG_AT + p] = log2In256(p);
  predefined(words, LITERALS_LENGTH_DEFAULT, LL_DEFAULT_AT, LL_CELLS_AT);
  predefined(words, MATCH_LENGTH_DEFAULT, ML_DEFAULT_AT, ML_CELLS_AT);
  dims.forEach(({ size, stride }, k) => {
    words[DIMS_AT + 2 * k] = size;
    words[DIMS_AT + 2 * k + 1] = stride;
  });
  for (let c = 0; c < table.chunksPerEpoch; c++) {
    const row = chunkTableAt + c * chunkTableWords;
    const shard = table.shard[c];
    words[row] = table.srcOffset[c];
    words[row + 1] = table.shardStart[shard];
    words[row + 2] = table.shardStart[shard + 1] - table.shardStart[shard];
    dims.forEach(({ from, to }, k) => {
      let extent = 1;
      for (let d = from; d <= to; d++) extent *= table.extents[c * table.rank + d];
      words[row + 3 + k] = extent;
    });
  }
  return { words, rank, dimsAt: DIMS_AT, chunkTableAt, chunkTableWords, skippedAt };
}

/**
 * Probabilities, −1 as 1, and the cells of each code ascending, one code behind the other; the upper half says where a
 * code's start.
 */
function predefined(words: Uint32Array, distribution: readonly number[], pAt: number, cellsAt: number): void {
  const states = fseStates(distribution, PREDEFINED_LOG);
  let at = 0;
  distribution.forEach((p, code) => {
    words[pAt + code] = Math.abs(p);
    words[cellsAt + code] |= at << 16;
    states.forEach(({ symbol }, x) => {
      if (symbol === code) words[cellsAt + at++] |= x;
    });
  });
}

interface MergedDimension {
  /** Dimensions [from, to] of the array. */
  readonly from: number;
  readonly to: number;
  /** Elements of the chunk, and bytes between neighbours in the batch. */
  readonly size: number;
  readonly stride: number;
}

/**
 * Neighbouring dimensions that are contiguous in the batch and never clipped count as one: fewer divisions an element.
 * The append dimension stays by itself, because its extent changes with the last batch.
 */
function mergedDimensions(g: ArrayGeometry, table: EpochTable): MergedDimension[] {
  const never = (k: number): boolean => {
    for (let c = 0; c < table.chunksPerEpoch; c++) if (table.extents[c * table.rank + k] !== g.chunk[k]) return false;
    return true;
  };
  const merged: MergedDimension[] = [];
  for (let k = g.rank - 1; k >= 0; k--) {
    const inner = merged[0];
    const own = { from: k, to: k, size: g.chunk[k], stride: table.srcStrides[k] };
    if (inner !== undefined && k > 0 && own.stride === inner.stride * inner.size && unclipped(inner, never)) {
      merged[0] = { from: k, to: inner.to, size: own.size * inner.size, stride: inner.stride };
    } else {
      merged.unshift(own);
    }
  }
  return merged;
}

function unclipped(dimension: MergedDimension, never: (k: number) => boolean): boolean {
  for (let k = dimension.from; k <= dimension.to; k++) if (!never(k)) return false;
  return true;
}
