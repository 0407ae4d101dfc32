import fc from "fast-check";
import type { ArrayOptions } from "../../src/options.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { fillValue } from "../../src/zarr/fill_value.js";
import { type Operation, StreamModel } from "./stream_model.js";

/** Random streams of few small shards, for tests that look at what each of their calls leaves behind. */
const FILL = 7;

export const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });

const dimension = fc.record({ chunk: size(3), chunks: size(3), size: size(6) });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      elements: fc.nat({ max: 90 }),
      awaited: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("skip" as const), rows: fc.nat({ max: 12 }) }) },
  // Rows of shards whole.
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("skip" as const), rows: fc.integer({ min: 30, max: 90 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "flush" as const }) },
);

const array: fc.Arbitrary<ArrayOptions> = fc
  .record({ t: dimension, y: dimension, bounded: fc.boolean(), codec: fc.constantFrom("none", "blosc") })
  .map(({ t, y, bounded, codec }) => ({
    dtype: "uint16",
    codec,
    fillValue: FILL,
    dimensions: [
      { name: "t", size: bounded ? t.size * 4 : null, chunk: t.chunk, shard: t.chunk * t.chunks },
      { name: "y", size: y.size, chunk: y.chunk, shard: y.chunk * y.chunks },
    ],
  }));

/** Turns of the event loop. */
const turns = (count: number): Promise<void> =>
  new Promise((resolve) => (count > 0 ? setImmediate(() => resolve(turns(count - 1))) : resolve()));

/** What every sink's streams have in common; `delay` waits before a call takes effect. */
export const smallStream = {
  array,
  operations: fc.array(operation, { minLength: 1, maxLength: 6 }),
  batchEpochs: fc.option(size(3), { nil: undefined }),
  depth: size(3),
  publishIntervalMs: fc.constantFrom(0, 1e9),
  delay: fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 16 }).map(
    (waits) =>
      ({ index }: { readonly index: number }) =>
        turns(waits[index % waits.length]),
  ),
};

/** Does the operations, and returns what the array should hold then. */
export const feedOperations =
  (operations: readonly Operation[]) =>
  async (writer: ArrayWriter): Promise<Uint8Array> => {
    const model = new StreamModel(writer, fillValue("uint16", FILL).bytes);
    const pending: Promise<unknown>[] = [];
    for (const operation of operations) await model.apply(writer, operation, pending);
    await Promise.all(pending);
    return model.content();
  };
