// What a soak's streams write and what is read back: rows of numbers that follow from their place, in an array small
// enough to be read whole.
import { openArray, verifyStore } from "../../dist/index.js";

/**
 * Bytes `from` to `to` of the endless stream of a store, both even: uint16, its value its index, with a step in every
 * row so that no two rows are alike.
 */
export function content(from, to, columns) {
  const values = new Uint16Array((to - from) / 2);
  let index = from / 2;
  let row = Math.floor(index / columns);
  let left = columns - (index % columns);
  for (let i = 0; i < values.length; i++, index++) {
    values[i] = index + 7 * row;
    if (--left === 0) {
      row++;
      left = columns;
    }
  }
  return new Uint8Array(values.buffer);
}

/**
 * Reads all that a store publishes and compares every byte.
 * @returns the rows; undefined where there is no store yet
 * @throws Error when a byte is wrong or verify finds a defect
 */
export async function checkedRows(path, columns) {
  let array;
  try {
    array = await openArray(path);
  } catch (error) {
    if (error.code === "STORE_NOT_FOUND") return undefined;
    throw error;
  }
  const [rows] = array.metadata.shape;
  const { data } = await array.readRegion();
  const expected = content(0, rows * columns * 2, columns);
  if (Buffer.compare(data, expected) !== 0) {
    const at = expected.findIndex((byte, i) => byte !== data[i]);
    throw new Error(`byte ${at} of ${expected.length} is wrong, in row ${Math.floor(at / columns / 2)} of ${rows}`);
  }
  return rows;
}

/** @throws Error when verify finds a defect */
export async function checkDefects(path) {
  const { defects } = await verifyStore(path);
  if (defects.length > 0) throw new Error(`verify found ${JSON.stringify(defects.slice(0, 3))}`);
}
