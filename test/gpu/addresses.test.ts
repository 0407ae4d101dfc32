/** Where the kernels look and write, near what a u32 holds: their own functions on a device, against exact integers. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { describeGeometry } from "../../src/geometry/array_geometry.js";
import type { DType } from "../../src/geometry/dtype.js";
import { type KernelName, type KernelParams, PARAM_NAMES, paramWords } from "../../src/gpu/kernels.js";
import type { GpuLayout } from "../../src/plan/gpu_layout.js";
import { holdDevice, noGpu } from "../helpers/gpu.js";
import { largestLayout } from "../helpers/largest_layout.js";

const folder = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "src", "gpu", "kernels");
const common = readFileSync(join(folder, "common.wgsl"), "utf8");

/** A kernel without its entry point: the functions and variables that a probe calls. */
function functionsOf(name: KernelName): string {
  const text = readFileSync(join(folder, `${name}.wgsl`), "utf8");
  return `${common}\n${text.slice(0, text.indexOf("@compute"))}`;
}

/** Runs `body` once an input, which it sees as `given`; what it assigns to `found` comes back. */
async function probe(
  device: GPUDevice,
  functions: string,
  body: string,
  inputs: readonly (readonly [number, number])[],
  params?: Uint32Array<ArrayBuffer>,
): Promise<[number, number][]> {
  const code = `${functions}
@group(1) @binding(0) var<storage, read> probe_inputs: array<vec2<u32>>;
@group(1) @binding(1) var<storage, read_write> probe_outputs: array<vec2<u32>>;
@compute @workgroup_size(1)
fn probe(@builtin(workgroup_id) group: vec3<u32>) {
  let given = probe_inputs[group.x];
  var found = vec2<u32>();
  ${body}
  probe_outputs[group.x] = found;
}`;
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }), entryPoint: "probe" },
  });
  const size = 8 * inputs.length;
  const made: GPUBuffer[] = [];
  const buffer = (bytes: number, usage: number): GPUBuffer => {
    const one = device.createBuffer({ size: bytes, usage });
    made.push(one);
    return one;
  };
  // STORAGE | COPY_DST, STORAGE | COPY_SRC, MAP_READ | COPY_DST
  const given = buffer(size, 0x80 | 0x8);
  const found = buffer(size, 0x80 | 0x4);
  const read = buffer(size, 0x1 | 0x8);
  try {
    device.queue.writeBuffer(given, 0, Uint32Array.from(inputs.flat()));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const entries = [given, found].map((one, binding) => ({ binding, resource: { buffer: one } }));
    pass.setBindGroup(1, device.createBindGroup({ layout: pipeline.getBindGroupLayout(1), entries }));
    if (params !== undefined) {
      const uniform = buffer(params.byteLength, 0x40 | 0x8 /* UNIFORM | COPY_DST */);
      device.queue.writeBuffer(uniform, 0, params);
      const layout = pipeline.getBindGroupLayout(0);
      const entries = [{ binding: 0, resource: { buffer: uniform } }];
      pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    }
    pass.dispatchWorkgroups(inputs.length);
    pass.end();
    encoder.copyBufferToBuffer(found, 0, read, 0, size);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(1 /* READ */);
    const words = new Uint32Array(read.getMappedRange());
    return inputs.map((_, i) => [words[2 * i], words[2 * i + 1]]);
  } finally {
    for (const one of made) one.destroy();
  }
}

/** Byte offsets around those at which bits, bytes and words pass a u32 or a sign. */
const BYTES = [0, 1, 2, 3, 4, 65_567, 2 ** 28, 2 ** 29, 2 ** 30, 3 * 2 ** 29, 2 ** 31, 3 * 2 ** 30, 2 ** 32 - 65_540]
  .flatMap((at) => [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5].map((by) => at + by))
  .filter((at) => at >= 0);
/** Bits of a block's literals: at most 11 each. */
const BITS = [0, 1, 7, 8, 23, 24, 25, 31, 32, 33, 1000, 11 * 32_768];

describe.skipIf(noGpu)("addresses", () => {
  const lease = holdDevice();

  const seekBody = "seek(given.x, given.y); found = vec2<u32>(to_word, filled);";
  const places = BYTES.flatMap((at) => BITS.map((bits) => [at, bits] as const));
  /** Those places of which `functions` seeks another one. */
  async function missed(functions: string): Promise<(readonly [number, number])[]> {
    const found = await probe(lease().device, functions, seekBody, places);
    return places.filter(([at, bits], i) => {
      const bit = 8n * BigInt(at) + BigInt(bits);
      return found[i][0] !== Number(bit / 32n) || found[i][1] !== Number(bit % 32n);
    });
  }

  it("of bits are a word and a bit of it, in any buffer", async () => {
    expect(await missed(functionsOf("literals"))).toEqual([]);
  });

  it("counted in bits alone would be wrong from 512 MiB on, which is seen here", async () => {
    const inBits = "to_word = (8u * byte + bits) >> 5u;\n  filled = (8u * byte + bits) & 31u;";
    const mutant = functionsOf("literals").replace(/to_word = \(byte[^;]*;\s*filled = [^;]*;/, inBits);
    expect(mutant).toContain(inBits);
    const wrong = await missed(mutant);
    const wraps = places.filter(([at, bits]) => 8 * at + bits >= 2 ** 32);
    expect(wraps.length).toBeGreaterThan(100);
    expect(wrong).toEqual(wraps);
  });

  const arrays: readonly (readonly ["none" | "blosc" | "zstd", DType, number])[] = [
    ["blosc", "uint16", 524_288],
    ["blosc", "uint16", 100],
    ["blosc", "uint8", 100_001],
    ["blosc", "float64", 70_003],
    ["zstd", "uint16", 65_536],
    ["zstd", "uint8", 1],
    ["none", "uint16", 333],
  ];
  it.each(arrays)(
    "of blocks and their sections are exact in the largest batch: %s, %s, %d elements a chunk",
    async (name, dtype, elements) => {
      const g = describeGeometry(dtype, [{ name: "t", size: null, chunk: elements, shard: elements }]);
      const l = largestLayout(g, { name }) as GpuLayout;
      const blocks = l.taskCountMax * l.blocksPerChunk;
      expect(Math.max(l.buffers.planes, l.buffers.work, l.buffers.output)).toBeGreaterThan(2 ** 32 - 2 ** 23);
      const rest = { epochCount: l.epochsPerBatch, epochBytes: g.epochBytes, epochRows: g.epochRows };
      const zeros = Object.fromEntries(PARAM_NAMES.map((param) => [param, 0]));
      const params = paramWords({ ...zeros, ...l, ...rest, taskCount: l.taskCountMax } as unknown as KernelParams);
      const flats = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((i) => [i, Math.floor(blocks / 2) + i, blocks - 1 - i]);
      // As many literals as a block can have that stay in its words.
      const literalBytes = 4 * (l.payloadWords - 1);
      const inputs = flats.map((flat) => [flat, literalBytes] as const);

      const block = "let b = block_of(given.x); found = vec2<u32>(b.at, b.bytes);";
      const found = await probe(lease().device, common, block, inputs, params);
      expect(found).toEqual(flats.map((flat) => blockOf(l, flat)));
      for (const [at, bytes] of found) expect(at + bytes).toBeLessThanOrEqual(l.buffers.planes);

      if (name === "none") return;
      const section = "found.x = sequences_word(given.x, given.y) * 4u;";
      const sections = await probe(lease().device, common, section, inputs, params);
      expect(sections.map(([at]) => at)).toEqual(flats.map((flat) => 4 * flat * l.payloadWords + literalBytes));
    },
  );
});

/** Byte offset in `planes` and length of a block, in doubles, which are exact here. docs/encoder.md §1. */
function blockOf(l: GpuLayout, flat: number): [number, number] {
  const chunkAt = Math.floor(flat / l.blocksPerChunk) * l.chunkStride;
  const index = flat % l.blocksPerChunk;
  if (l.codec !== 1 || l.itemBytes === 1) {
    return [chunkAt + index * 32_768, Math.min(32_768, l.chunkBytes - index * 32_768)];
  }
  const frame = Math.floor(index / l.itemBytes);
  const bytes = Math.min(32_768, l.chunkElements - frame * 32_768);
  const stride = Math.ceil(bytes / 16) * 16;
  return [chunkAt + frame * 32_768 * l.itemBytes + (index % l.itemBytes) * stride, bytes];
}
