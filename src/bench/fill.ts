/** Makes rows of a uint16 array. Deterministic: the same row index always gives the same elements. */
export interface Fill {
  readonly name: string;
  /**
   * Writes rows [firstRow, firstRow + count) to `out`, count × row elements in C order.
   * @param out holds exactly those elements
   */
  rows(firstRow: number, count: number, out: Uint16Array): void;
}

/** Fills that need nothing but the shape of a row. */
export const SIMPLE_FILLS = ["xor", "rand", "zeros"] as const;
export type SimpleFill = (typeof SIMPLE_FILLS)[number];

/** Rows after which the xor pattern repeats. */
const XOR_PERIOD_ROWS = 16;
const RAND_BITS = 12;

/**
 * - `xor`: the XOR of an element's coordinates, the row's taken modulo 16. Compresses very well; catches nothing that
 *   is misplaced by a constant fill.
 * - `rand`: 12 random bits in 16, the best ratio possible is 1.33: a camera that sees only noise.
 * - `zeros`: what costs an encoder least.
 * @param rowShape dimensions 1 and up, slowest first
 */
export function simpleFill(name: SimpleFill, rowShape: readonly number[]): Fill {
  switch (name) {
    case "xor":
      return xorFill(rowShape);
    case "rand":
      return { name, rows: (firstRow, count, out) => randomRows(firstRow, count, out) };
    case "zeros":
      return { name, rows: (_firstRow, _count, out) => void out.fill(0) };
  }
}

function xorFill(rowShape: readonly number[]): Fill {
  const rowElements = rowShape.reduce((product, size) => product * size, 1);
  // Only the row's own coordinate differs between rows, so the rest is computed once.
  let pattern: Uint16Array | undefined;
  return {
    name: "xor",
    rows(firstRow, count, out) {
      pattern ??= xorOfCoordinates(rowShape, rowElements);
      for (let row = 0; row < count; row++) {
        const t = (firstRow + row) % XOR_PERIOD_ROWS;
        const at = row * rowElements;
        for (let i = 0; i < rowElements; i++) out[at + i] = pattern[i] ^ t;
      }
    },
  };
}

function xorOfCoordinates(rowShape: readonly number[], rowElements: number): Uint16Array {
  const pattern = new Uint16Array(rowElements);
  for (let i = 0; i < rowElements; i++) {
    let rest = i;
    let xor = 0;
    for (let d = rowShape.length - 1; d >= 0; d--) {
      const coordinate = rest % rowShape[d];
      xor ^= coordinate;
      rest = (rest - coordinate) / rowShape[d];
    }
    pattern[i] = xor;
  }
  return pattern;
}

function randomRows(firstRow: number, count: number, out: Uint16Array): void {
  const rowElements = out.length / count;
  const mask = (1 << RAND_BITS) - 1;
  for (let row = 0; row < count; row++) {
    // xorshift32 (Marsaglia 2003), seeded by the row so that rows can be made in any order. State 0 would stay 0.
    let state = (Math.imul(firstRow + row + 1, 0x9e3779b1) ^ 0x85ebca6b) >>> 0 || 1;
    const end = (row + 1) * rowElements;
    for (let i = row * rowElements; i < end; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      out[i] = (state >>> 4) & mask;
    }
  }
}
