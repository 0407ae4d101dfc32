import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMillraceError, type MillraceError } from "../../../src/base/errors.js";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import { DTYPE_NAMES } from "../../../src/geometry/dtype.js";
import { adviseLayout, type LayoutAdvice, type LayoutRequest } from "../../../src/plan/advise_layout.js";
import { chooseChunk, chooseInnerShard } from "../../../src/plan/chunk_advice.js";

const MiB = 2 ** 20;
const camera: LayoutRequest = {
  dtype: "uint16",
  dimensions: [
    { name: "t", type: "time", size: null },
    { name: "y", type: "space", size: 2304, unit: "micrometer", scale: 0.65 },
    { name: "x", type: "space", size: 4096 },
  ],
};

/** With weight 1, chunks are as long in time as in space. */
const cube: LayoutRequest = {
  ...camera,
  dimensions: camera.dimensions.map((d, i) => (i === 0 ? { ...d, weight: 1 } : d)),
};

const sizes = (advice: LayoutAdvice) => advice.dimensions.map(({ chunk, shard }) => [chunk, shard]);

function refused(request: unknown): MillraceError {
  try {
    adviseLayout(request as LayoutRequest);
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

it("takes a codec as text, and refuses one that is not known", () => {
  expect(sizes(adviseLayout({ ...camera, codec: "zstd:5" }))).toEqual(
    sizes(adviseLayout({ ...camera, codec: { name: "zstd", level: 5 } })),
  );
  expect(refused({ ...camera, codec: "blosd" }).code).toBe("UNKNOWN_CODEC");
});

describe("chooseChunk", () => {
  it("makes equal weights equally long, the fastest first", () => {
    const cube = [1000, 1000, 1000].map((size) => ({ size: size * 10, weight: 1 }));
    expect(chooseChunk(cube, 2 ** 18)?.map((n) => 2 ** Math.round(Math.log2(n)))).toEqual([64, 64, 64]);
    const open = [null, null].map((size) => ({ size, weight: 1 }));
    expect(chooseChunk(open, 2 ** 5)).toEqual([4, 8]);
  });

  it("gives the rest to a dimension that takes what others leave, up to its limit", () => {
    const time = (restMax: number) => ({ size: null, weight: 0, restMax });
    const x = { size: 60, weight: 1 };
    expect(chooseChunk([time(1000), x], 2 ** 10)).toEqual([16, 60]);
    expect(chooseChunk([time(11), x], 2 ** 10)).toEqual([11, 60]);
    expect(chooseChunk([{ ...time(1000), size: 10 }, x], 2 ** 10)).toEqual([10, 60]);
    expect(chooseChunk([time(1000), { ...x, size: 2 ** 10 }], 2 ** 10)).toEqual([1, 2 ** 10]);
  });

  it("keeps to weights, pins and ones", () => {
    const d = (size: number | null, weight: number) => ({ size, weight });
    expect(chooseChunk([d(null, 1), d(4096, 4), d(4096, 4)], 2 ** 16)).toEqual([16, 64, 64]);
    expect(chooseChunk([d(null, 0), d(512, -1), d(512, 1)], 2 ** 14)).toEqual([1, 512, 32]);
    expect(chooseChunk([d(null, 0), d(512, -1), d(512, -1)], 2 ** 18)).toEqual([1, 512, 512]);
    expect(chooseChunk([d(null, 0), d(512, -1), d(512, -1)], 2 ** 18 - 1)).toBeUndefined();
  });

  it("evens chunks out instead of leaving the last one nearly empty", () => {
    expect(chooseChunk([{ size: 520, weight: 1 }], 256)).toEqual([174]);
    expect(chooseChunk([{ size: 513, weight: 1 }], 512)).toEqual([257]);
    expect(chooseChunk([{ size: 100, weight: 1 }], 1000)).toEqual([100]);
  });
});

describe("chooseInnerShard", () => {
  const bounds = { bytesTarget: 1000, chunksMax: 1000, perRowMax: 1000 };
  it("takes the whole epoch if it fits, else splits the slowest dimension", () => {
    expect(chooseInnerShard([4, 4], 10, bounds)).toEqual([4, 4]);
    expect(chooseInnerShard([8, 8], 25, bounds)).toEqual([4, 8]);
    expect(chooseInnerShard([2, 64], 25, bounds)).toEqual([1, 32]);
    expect(chooseInnerShard([], 2000, bounds)).toEqual([]);
  });

  it("stops where more shards side by side are not allowed", () => {
    expect(chooseInnerShard([64, 64], 25, { ...bounds, perRowMax: 4 })).toEqual([16, 64]);
    expect(chooseInnerShard([64, 64], 25, { ...bounds, perRowMax: 1 })).toEqual([64, 64]);
    expect(chooseInnerShard([64, 64], 1, { ...bounds, bytesTarget: 1e9, chunksMax: 100 })).toEqual([1, 64]);
  });
});

describe("adviseLayout", () => {
  it("suggests a layout for a camera, and says why", () => {
    const advice = adviseLayout(camera);
    expect(sizes(advice)).toEqual([
      [1, 28],
      [461, 2305],
      [512, 4096],
    ]);
    expect(advice.dimensions[1]).toMatchObject({ name: "y", type: "space", unit: "micrometer", scale: 0.65 });
    expect(advice.reasons[0]).toContain("1 × 461 × 512");
    expect(advice.reasons[1]).toContain('as a chunk along "t", over all other dimensions: 1 long, an epoch is 18');
    expect(advice.reasons.join(" ")).toMatch(/512 KiB.* raw, for a target of 512 MiB/);
    for (const reason of advice.reasons) expect(reason).toMatch(/^[A-Z\d].*\d.*\.$/);
  });

  it.each<[string, LayoutRequest["dtype"], number[], (number | undefined)[], number]>([
    // Frames per second do not matter: a row costs the same memory however often it comes.
    ["2048² at 100 frames a second", "uint16", [2048, 2048], [1, 512, 512], 128],
    ["512² at 1000 frames a second", "uint16", [512, 512], [1, 512, 512], 128],
    ["64² of a fast line camera", "uint8", [64, 64], [128, 64, 64], 128],
    ["4600 × 5120", "uint16", [4600, 5120], [1, 512, 512], 300],
    ["a light sheet of 100 planes", "uint16", [100, 2048, 2048], [1, 50, 64, 64], 5000],
    ["a detector of 64 × 128² pixels", "uint16", [64, 128, 128], [1, 64, 64, 64], 128],
  ])("takes whole frames or tiles of one, and little memory: %s", (_, dtype, inner, chunk, mib) => {
    const dimensions = [{ name: "t", size: null }, ...inner.map((size, d) => ({ name: `d${d}`, size }))];
    const advice = adviseLayout({ dtype, dimensions, encodeThreads: 4 });
    expect(advice.dimensions.map((d) => d.chunk)).toEqual(chunk);
    expect(advice.memory.totalBytes).toBeLessThan(mib * MiB);
    // A bounded recording takes no more.
    const bounded = [{ name: "t", type: "time" as const, size: 1000 }, ...dimensions.slice(1)];
    expect(
      adviseLayout({ dtype, dimensions: bounded })
        .dimensions.slice(1)
        .map((d) => d.chunk),
    ).toEqual(chunk.slice(1));
    const apart = advice.reasons.filter((reason) => reason.includes('"t" and "d0" as one outermost dimension'));
    expect(apart.length).toBe(inner.length === 3 && mib > 128 ? 1 : 0);
  });

  it("gives time its share where it has a weight, and leaves other first dimensions one", () => {
    expect(sizes(adviseLayout(cube)).map(([chunk]) => chunk)).toEqual([64, 64, 64]);
    const volume = ["z", "y", "x"].map((name) => ({ name, size: 512 }));
    expect(adviseLayout({ dtype: "uint16", dimensions: volume }).dimensions.map((d) => d.chunk)).toEqual([64, 64, 64]);
  });

  it("lets no epoch pass a batch where the other dimensions may not grow", () => {
    const dimensions = [
      { name: "t", size: null },
      { name: "y", size: 2048, weight: 0 },
      { name: "x", size: 2048 },
    ];
    const advice = adviseLayout({ dtype: "uint16", dimensions });
    expect(advice.dimensions.map((d) => d.chunk)).toEqual([2, 1, 2048]);
    expect(advice.memory.batch.stagingSlotBytes).toBe(16 * MiB);
  });

  it("gives way to a budget with the batch, then with the chunk", () => {
    const small: LayoutRequest = {
      ...camera,
      dimensions: camera.dimensions.map((d, i) => (i === 0 ? { ...d, weight: 0 } : d)),
    };
    const full = adviseLayout(small);
    const batchOnly = adviseLayout({ ...small, memoryBudgetBytes: full.memory.totalBytes - 1 });
    const sameChunk = (a: LayoutAdvice) => a.dimensions.map((d) => d.chunk);
    expect(sameChunk(batchOnly)).toEqual(sameChunk(full));
    expect(batchOnly.memory.batch.stagingSlots * batchOnly.memory.epochsPerBatch).toBeLessThan(
      full.memory.batch.stagingSlots * full.memory.epochsPerBatch,
    );
    const tight = adviseLayout({ ...cube, memoryBudgetBytes: 1500 * MiB });
    expect(tight.memory.totalBytes).toBeLessThanOrEqual(1500 * MiB);
    expect(tight.dimensions[0].chunk).toBeLessThan(64);
    expect(tight.reasons.join(" ")).toContain("memory budget of 1.5 GiB");
  });

  it("shortens shards when their indexes are what does not fit", () => {
    const request: LayoutRequest = {
      dtype: "uint8",
      dimensions: [{ name: "t", size: null }],
      chunkBytesTarget: 16,
      chunkBytesMin: 16,
      shardBytesTarget: 64 * MiB,
      codec: { name: "none" },
    };
    const free = adviseLayout(request);
    expect(free.memory.shardIndexes).toBeGreaterThan(64 * MiB);
    const tight = adviseLayout({ ...request, memoryBudgetBytes: 8 * MiB });
    expect(tight.memory.totalBytes).toBeLessThanOrEqual(8 * MiB);
    expect(tight.dimensions[0].chunk).toBe(free.dimensions[0].chunk);
    expect(tight.dimensions[0].shard).toBeLessThan(free.dimensions[0].shard!);
  });

  it("keeps to all bounds, or says which cannot be kept; the same answer every time", () => {
    const dimension = fc.record({
      size: fc.integer({ min: 1, max: 3000 }),
      weight: fc.constantFrom(undefined, 0, 0.5, 1, 3, -1),
    });
    fc.assert(
      fc.property(
        fc.record({
          dtype: fc.constantFrom(...DTYPE_NAMES),
          dims: fc.array(dimension, { minLength: 1, maxLength: 4 }),
          unbounded: fc.boolean(),
          chunkBytesTarget: fc.integer({ min: 64, max: 2 ** 20 }),
          shardBytesTarget: fc.integer({ min: 1024, max: 2 ** 28 }),
          concurrentShardsMax: fc.integer({ min: 2, max: 64 }),
          memoryBudgetBytes: fc.option(fc.integer({ min: 2 ** 20, max: 2 ** 30 }), { nil: undefined }),
        }),
        ({ dims, unbounded, ...rest }) => {
          const dimensions = dims.map(({ size, weight }, i) =>
            i === 0 && unbounded
              ? { name: "d0", size: null, weight: weight === -1 ? 1 : weight }
              : { name: `d${i}`, size, weight },
          );
          const request: LayoutRequest = { ...rest, dimensions };
          let advice: LayoutAdvice;
          try {
            advice = adviseLayout(request);
          } catch (error) {
            if (!isMillraceError(error)) throw error;
            if (error.code === "MEMORY_BUDGET_EXCEEDED") expect(rest.memoryBudgetBytes).toBeDefined();
            else expect(error.code).toBe("BAD_GEOMETRY");
            return;
          }
          const g = describeGeometry(rest.dtype, advice.dimensions);
          expect(g.chunkBytes).toBeLessThanOrEqual(rest.chunkBytesTarget);
          expect(advice.memory.openShards).toBeLessThanOrEqual(rest.concurrentShardsMax);
          expect(advice.memory.totalBytes).toBeLessThanOrEqual(rest.memoryBudgetBytes ?? Number.POSITIVE_INFINITY);
          for (const [i, { size, weight }] of dimensions.entries()) {
            if (weight === -1) expect(g.chunk[i]).toBe(size);
            if (weight === 0) expect(g.chunk[i]).toBe(1);
            // No chunk starts outside the array, and evened-out chunks waste less than one element each.
            if (size !== null)
              expect(Math.ceil(size / g.chunk[i]) * g.chunk[i] - size).toBeLessThan(Math.ceil(size / g.chunk[i]));
          }
          expect(adviseLayout(request)).toEqual(advice);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("refuses what no chunk can meet", () => {
    const pinned = { ...camera, dimensions: camera.dimensions.map((d, i) => (i === 0 ? d : { ...d, weight: -1 })) };
    expect(refused(pinned)).toMatchObject({ code: "BAD_GEOMETRY", context: { bytes: 2304 * 4096 * 2 } });
    const open = { ...camera, dimensions: camera.dimensions.map((d) => ({ ...d, weight: -1 })) };
    expect(refused(open)).toMatchObject({ code: "BAD_GEOMETRY", context: { dimension: "t" } });
  });

  it("refuses a budget that nothing fits, with the numbers of the smallest layout", () => {
    const error = refused({ ...cube, memoryBudgetBytes: MiB });
    expect(error.code).toBe("MEMORY_BUDGET_EXCEEDED");
    expect(error.context).toMatchObject({ memoryBudgetBytes: MiB, epochsPerBatch: 1, depth: 2 });
    expect(error.hint).toContain('dimension "t" a smaller weight');
    expect(refused({ ...camera, memoryBudgetBytes: MiB }).hint).toBe("Lower chunkBytesMin or depth.");
    expect(error.message).toMatch(
      /^The smallest layout does not fit\. The stream needs .*: staging .*\. Give dimension/,
    );
  });

  it.each<[string, object]>([
    ["INVALID_OPTION", { chunkBytesTarget: 1 }],
    ["INVALID_OPTION", { chunkBytesTarget: 2 ** 31 }],
    ["INVALID_OPTION", { chunkBytesMin: 2 ** 20 }],
    ["INVALID_OPTION", { shardBytesTarget: 0 }],
    ["INVALID_OPTION", { concurrentShardsMax: 1 }],
    ["INVALID_OPTION", { memoryBudgetBytes: "1" }],
    ["INVALID_OPTION", { encodeThreads: 0 }],
    ["INVALID_OPTION", { dimensions: "x" }],
    ["INVALID_OPTION", { dimensions: [null] }],
    ["INVALID_OPTION", { dimensions: [{ name: "x", size: 5, weight: -2 }] }],
    ["INVALID_OPTION", { dimensions: [{ name: "x", size: 5, weight: Number.NaN }] }],
    ["INVALID_OPTION", { dimensions: [{ name: "x", size: 0 }] }],
    ["UNKNOWN_DTYPE", { dtype: "u2" }],
  ])("answers %s for %j", (code, over) => {
    expect(refused({ ...camera, ...over }).code).toBe(code);
  });
});
