import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import * as zarr from "zarrita";
import { increment } from "../../src/geometry/mixed_radix.js";

export interface ZarritaRegion {
  /** Little-endian, C order. */
  readonly data: Uint8Array;
  readonly shape: readonly number[];
  readonly dimensionNames: readonly (string | null)[] | undefined;
  readonly attributes: Readonly<Record<string, unknown>>;
}

type Range = { readonly offset: number; readonly length: number } | { readonly suffixLength: number };

/** Objects of a store, in a Map or in a folder, as zarrita asks for them: keys begin with a slash. */
function zarritaStore(source: ReadonlyMap<string, Uint8Array> | string) {
  const get = async (key: string): Promise<Uint8Array | undefined> => {
    const name = key.slice(1);
    if (typeof source !== "string") return source.get(name);
    const file = join(source, name);
    const stats = await stat(file).catch(() => undefined);
    return stats?.isFile() ? new Uint8Array(await readFile(file)) : undefined;
  };
  return {
    get,
    async getRange(key: string, range: Range): Promise<Uint8Array | undefined> {
      const bytes = await get(key);
      if (bytes === undefined) return undefined;
      return "suffixLength" in range
        ? bytes.subarray(Math.max(0, bytes.length - range.suffixLength))
        : bytes.subarray(range.offset, range.offset + range.length);
    },
  };
}

/**
 * Why zarrita 0.7 cannot give the exact values of an array with this zarr.json, or undefined when it can. These are
 * limits of the reader, measured; a test that meets one must say so and not pass silently.
 */
export function zarritaLimit(zarrJson: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(zarrJson);
  const { data_type, fill_value, codecs } = JSON.parse(text);
  if (data_type === "float16" && !("Float16Array" in globalThis)) return "float16 needs Float16Array (Node 24)";
  if (typeof fill_value === "string" && fill_value.startsWith("0x"))
    return "a bit pattern as fill value stays a string";
  // int64 arrays hold bigints, and a fill value beyond 2^53 has gone through a number.
  if (/int64$/.test(data_type) && Math.abs(Number(fill_value)) > Number.MAX_SAFE_INTEGER) {
    return "a fill value beyond 2^53 loses digits";
  }
  if (codecs[0]?.configuration?.index_location === "start") return 'index_location "start" is not read';
  return undefined;
}

/**
 * Reads a whole array with zarrita. It may return data in another order (transposed chunks): `result.stride` says
 * which, and is honoured. Values are moved as integers of their size, so that NaN payloads stay what they are.
 */
export async function readAllWithZarrita(
  source: ReadonlyMap<string, Uint8Array> | string,
  path = "",
): Promise<ZarritaRegion> {
  const root = zarr.root(zarritaStore(source) as unknown as zarr.Readable);
  const array = await zarr.open.v3(path === "" ? root : root.resolve(path), { kind: "array" });
  const { data, shape, stride } = (await zarr.get(array)) as unknown as {
    data: ArrayBufferView & { readonly length: number; readonly BYTES_PER_ELEMENT: number };
    shape: number[];
    stride: number[];
  };
  const dimensionNames = (array as { dimensionNames?: (string | null)[] }).dimensionNames;
  const size = data.BYTES_PER_ELEMENT;
  const words = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }[size];
  if (words === undefined) throw new Error(`zarrita returned elements of ${size} bytes`);
  const from = new words(data.buffer as ArrayBuffer, data.byteOffset, data.length);
  const count = shape.reduce((n, s) => n * s, 1);
  const to = new words(count);
  if (count > 0) {
    const at = shape.map(() => 0);
    let i = 0;
    do {
      to[i++] = from[at.reduce((sum, c, d) => sum + c * stride[d], 0)];
    } while (increment(at, shape));
  }
  return { data: new Uint8Array(to.buffer), shape, dimensionNames, attributes: array.attrs };
}
