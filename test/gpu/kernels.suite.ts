/** The kernels' bytes and intermediates against the TypeScript encoder, on a device. */
import { describe, expect, it } from "vitest";
import { analyzeBlock } from "../../src/codec/encoder/block.js";
import { encodeBlosc, encodeZstd } from "../../src/codec/encoder/index.js";
import { type ArrayGeometry, describeGeometry } from "../../src/geometry/array_geometry.js";
import { CHUNK_KINDS, makeChunk } from "../helpers/encoder_corpus.js";
import { LIMIT_BLOCK_BYTES, limitBlocks } from "../helpers/format_limits.js";
import { holdDevice, noGpu } from "../helpers/gpu.js";
import { type GpuRun, runOnGpu } from "../helpers/gpu_encode.js";
import { isWide, spread } from "../helpers/wide.js";

const DTYPE_OF = { 1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64" } as const;
type ItemBytes = keyof typeof DTYPE_OF;

/** An array whose epochs are one chunk of that many elements each. */
function lines(itemBytes: ItemBytes, elements: number): ArrayGeometry {
  return describeGeometry(DTYPE_OF[itemBytes], [
    { name: "t", size: null, chunk: 1, shard: 1 },
    { name: "x", size: elements, chunk: elements, shard: elements },
  ]);
}

function encodeOnCpu(codec: "blosc" | "zstd", chunk: Uint8Array, itemBytes: number): Uint8Array {
  const out = new Uint8Array(chunk.length + 16 + 3 * Math.ceil(chunk.length / 32768) + 16);
  return out.subarray(0, (codec === "blosc" ? encodeBlosc : encodeZstd)(chunk, itemBytes, out));
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(chunks));
}

/** The first stage of the first block whose intermediates differ, for a message; docs/encoder.md §3 in order. */
function firstDifference(run: GpuRun, task: number, chunk: Uint8Array, itemBytes: number): string {
  const { layout, blocks } = run;
  const shuffled = layout.codec === 1 && itemBytes > 1;
  for (let b = 0; b < layout.blocksPerChunk; b++) {
    const d = blocks.subarray((task * layout.blocksPerChunk + b) * 192);
    let block = chunk.subarray(b * 32768, (b + 1) * 32768);
    if (shuffled) {
      const frame = Math.floor(b / itemBytes);
      const content = chunk.subarray(frame * 32768 * itemBytes, (frame + 1) * 32768 * itemBytes);
      block = content.filter((_, i) => i % itemBytes === b % itemBytes);
    }
    const oracle = analyzeBlock(block, Math.max(1, d[3]));
    const stages: [string, number, number][] = [
      ["type", d[0], { raw: 0, rle: 1, compressed: 2 }[oracle.type]],
      ["literals", d[1], block.length - (oracle.taken ?? []).reduce((sum, { length }) => sum + length, 0)],
      ["sequences", d[2], oracle.taken?.length ?? 0],
      ["form", d[4], oracle.literals?.form === "compressed" ? 1 : 0],
      ["tree bytes", d[8], oracle.literals?.tree?.length ?? 0],
      ["literal bytes", d[5], oracle.literals?.bytes.length ?? 0],
      ["sequence bytes", d[6], oracle.sequences?.bytes.length ?? 0],
    ];
    const wrong = stages.find(([, gpu, cpu], i) => gpu !== cpu && (i === 0 || oracle.type === "compressed"));
    if (wrong !== undefined)
      return `block ${b}: ${wrong[0]} is ${wrong[1]} on the GPU, ${wrong[2]} here (period ${d[3]})`;
  }
  return "the intermediates agree";
}

describe.skipIf(noGpu)("kernels", () => {
  const lease = holdDevice();

  async function compare(
    codec: "blosc" | "zstd",
    itemBytes: ItemBytes,
    elements: number,
    kinds: readonly string[],
  ): Promise<void> {
    const chunks = kinds.map((kind) => ({ name: kind, bytes: makeChunk(kind, itemBytes, elements) }));
    await compareChunks(codec, itemBytes, elements, chunks);
  }

  async function compareChunks(
    codec: "blosc" | "zstd",
    itemBytes: ItemBytes,
    elements: number,
    chunks: readonly { readonly name: string; readonly bytes: Uint8Array }[],
  ): Promise<void> {
    const g = lines(itemBytes, elements);
    const data = joined(chunks.map(({ bytes }) => bytes));
    const run = await runOnGpu(lease(), g, { name: codec }, data, { epochCount: chunks.length });
    chunks.forEach(({ name, bytes: chunk }, task) => {
      const expected = encodeOnCpu(codec, chunk, itemBytes);
      const got = run.chunks[task] as Uint8Array;
      if (Buffer.compare(got, expected) === 0) return;
      const where = firstDifference(run, task, chunk, itemBytes);
      expect.fail(
        `${codec}, ${name}, ${elements} × ${itemBytes} bytes: ${got.length} bytes instead of ` +
          `${expected.length}; ${where}`,
      );
    });
  }

  const kinds = Object.keys(CHUNK_KINDS);

  it("compile without a complaint", async () => {
    await compare("blosc", 2, 100, ["camera"]);
  });

  for (const itemBytes of [1, 2, 4, 8] as const) {
    for (const codec of ["blosc", "zstd"] as const) {
      it(`give the encoder's bytes: ${codec}, ${itemBytes} bytes an element`, async () => {
        // Every kind in short chunks; the lengths go round, so that each kind meets odd ones with some width.
        const lengths = [1, 2, 3, 4, 5, 17, 63, 64, 127, 255, 256, 257, 300, 1001, 4096];
        for (const [i, elements] of spread([...lengths.entries()], 8)) {
          await compare(
            codec,
            itemBytes,
            elements,
            kinds.filter((_, k) => (k + i + itemBytes) % (itemBytes > 2 ? 9 : 5) === 0),
          );
        }
        const every = itemBytes > 2 ? 6 : 1;
        await compare(
          codec,
          itemBytes,
          2600,
          kinds.filter((_, k) => k % every === 0),
        );
      });
    }
  }

  it("give the encoder's bytes for whole blocks and what is left over", async () => {
    await compare("blosc", 2, 32768 + 1000, ["camera", "noise", "labels", "constant", "runsLong", "fibonacci"]);
    await compare("zstd", 2, 32768, ["bright", "colours3", "runsMixed"]);
    await compare("blosc", 1, 65536 + 32768 + 5, ["camera", "noise"]);
    await compare("blosc", 4, 40000, ["colours4"]);
    await compare("blosc", 8, 33000, ["staircase"]);
  });

  it.each(["blosc", "zstd"] as const)("give the encoder's bytes on both sides of every limit: %s", async (codec) => {
    const blocks = limitBlocks();
    for (let at = 0; at < blocks.length; at += 40) {
      await compareChunks(codec, 1, LIMIT_BLOCK_BYTES, blocks.slice(at, at + 40));
    }
  });

  it("declare a window for frames above 8 MiB", async () => {
    await compare("zstd", 2, 4 * 2 ** 20 + 1, ["zeros"]);
    if (isWide) await compare("zstd", 2, 4 * 2 ** 20, ["zeros"]);
  });

  it("store noise as it is, in one piece and unshuffled", async () => {
    for (const itemBytes of [1, 2, 4, 8] as const) await compare("blosc", itemBytes, 20000, ["noise"]);
  });

  it("gather every element from its own place, at every edge, for every width", async () => {
    for (const itemBytes of [1, 2, 4, 8] as const) {
      for (const { sizes, chunk, rows } of [
        { sizes: [5], chunk: [2], rows: 3 },
        { sizes: [7, 11], chunk: [3, 4], rows: 2 },
        { sizes: [3, 5, 9], chunk: [2, 5, 4], rows: 1 },
        { sizes: [2, 3, 2, 7], chunk: [1, 2, 2, 7], rows: 2 },
      ]) {
        await gathers(itemBytes, sizes, chunk, rows);
      }
    }
  });

  async function gathers(itemBytes: ItemBytes, sizes: number[], chunk: number[], rows: number): Promise<void> {
    const inner = sizes.map((size, i) => ({ name: `d${i}`, size, chunk: chunk[i], shard: chunk[i] * 2 }));
    const g = describeGeometry(DTYPE_OF[itemBytes], [{ name: "t", size: null, chunk: rows, shard: rows }, ...inner]);
    const epochs = 3;
    const lastEpochRows = Math.ceil(rows / 2);
    // Each byte is derived from the coordinates of its element, so that one in the wrong place shows.
    const input = new Uint8Array(epochs * g.epochBytes).map((_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 13) & 255);
    const fill = Uint8Array.from({ length: itemBytes }, (_, i) => 200 + i);
    const skippedEpochs = Uint8Array.of(0b010);
    const run = await runOnGpu(lease(), g, { name: "none" }, input, {
      epochCount: epochs,
      lastEpochRows,
      skippedEpochs,
      fill,
    });
    const { epochTable } = await import("../../src/geometry/epoch_table.js");
    const { TypeScriptGather } = await import("../../src/cpu/gather.js");
    const table = epochTable(g);
    const gather = new TypeScriptGather({
      itemBytes,
      chunkShape: Uint32Array.from(g.chunk),
      srcStrides: table.srcStrides,
      fill,
    });
    // One run a shard: by shard, then epoch, then chunk.
    let at = 0;
    for (let s = 0; s < table.shardsPerRow; s++) {
      for (let epoch = 0; epoch < epochs; epoch++) {
        for (let c = table.shardStart[s]; c < table.shardStart[s + 1]; c++) {
          const task = epoch * table.chunksPerEpoch + c;
          if (epoch === 1) {
            expect(run.chunks[task]).toBeUndefined();
            continue;
          }
          const expected = new Uint8Array(g.chunkBytes);
          const extents = table.extents.slice(c * table.rank, (c + 1) * table.rank);
          if (epoch === epochs - 1) extents[0] = lastEpochRows;
          gather.gather(input, epoch * g.epochBytes + table.srcOffset[c], extents, expected, 0);
          expect(Buffer.compare(run.chunks[task] as Uint8Array, expected), `chunk ${c} of epoch ${epoch}`).toBe(0);
          expect(run.offsets[task]).toBe(at);
          at += g.chunkBytes;
        }
      }
    }
    expect(run.totalBytes).toBe(at);
  }

  it("go into a second dimension of workgroups", async () => {
    const chunks = 4100;
    const g = describeGeometry("uint16", [
      { name: "t", size: null, chunk: 1, shard: 1 },
      { name: "x", size: 3 * chunks, chunk: 3, shard: 300 },
    ]);
    const input = new Uint8Array(g.epochBytes);
    new Uint32Array(input.buffer, 0, input.length >> 2).forEach((_, i, words) => {
      words[i] = i;
    });
    const run = await runOnGpu(lease(), g, { name: "none" }, input, { epochCount: 1 });
    expect(run.totalBytes).toBe(input.length);
    expect(Buffer.compare(joined(run.chunks as Uint8Array[]), input)).toBe(0);
  });

  it("do not let a neighbour, the batch or an earlier run into the bytes", async () => {
    const elements = 3000;
    const chunks = ["camera", "labels", "noise", "runs5"].map((kind) => makeChunk(kind, 2, elements));
    const g = lines(2, elements);
    const together = await runOnGpu(lease(), g, { name: "blosc" }, joined(chunks), { epochCount: 4 });
    const reversed = await runOnGpu(lease(), g, { name: "blosc" }, joined([...chunks].reverse()), { epochCount: 4 });
    for (const [i, chunk] of chunks.entries()) {
      const alone = await runOnGpu(lease(), g, { name: "blosc" }, chunk, { epochCount: 1 });
      const own = alone.chunks[0] as Uint8Array;
      expect(Buffer.compare(own, together.chunks[i] as Uint8Array)).toBe(0);
      expect(Buffer.compare(own, reversed.chunks[3 - i] as Uint8Array)).toBe(0);
    }
  });
});
