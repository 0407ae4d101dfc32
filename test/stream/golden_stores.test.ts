import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import type { DType } from "../../src/geometry/dtype.js";
import { DTYPE_NAMES, itemBytes } from "../../src/geometry/dtype.js";
import type { ArrayOptions } from "../../src/options.js";
import { memorySink } from "../../src/sinks/specs.js";
import { openWriter } from "../../src/writer/open_writer.js";

/**
 * sha256 over whole stores: every key with its bytes, metadata and indexes included. A change to any of them is a
 * change to what readers of existing stores expect, and has to be meant. To print new ones:
 * `MILLRACE_GOLDEN=print npx vitest run test/stream/golden_stores.test.ts`.
 */
const golden = JSON.parse(readFileSync(new URL("../golden/stores.json", import.meta.url), "utf8")) as Readonly<
  Record<string, string>
>;

interface Case {
  readonly array: ArrayOptions;
  /** Rows that are appended, then rows that are skipped, then rows that are appended. */
  readonly rows: readonly [number, number, number];
}

const PLANE = { y: { size: 21, chunk: 8, shard: 16 }, x: { size: 33, chunk: 16, shard: 32 } };

function cases(): Map<string, Case> {
  const all = new Map<string, Case>();
  const add = (name: string, array: ArrayOptions, rows: Case["rows"]): void => void all.set(name, { array, rows });
  const plane = [
    { name: "y", ...PLANE.y },
    { name: "x", ...PLANE.x },
  ];
  for (const dtype of DTYPE_NAMES) {
    for (const codec of ["none", "blosc", "zstd"] as const) {
      const dimensions = [{ name: "t", size: null, chunk: 3, shard: 6 }, ...plane];
      add(`${dtype} ${codec}, unbounded, ends inside an epoch`, { dtype, codec, dimensions }, [7, 0, 4]);
    }
  }
  for (const codec of ["none", "blosc"] as const) {
    const t = { name: "t", size: 20, chunk: 2, shard: 4 };
    add(`bounded ${codec}, full`, { dtype: "uint16", codec, dimensions: [t, ...plane] }, [20, 0, 0]);
    add(`bounded ${codec}, closed early`, { dtype: "uint16", codec, dimensions: [t, ...plane] }, [5, 0, 0]);
    add(
      `skipped shards ${codec}, with a fill value`,
      { dtype: "int16", codec, fillValue: -3, dimensions: [{ name: "t", size: null, chunk: 2, shard: 4 }, ...plane] },
      [3, 11, 5],
    );
  }
  add("rank 1", { dtype: "float64", dimensions: [{ name: "t", size: null, chunk: 50, shard: 200 }] }, [333, 0, 0]);
  add(
    "rank 5, units, scales, attributes",
    {
      dtype: "uint8",
      fillValue: 9,
      attributes: { instrument: "a lamp", nested: { list: [1, "ü", null] } },
      dimensions: [
        { name: "t", type: "time", size: null, chunk: 1, shard: 2, unit: "second", scale: 0.25 },
        { name: "c", type: "channel", size: 2, chunk: 1, shard: 2 },
        { name: "z", type: "space", size: 5, chunk: 2, shard: 4, unit: "micrometer", scale: 2 },
        { name: "y", type: "space", ...PLANE.y, unit: "micrometer", scale: 0.5 },
        { name: "x", type: "space", ...PLANE.x, unit: "micrometer", scale: 0.5 },
      ],
    },
    [5, 0, 0],
  );
  add("empty", { dtype: "uint32", dimensions: [{ name: "t", size: null, chunk: 4, shard: 8 }, ...plane] }, [0, 0, 0]);
  return all;
}

/** Counts with a step, so that every element knows its place, in the low bits of which there is something to encode. */
function content(dtype: DType, elements: number, from: number): Uint8Array {
  const bytes = new Uint8Array(elements * itemBytes(dtype));
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < elements; i++) {
    const value = ((from + i) * 2654435761) >>> 0;
    if (dtype === "float32") view.setFloat32(4 * i, (from + i) / 7, true);
    else if (dtype === "float64") view.setFloat64(8 * i, (from + i) / 7, true);
    else if (itemBytes(dtype) === 1) bytes[i] = (from + i) % 11 === 0 ? value >>> 24 : (from + i) & 15;
    else view.setUint16(i * itemBytes(dtype), (from + i + (value >>> 29)) & 0x3fff, true);
  }
  return bytes;
}

async function storeHash({ array, rows: [first, skipped, last] }: Case): Promise<string> {
  const sink = memorySink();
  const writer = await openWriter({ sink, array, threads: "inline", backend: "cpu" });
  const perRow = writer.geometry.rowBytes / writer.geometry.itemBytes;
  await writer.append(content(array.dtype, first * perRow, 0));
  await writer.skip(skipped);
  await writer.append(content(array.dtype, last * perRow, first * perRow));
  await writer.close();
  const hash = createHash("sha256");
  for (const [key, bytes] of [...sink.files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${key}\n${bytes.byteLength}\n`).update(bytes);
  }
  return hash.digest("hex");
}

it("stores have the bytes that they have always had", async () => {
  const hashes: Record<string, string> = {};
  for (const [name, stream] of cases()) hashes[name] = await storeHash(stream);
  if (process.env.MILLRACE_GOLDEN === "print") process.stdout.write(`${JSON.stringify(hashes, null, 2)}\n`);
  expect(hashes).toEqual(golden);
});
