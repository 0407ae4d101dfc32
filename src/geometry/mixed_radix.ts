import { assert } from "../base/assert.js";
import { product } from "../base/integers.js";

/**
 * Index maths of the whole library: an index is a number in a mixed radix whose digits are coordinates, last digit
 * fastest (C order). Moving data means: unravel against one shape, ravel with another's strides.
 */

/** C-order strides in units of `unit` (default: elements); the last is `unit`. Rank 0 gives no strides. */
export function strides(shape: readonly number[], unit = 1): number[] {
  const result = new Array<number>(shape.length);
  let stride = unit;
  for (let d = shape.length - 1; d >= 0; d--) {
    result[d] = stride;
    if (d > 0) stride = product([stride, shape[d]], "stride");
  }
  return result;
}

/** Coordinates → index. Every coordinate must lie inside the shape. */
export function ravel(coordinates: readonly number[], shape: readonly number[]): number {
  assert(coordinates.length === shape.length, "ravel: coordinates and shape have one rank", {
    coordinates,
    shape,
  });
  let index = 0;
  for (let d = 0; d < shape.length; d++) {
    assert(coordinates[d] >= 0 && coordinates[d] < shape[d], "ravel: coordinate is inside the shape", {
      coordinates,
      shape,
    });
    index = index * shape[d] + coordinates[d];
  }
  return index;
}

/** Index → coordinates; the inverse of {@link ravel}. */
export function unravel(index: number, shape: readonly number[]): number[] {
  const coordinates = new Array<number>(shape.length);
  let rest = index;
  for (let d = shape.length - 1; d >= 0; d--) {
    const digit = rest % shape[d];
    coordinates[d] = digit;
    rest = (rest - digit) / shape[d];
  }
  assert(rest === 0 && index >= 0, "unravel: index is inside the shape", { index, shape });
  return coordinates;
}

/** Σ coordinates · strides: where the coordinates lie in another layout. */
export function dot(coordinates: readonly number[], byStrides: readonly number[]): number {
  let sum = 0;
  for (let d = 0; d < coordinates.length; d++) sum += coordinates[d] * byStrides[d];
  return sum;
}

/** Counts `coordinates` up by one in C order, in place. False when it wrapped round to all zeros. */
export function increment(coordinates: number[], shape: readonly number[]): boolean {
  for (let d = shape.length - 1; d >= 0; d--) {
    if (++coordinates[d] < shape[d]) return true;
    coordinates[d] = 0;
  }
  return false;
}
