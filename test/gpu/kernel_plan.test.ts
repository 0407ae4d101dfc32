/** What the kernels are given, without a device. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fseStates } from "../../src/codec/encoder/fse.js";
import { type ArrayGeometry, describeGeometry } from "../../src/geometry/array_geometry.js";
import { epochTable } from "../../src/geometry/epoch_table.js";
import { readbackGuess } from "../../src/gpu/gpu_encoder.js";
import { dispatchSize, KERNELS, kernelPlan, PARAM_NAMES, paramWords } from "../../src/gpu/kernels.js";
import { kernelTables } from "../../src/gpu/tables.js";
import {
  type GpuLayout,
  gpuLayout,
  gpuLimitsNeeded,
  gpuMemory,
  KERNEL_BUFFER_BYTES_MAX,
} from "../../src/plan/gpu_layout.js";
import { largestLayout } from "../helpers/largest_layout.js";

const folder = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "src", "gpu", "kernels");
const text = (name: string): string => readFileSync(join(folder, `${name}.wgsl`), "utf8");
const common = text("common");

function constant(name: string, source = common): number {
  const found = new RegExp(`const ${name} = (0x[0-9a-f]+|\\d+)u;`).exec(source);
  expect(found, name).not.toBeNull();
  return Number(found?.[1]);
}

const camera = describeGeometry("uint16", [
  { name: "t", size: null, chunk: 16, shard: 64 },
  { name: "y", size: 520, chunk: 130, shard: 520 },
  { name: "x", size: 696, chunk: 174, shard: 696 },
]);

const codecs = fc.constantFrom({ name: "none" as const }, { name: "blosc" as const }, { name: "zstd" as const });
const geometries: fc.Arbitrary<ArrayGeometry> = fc
  .record({
    dtype: fc.constantFrom("uint8" as const, "uint16" as const, "float32" as const, "int64" as const),
    rows: fc.integer({ min: 1, max: 9 }),
    y: fc.integer({ min: 1, max: 300 }),
    x: fc.integer({ min: 1, max: 700 }),
    size: fc.integer({ min: 1, max: 900 }),
  })
  .map(({ dtype, rows, y, x, size }) =>
    describeGeometry(dtype, [
      { name: "t", size: null, chunk: rows, shard: rows * 2 },
      { name: "y", size, chunk: y, shard: y * 2 },
      { name: "x", size: 333, chunk: x, shard: x },
    ]),
  );

describe("kernel files", () => {
  it("are those that the plan names, and the shared part", () => {
    expect(readdirSync(folder).sort()).toEqual([...KERNELS, "common"].map((name) => `${name}.wgsl`).sort());
  });

  it("begin with what they do", () => {
    for (const name of [...KERNELS, "common"]) expect(text(name)).toMatch(/^\/\/ [A-Z].*[^,]/);
  });

  it("have the parameters in the order in which they are written", () => {
    const struct = /struct Params \{([^}]*)\}/.exec(common)?.[1] ?? "";
    const names = [...struct.matchAll(/^ {2}(\w+): u32,$/gm)].map(([, name]) =>
      name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
    );
    expect(names).toEqual([...PARAM_NAMES]);
    const values = Object.fromEntries(PARAM_NAMES.map((name, i) => [name, i + 1]));
    expect(() => paramWords({ ...values, payloadWords: 2 ** 32 } as never)).toThrow("a kernel parameter is a u32");
    expect([...paramWords(values as never).subarray(0, PARAM_NAMES.length)]).toEqual(PARAM_NAMES.map((_, i) => i + 1));
  });

  it("need no more than every device has", () => {
    for (const name of KERNELS) {
      const source = `${common}\n${text(name)}`;
      expect(source.match(/@binding\(\d+\) var<storage/g)?.length ?? 0, name).toBeLessThanOrEqual(8);
      expect(source, name).not.toMatch(/^enable /m);
      expect(source, name).not.toMatch(/\bf32\b|\bf16\b/);
      // What an atomic returns depends on who came first.
      expect(source, name).not.toMatch(/(=|\(|return) *atomic(Add|Or|Max|Min|Exchange|CompareExchangeWeak)\(/);
      expect(workgroupBytes(source), name).toBeLessThanOrEqual(16384);
    }
  });

  it("agree with the tables about where things lie", () => {
    const sequences = text("sequences");
    const { words } = kernelTables(camera, epochTable(camera), 1);
    // lg(512) = 9, in 1/256.
    expect(words[constant("LG_AT", sequences) + 512]).toBe(9 * 256);
    const states = fseStates(
      [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1],
      6,
    );
    const cells = constant("LL_CELLS_AT", sequences);
    const start = words[cells + 25] >>> 16;
    const found = [0, 1, 2].map((k) => words[cells + start + k] & 0xffff);
    expect(found).toEqual(states.flatMap(({ symbol }, x) => (symbol === 25 ? [x] : [])));
    expect(words[constant("LL_DEFAULT_AT", sequences) + 35]).toBe(1);
    expect(words[constant("ML_DEFAULT_AT", sequences) + 1]).toBe(4);
  });
});

/** Bytes of workgroup memory that a kernel declares. */
function workgroupBytes(source: string): number {
  const constants = new Map(
    [...source.matchAll(/const (\w+) = (\d+)u;/g)].map(([, name, value]) => [name, Number(value)]),
  );
  const count = (given: string): number => constants.get(given) ?? Number(given.replace(/u$/, ""));
  const words = (type: string): number => {
    const array = /^array<(.+), (\w+)>$/.exec(type);
    if (array !== null) return words(array[1]) * count(array[2]);
    const vector = /^vec(\d)<u32>$/.exec(type);
    return vector === null ? 1 : Number(vector[1]);
  };
  let sum = 0;
  for (const [, type] of source.matchAll(/^var<workgroup> \w+: (.+);$/gm)) {
    sum += 4 * words(type.replace(/atomic<u32>/g, "u32"));
  }
  return sum;
}

describe("layout", () => {
  it("has the strides that the kernels have", () => {
    const layout = gpuLayout(camera, { name: "blosc" }, 2);
    expect(constant("BLOCK_BYTES")).toBe(32768);
    expect(layout.blocksPerChunk).toBe(2 * layout.framesPerChunk);
    const blocks = layout.taskCountMax * layout.blocksPerChunk;
    expect(layout.buffers.blocks).toBe(4 * constant("BLOCK_WORDS") * blocks + 64);
    // Spans of all threads cover a block.
    expect(constant("THREADS") * constant("SPAN_BYTES")).toBe(constant("BLOCK_BYTES"));
  });

  it("keeps the regions of a buffer apart, for any geometry", () => {
    fc.assert(
      fc.property(geometries, codecs, fc.integer({ min: 1, max: 40 }), (g, codec, epochs) => {
        const l = gpuLayout(g, codec, epochs);
        const blocks = codec.name === "none" ? 0 : l.taskCountMax * l.blocksPerChunk;
        const regions: [number, number][] = [
          [l.framesAt, codec.name === "none" ? 0 : l.taskCountMax * l.framesPerChunk],
          [l.chunksAt, codec.name === "none" ? 0 : 2 * l.taskCountMax],
          [l.masksAt, blocks * l.maskWords],
          [l.prefixesAt, 2 * blocks * l.prefixWords],
          [l.codesAt, 256 * blocks],
          [l.sequencesAt, blocks * l.sequenceWords],
          [l.statesAt, blocks * l.stateWords],
        ];
        let end = codec.name === "none" ? 0 : 4 * l.taskCountMax * l.framesPerChunk;
        for (const [at, words] of regions) {
          expect(at).toBe(end);
          end = at + words;
        }
        expect(4 * end).toBeLessThanOrEqual(l.buffers.work);
        expect(blockEnds(l)).toBeLessThanOrEqual(l.chunkStride);
        expect(l.chunkStride % 16).toBe(0);
        expect(l.dataAt % 256).toBe(0);
        expect(l.dataAt).toBeGreaterThanOrEqual(4 * (4 + 2 * l.taskCountMax));
        expect(l.buffers.output).toBeGreaterThanOrEqual(l.dataAt + l.dataBytesMax);
      }),
    );
  });

  it("asks for the limits of its largest buffer, and adds up all of them", () => {
    const layout = gpuLayout(camera, { name: "blosc" }, 4);
    const { upload, input, tables, planes, work, blocks, payload, output, readback } = layout.buffers;
    const largest = Math.max(input, tables, planes, work, blocks, payload, output);
    expect(gpuLimitsNeeded(layout)).toEqual({
      maxBufferSize: Math.max(largest, upload, readback),
      maxStorageBufferBindingSize: largest,
    });
    const { deviceBytes, hostBytes } = gpuMemory(layout, 3, 2);
    expect(deviceBytes).toBe(2 * (input + output) + tables + planes + work + blocks + payload);
    expect(hostBytes).toBe(3 * upload + 2 * readback);
  });
});

describe("the largest batch that the kernels address", () => {
  it("has no place and no product that leaves a u32, and no dispatch that leaves the grid", () => {
    fc.assert(
      fc.property(geometries, codecs, (g, codec) => {
        const l = largestLayout(g, codec);
        if (l === undefined) return;
        const bytes = l.buffers;
        for (const bound of [bytes.input, bytes.tables, bytes.planes, bytes.work, bytes.blocks, bytes.payload])
          expect(bound).toBeLessThanOrEqual(KERNEL_BUFFER_BYTES_MAX);
        // What kernels form beyond the buffer they look into, before they compare it.
        const rounded = {
          gather: (l.taskCountMax - 1) * l.chunkStride + l.gatherGroups * 256 * 4 * (l.codec === 1 ? l.itemBytes : 1),
          gatherUnits: l.gatherGroups * 256 * 4,
          periodPart: l.codec === 2 ? (l.periodGroups + 1) * 65536 : 0,
          compactWord: bytes.output + 4,
          sizesAndOffsets: l.dataAt + l.dataBytesMax + 4,
          source: (l.epochsPerBatch + 1) * g.epochBytes,
        };
        for (const [name, place] of Object.entries(rounded)) expect(place, name).toBeLessThan(2 ** 32);
        const numbers = { ...l, buffers: 0 };
        for (const [name, value] of Object.entries(numbers)) expect(value, name).toBeLessThan(2 ** 32);
        for (const { name, groups } of kernelPlan(l, l.taskCountMax)) {
          const [x, y] = dispatchSize(groups);
          expect(y, name).toBeLessThanOrEqual(65535);
          expect(x * y, name).toBeLessThan(2 ** 32);
        }
      }),
    );
  });

  it("fills the grid and no more where chunks are one byte", () => {
    const bytes = describeGeometry("uint8", [{ name: "t", size: null, chunk: 1, shard: 64 }]);
    const layout = largestLayout(bytes, { name: "none" }) as GpuLayout;
    const [gather] = kernelPlan(layout, layout.taskCountMax);
    expect(dispatchSize(gather.groups)).toEqual([constant("GROUPS_X"), 65535]);
  });

  it("counts the table, which has a row a chunk", () => {
    fc.assert(
      fc.property(geometries, codecs, fc.integer({ min: 1, max: 40 }), (g, codec, epochs) => {
        const { words } = kernelTables(g, epochTable(g), epochs);
        expect(words.byteLength).toBeLessThanOrEqual(gpuLayout(g, codec, epochs).buffers.tables);
      }),
    );
  });

  it("comes back longer than a signed word", () => {
    for (const bytes of [0, 2 ** 20, 2 ** 31, 2 ** 32 - 65536]) expect(readbackGuess(bytes)).toBeGreaterThan(bytes);
  });
});

/** Where the last block of a chunk ends in `planes`, as block_of in common.wgsl has it. */
function blockEnds(l: GpuLayout): number {
  if (l.codec !== 1 || l.itemBytes === 1) return l.chunkBytes;
  const last = l.chunkElements - (l.framesPerChunk - 1) * 32768;
  const aligned = Math.ceil(last / 16) * 16;
  return (l.framesPerChunk - 1) * 32768 * l.itemBytes + (l.itemBytes - 1) * aligned + last;
}

describe("dispatches", () => {
  it("go into a second dimension before the first is full", () => {
    expect(dispatchSize(1)).toEqual([1, 1]);
    const [x, y] = dispatchSize(100_000);
    expect(x).toBe(constant("GROUPS_X"));
    expect(x * y).toBeGreaterThanOrEqual(100_000);
    expect(x).toBeLessThanOrEqual(65535);
  });

  it("run gather, offsets and compact for codec none", () => {
    const names = kernelPlan(gpuLayout(camera, { name: "none" }, 1), 16).map(({ name }) => name);
    expect(names).toEqual(["gather", "offsets", "compact"]);
  });

  it("cover every block", () => {
    const layout = gpuLayout(camera, { name: "zstd" }, 1);
    const groups = Object.fromEntries(kernelPlan(layout, 16).map((k) => [k.name, k.groups]));
    expect(groups.runs).toBe(16 * layout.blocksPerChunk);
    expect(groups.sequences * 64).toBeGreaterThanOrEqual(groups.runs);
    expect(layout.gatherGroups * 256 * 4).toBeGreaterThanOrEqual(layout.chunkBytes);
  });
});

describe("merged dimensions", () => {
  const dims = (g: ArrayGeometry): number[] => {
    const tables = kernelTables(g, epochTable(g), 1);
    return [...tables.words.subarray(tables.dimsAt, tables.dimsAt + 2 * tables.rank)];
  };

  it("are one where they lie behind each other and are never clipped", () => {
    const g = describeGeometry("uint16", [
      { name: "t", size: null, chunk: 2, shard: 2 },
      { name: "y", size: 6, chunk: 3, shard: 3 },
      { name: "x", size: 10, chunk: 10, shard: 10 },
    ]);
    expect(dims(g)).toEqual([2, 120, 30, 2]);
  });

  it("stay apart where an inner one is cut off, or has neighbours", () => {
    const clipped = describeGeometry("uint16", [
      { name: "t", size: null, chunk: 2, shard: 2 },
      { name: "y", size: 6, chunk: 3, shard: 3 },
      { name: "x", size: 10, chunk: 16, shard: 16 },
    ]);
    expect(dims(clipped)).toEqual([2, 120, 3, 20, 16, 2]);
    const beside = describeGeometry("uint16", [
      { name: "t", size: null, chunk: 2, shard: 2 },
      { name: "y", size: 6, chunk: 3, shard: 3 },
      { name: "x", size: 10, chunk: 5, shard: 10 },
    ]);
    expect(dims(beside)).toEqual([2, 120, 3, 20, 5, 2]);
  });
});
