import { assert } from "../base/assert.js";
import { isCount } from "../base/integers.js";
import { topLevelSpan } from "./json_text.js";

/**
 * A zarr.json of an array with another length of dimension 0, and every other byte as it was: parsing and writing it
 * anew would lose the low digits of 64-bit fill values, and members that other programs have put there.
 * @param bytes what `parseArrayMetadata` has accepted, of rank 1 or more.
 */
export function withRows(bytes: Uint8Array, rows: number): Uint8Array {
  assert(isCount(rows), "rows are a count", { rows });
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  const shape = topLevelSpan(text, "shape");
  assert(shape !== undefined, "an array has a shape");
  const first = /^\[\s*([^\s,\]]+)/.exec(text.slice(shape.start, shape.end));
  assert(first !== null, "the shape has a first dimension");
  const end = shape.start + first[0].length;
  return new TextEncoder().encode(text.slice(0, end - first[1].length) + rows + text.slice(end));
}
