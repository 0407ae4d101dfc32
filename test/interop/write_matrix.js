// Writes stores through the public API for other readers to read: `node write_matrix.js FOLDER`. Puts
// FOLDER/manifest.jsonl beside them, one line a store: { name, path, dtype, shape, expectedFile, fillHex,
// dimensionNames, skipReaders }. expectedFile holds every element, little-endian, C order.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DTYPES, fileSink, openWriter } from "millrace";

const folder = resolve(process.argv[2] ?? "");
if (process.argv[2] === undefined) throw new Error("usage: node write_matrix.js FOLDER");
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

const CODECS = [{ name: "none" }, { name: "blosc" }, { name: "zstd" }, { name: "zstd", level: 5 }];

/** One element of each dtype as little-endian hex, and the option that asks for it. */
const FILLS = {
  uint8: [
    [0, "00"],
    [255, "ff"],
  ],
  uint16: [
    [0, "0000"],
    [65535, "ffff"],
  ],
  uint32: [
    [0, "00000000"],
    [4294967295, "ffffffff"],
  ],
  uint64: [
    [0, "0000000000000000"],
    [18446744073709551615n, "ffffffffffffffff"],
    [9007199254740993n, "0100000000002000"],
  ],
  int8: [
    [0, "00"],
    [-128, "80"],
  ],
  int16: [
    [0, "0000"],
    [-2, "feff"],
  ],
  int32: [
    [0, "00000000"],
    [-2147483648, "00000080"],
  ],
  int64: [
    [0, "0000000000000000"],
    [-9223372036854775808n, "0000000000000080"],
    [-9007199254740993n, "ffffffffffffdfff"],
  ],
  float16: [
    [0, "0000"],
    ["NaN", "007e"],
    [0.1, "662e"],
    ["-Infinity", "00fc"],
    ["0x7e01", "017e"],
  ],
  float32: [
    [0, "00000000"],
    ["NaN", "0000c07f"],
    [-0, "00000080"],
    ["Infinity", "0000807f"],
    ["0x7fc00001", "0100c07f"],
  ],
  float64: [
    [0, "0000000000000000"],
    ["NaN", "000000000000f87f"],
    [0.1, "9a9999999999b93f"],
    ["0xfff8000000000007", "070000000000f8ff"],
  ],
};

/**
 * Element `index` as `size` bytes: no two neighbours alike in any direction, every byte in use, and no signalling NaN
 * among the floats, which a reader may quieten on its way through a register.
 */
function element(index, size, kind) {
  let x = Math.imul(index + 1, 0x9e3779b1) ^ (index >>> 9);
  const bytes = [];
  for (let i = 0; i < size; i++) {
    x = Math.imul(x ^ (x >>> 15), 0x85ebca6b + i);
    bytes.push(i % 2 === 0 ? (x >>> 24) & 255 : (x >>> 24) & 15);
  }
  // Exponent bits all ones mean NaN or infinity: one of them is cleared.
  if (kind === "float") bytes[size - 1] &= 0xbf;
  return bytes;
}

/** What a reader is known to get wrong, measured; such a case counts as skipped. */
function limitsOf(dtype, fillHex) {
  // zarr-python 3.1 takes the bit pattern of a float16 through a Python float and loses a NaN's payload.
  return dtype === "float16" && fillHex === "017e" ? { zarr: "loses the payload of a float16 NaN" } : undefined;
}

const product = (list) => list.reduce((n, m) => n * m, 1);

/**
 * Layouts: rank 1 to 6, ragged and even edges, shard = chunk, twice the chunk, the whole array, larger than the array.
 */
const LAYOUTS = [
  { shape: [37], chunk: [5], shard: [10] },
  { shape: [40], chunk: [8], shard: [40] },
  { shape: [13, 17], chunk: [4, 5], shard: [4, 5] },
  { shape: [13, 17], chunk: [4, 5], shard: [8, 10] },
  { shape: [9, 10, 11], chunk: [2, 4, 3], shard: [4, 8, 6] },
  { shape: [8, 8, 12], chunk: [2, 4, 6], shard: [8, 8, 12] },
  { shape: [5, 3, 7, 6], chunk: [2, 1, 4, 3], shard: [6, 3, 8, 6] },
  { shape: [3, 2, 5, 4, 6], chunk: [1, 2, 3, 2, 4], shard: [2, 2, 6, 4, 8] },
  { shape: [3, 2, 3, 2, 5, 4], chunk: [2, 1, 2, 2, 3, 3], shard: [4, 2, 4, 2, 6, 6] },
  { shape: [3, 5], chunk: [4, 8], shard: [8, 16] },
  { shape: [1, 1, 1], chunk: [1, 1, 1], shard: [1, 1, 1] },
];

const manifest = [];

async function write({ name, dtype, codec, layout, fill: [fillValue, fillHex], bounded, skip = [] }) {
  const { shape, chunk, shard } = layout;
  const path = join(folder, `${name}.zarr`);
  const { itemBytes: size, kind } = DTYPES[dtype];
  const fill = Buffer.from(fillHex, "hex");
  const rowElements = product(shape.slice(1));
  const rowBytes = rowElements * size;
  const data = Buffer.alloc(shape[0] * rowBytes);
  for (let i = 0; i < shape[0] * rowElements; i++) data.set(element(i, size, kind), i * size);
  const dimensionNames = shape.map((_, d) => `axis${d}`);
  // Threads are started for some only: that costs ten times the writing of stores this small.
  const threads = manifest.length % 8 === 0 ? "workers" : "inline";
  const writer = await openWriter({
    sink: fileSink(path),
    threads,
    array: {
      dtype,
      dimensions: shape.map((n, d) => ({
        name: dimensionNames[d],
        size: d === 0 && !bounded ? null : n,
        chunk: chunk[d],
        shard: shard[d],
      })),
      codec,
      fillValue,
      attributes: { source: name },
    },
    mode: "create",
  });
  // Odd sizes on purpose: appends cross rows, chunks and epochs.
  const step = size * Math.max(1, Math.floor(rowElements * 0.7));
  let row = 0;
  for (const [from, to] of [...skip, [shape[0], shape[0]]]) {
    for (let at = row * rowBytes; at < from * rowBytes; at += step) {
      await writer.append(data.subarray(at, Math.min(at + step, from * rowBytes)));
    }
    if (to > from) {
      await writer.skip(to - from);
      for (let at = from * rowBytes; at < to * rowBytes; at += size) data.set(fill, at);
    }
    row = to;
  }
  await writer.close();
  const expectedFile = join(folder, `${name}.raw`);
  writeFileSync(expectedFile, data);
  manifest.push({
    name,
    path,
    dtype,
    shape,
    expectedFile,
    fillHex,
    dimensionNames,
    skipReaders: limitsOf(dtype, fillHex),
  });
}

const cases = [];
for (const dtype of Object.keys(DTYPES)) {
  for (const codec of CODECS) {
    const spelled = `${codec.name}${codec.level ?? ""}`;
    LAYOUTS.forEach((layout, l) => {
      const fills = FILLS[dtype];
      cases.push({
        name: `${dtype}-${spelled}-layout${l}`,
        dtype,
        codec,
        layout,
        fill: fills[l % fills.length],
        bounded: l % 2 === 0,
      });
    });
    // Skips: in the middle of an epoch, over whole epochs, over a whole shard, and at the end; with every fill value.
    FILLS[dtype].forEach((fill, f) => {
      cases.push({
        name: `${dtype}-${spelled}-skip${f}`,
        dtype,
        codec,
        layout: { shape: [26, 5, 7], chunk: [2, 3, 4], shard: [4, 6, 8] },
        fill,
        bounded: f % 2 === 1,
        skip: [
          [1, 2],
          [3, 8],
          [11, 20],
          [24, 26],
        ],
      });
    });
  }
}
for (const item of cases) await write(item);
writeFileSync(join(folder, "manifest.jsonl"), manifest.map((line) => `${JSON.stringify(line)}\n`).join(""));
console.log(`wrote ${manifest.length} stores`);
