import fc from "fast-check";
import { type ArrayGeometry, type DimensionOptions, describeGeometry } from "../../../src/geometry/array_geometry.js";
import { DTYPE_NAMES } from "../../../src/geometry/dtype.js";

/** Small geometries of rank 1 to 6, clipped edges and oversized chunks and shards included. */
export function smallGeometries(): fc.Arbitrary<ArrayGeometry> {
  const dimension = (sizeMax: number) =>
    fc.record({
      size: fc.integer({ min: 1, max: sizeMax }),
      chunk: fc.integer({ min: 1, max: 4 }),
      per: fc.integer({ min: 1, max: 3 }),
    });
  return fc
    .record({
      dtype: fc.constantFrom(...DTYPE_NAMES),
      unbounded: fc.boolean(),
      first: dimension(9),
      inner: fc
        .integer({ min: 0, max: 5 })
        .chain((n) => fc.array(dimension(n > 3 ? 4 : 7), { minLength: n, maxLength: n })),
    })
    .map(({ dtype, unbounded, first, inner }) =>
      describeGeometry(
        dtype,
        [first, ...inner].map(
          ({ size, chunk, per }, i): DimensionOptions => ({
            name: `d${i}`,
            size: i === 0 && unbounded ? null : size,
            chunk,
            shard: chunk * per,
          }),
        ),
      ),
    );
}

/** Every coordinate of a shape in C order, by the definition: a loop per dimension. */
export function* coordinatesOf(shape: readonly number[]): Generator<number[]> {
  if (shape.length === 0) {
    yield [];
    return;
  }
  for (let i = 0; i < shape[0]; i++) for (const rest of coordinatesOf(shape.slice(1))) yield [i, ...rest];
}
