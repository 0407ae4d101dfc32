import { increment, strides } from "../geometry/mixed_radix.js";

/** A C-order array in memory. `shape` in elements. */
export interface Box {
  readonly bytes: Uint8Array;
  readonly shape: readonly number[];
}

/**
 * Copies a box of elements from one C-order array into another.
 * @param extent elements per dimension; none is 0. Rank 0 copies the one element.
 */
export function copyBox(
  from: Box,
  fromStart: readonly number[],
  to: Box,
  toStart: readonly number[],
  extent: readonly number[],
  itemBytes: number,
): void {
  const rank = extent.length;
  const fromStrides = strides(from.shape, itemBytes);
  const toStrides = strides(to.shape, itemBytes);
  // Trailing dimensions that are whole on both sides make one run with the dimension before them.
  let runDimension = rank;
  let runBytes = itemBytes;
  while (runDimension > 0) {
    const d = runDimension - 1;
    runBytes *= extent[d];
    runDimension = d;
    if (extent[d] !== from.shape[d] || extent[d] !== to.shape[d]) break;
  }
  let fromBase = 0;
  let toBase = 0;
  for (let d = 0; d < rank; d++) {
    fromBase += fromStart[d] * fromStrides[d];
    toBase += toStart[d] * toStrides[d];
  }
  const outer = extent.slice(0, runDimension);
  const at = outer.map(() => 0);
  do {
    let f = fromBase;
    let t = toBase;
    for (let d = 0; d < runDimension; d++) {
      f += at[d] * fromStrides[d];
      t += at[d] * toStrides[d];
    }
    to.bytes.set(from.bytes.subarray(f, f + runBytes), t);
  } while (increment(at, outer));
}

/** Fills `bytes` with copies of `element`, doubling what is there. */
export function fillElements(bytes: Uint8Array, element: Uint8Array): void {
  if (bytes.length === 0) return;
  if (element.every((byte) => byte === element[0])) {
    bytes.fill(element[0]);
    return;
  }
  bytes.set(element);
  for (let filled = element.length; filled < bytes.length; filled *= 2) bytes.copyWithin(filled, 0, filled);
}
