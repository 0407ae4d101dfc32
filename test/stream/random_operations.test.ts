import fc from "fast-check";
import { expect, it } from "vitest";
import { memorySink } from "../../src/sinks/specs.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { fillValue } from "../../src/zarr/fill_value.js";
import { type Operation, type StreamCase, StreamModel, streamCases } from "../helpers/stream_model.js";
import { times } from "../helpers/wide.js";

async function run(c: StreamCase, override: { batchEpochs?: number; depth?: number } = {}) {
  const sink = memorySink();
  const { array, batchEpochs, depth } = { ...c, ...override };
  const writer = await openWriter({ sink, threads: "inline", publishIntervalMs: 0, array, batchEpochs, depth });
  const fill = fillValue(c.array.dtype, c.array.fillValue as number).bytes;
  const model = new StreamModel(writer, fill);
  const pending: Promise<unknown>[] = [];
  for (const operation of c.operations) await model.apply(writer, operation, pending);
  await Promise.all(pending);
  const closed = writer.close();
  if (model.endsInsideRow) await expect(closed).rejects.toMatchObject({ code: "INCOMPLETE_ROW" });
  else await closed;
  return { sink, writer, model };
}

it("stores what a trivial model holds, for any sequence of operations", async () => {
  await fc.assert(
    fc.asyncProperty(streamCases(), async (c) => {
      const { sink, writer, model } = await run(c);
      const report = await verifyStore(sink.files);
      expect(report.defects).toEqual([]);
      const array = await openArray(sink.files);
      const inner = c.array.dimensions.slice(1).map((d) => d.size as number);
      expect(array.metadata.shape).toEqual([model.rows, ...inner]);
      const read = await array.readRegion(
        array.metadata.shape.map(() => 0),
        array.metadata.shape,
      );
      expect(Buffer.compare(read.data, model.content())).toBe(0);
      const w = writer.watermarks;
      expect([w.accepted, w.encoded, w.delivered, w.durable, w.published]).toEqual(new Array(5).fill(model.rows));
    }),
    { numRuns: times(40, 150) },
  );
});

it("stores the same bytes for any batch size, depth and split of the appends", async () => {
  await fc.assert(
    fc.asyncProperty(
      streamCases(),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 999 }),
      async (c, batchEpochs, depth, split) => {
        // Skips stay where they are; everything between them is one run of data, cut anew in the second run.
        const one = { ...c, operations: c.operations.filter((o) => o.kind === "append" || o.kind === "skip") };
        const two: StreamCase = {
          ...one,
          operations: one.operations.flatMap((o): Operation[] =>
            o.kind === "append"
              ? Array.from({ length: Math.ceil(o.elements / split) }, (_, i) => ({
                  ...o,
                  elements: Math.min(split, o.elements - i * split),
                }))
              : o.rows > 1
                ? [
                    { ...o, rows: 1 },
                    { ...o, rows: o.rows - 1 },
                  ]
                : [o],
          ),
        };
        const a = (await run(one)).sink.files;
        const b = (await run(two, { batchEpochs, depth })).sink.files;
        expect([...b.keys()].sort()).toEqual([...a.keys()].sort());
        for (const [key, bytes] of a) expect(Buffer.compare(bytes, b.get(key) as Uint8Array), key).toBe(0);
      },
    ),
    { numRuns: times(25, 80) },
  );
});
