import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { type EpochTable, epochTable } from "../geometry/epoch_table.js";
import { increment } from "../geometry/mixed_radix.js";

/**
 * Chunks of a stream that reads `ring` round and round, evenly picked from as many epochs as the ring holds until they
 * fill `bytesMax`, end to end in shared memory. One epoch is not enough: where it is a single chunk, an encoder that
 * meets the same megabyte again and again has it in its caches, and its branch predictors know it by heart. Plain and
 * slow: it runs before the clock does.
 * @param ring whole rows of uint16
 */
export function gatherSample(g: ArrayGeometry, ring: Uint8Array, bytesMax: number): Uint8Array {
  const table = epochTable(g);
  const epochs = Math.max(1, Math.floor(ring.byteLength / g.rowBytes / g.epochRows));
  const available = epochs * g.chunksPerEpoch;
  const count = Math.max(1, Math.min(available, Math.floor(bytesMax / g.chunkBytes)));
  const out = new Uint8Array(new SharedArrayBuffer(count * g.chunkBytes));
  const source = new Uint16Array(ring.buffer, ring.byteOffset, ring.byteLength / 2);
  for (let i = 0; i < count; i++) {
    const picked = Math.floor((i * available) / count);
    const epoch = Math.floor(picked / g.chunksPerEpoch);
    gatherChunk(
      g,
      table,
      epoch,
      picked % g.chunksPerEpoch,
      source,
      new Uint16Array(out.buffer, i * g.chunkBytes, g.chunkElements),
    );
  }
  return out;
}

function gatherChunk(
  g: ArrayGeometry,
  table: EpochTable,
  epoch: number,
  chunk: number,
  source: Uint16Array,
  out: Uint16Array,
): void {
  const ringRows = source.length / g.rowElements;
  const extents = Array.from(table.extents.subarray(chunk * g.rank, (chunk + 1) * g.rank));
  const first = table.srcOffset[chunk] / g.itemBytes;
  const run = extents[g.rank - 1];
  const outer = extents.slice(0, -1);
  const at = outer.map(() => 0);
  do {
    // Rows past the ring's end are its first ones again.
    let from = ((epoch * g.epochRows + at[0]) % ringRows) * g.rowElements + first;
    let to = at[0];
    for (let d = 1; d < g.rank; d++) {
      const coordinate = d < g.rank - 1 ? at[d] : 0;
      from += (coordinate * table.srcStrides[d]) / g.itemBytes;
      to = to * g.chunk[d] + coordinate;
    }
    for (let i = 0; i < run; i++) out[to + i] = source[from + i];
  } while (increment(at, outer));
}
