import { crc32c } from "../../src/codec/crc32c.js";
import type { CraftedArray } from "./craft_store.js";

/** Ways to damage a store, each drawn from a seed. */

/** xoshiro128** (Blackman and Vigna): the same numbers from the same seed, everywhere. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number, stream = 0) {
    const scramble = (x: number) => Math.imul(x ^ (x >>> 16), 0x7feb352d) ^ Math.imul(x, 0x846ca68b);
    this.#a = scramble(seed + 1) | 1;
    this.#b = scramble(stream + 0x9e3779b9);
    this.#c = scramble(seed ^ 0x5bd1e995);
    this.#d = scramble(stream * 31 + 7);
    for (let i = 0; i < 12; i++) this.word();
  }

  /** 32 bits. */
  word(): number {
    const rotated = Math.imul(this.#b, 5);
    const result = Math.imul((rotated << 7) | (rotated >>> 25), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** 0 … n − 1. */
  below(n: number): number {
    return this.word() % n;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }

  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
}

export type Objects = Map<string, Uint8Array>;

/**
 * What was done, for the report of a failure; and whether only bytes of shards were changed, nothing moved as a whole.
 */
export interface Damage {
  readonly what: string;
  readonly bytesOnly: boolean;
}

export function cloneObjects(objects: ReadonlyMap<string, Uint8Array>): Objects {
  return new Map([...objects].map(([key, bytes]) => [key, bytes.slice()]));
}

type Damager = (objects: Objects, random: Random, array: CraftedArray | undefined) => Damage | undefined;

const isMetadata = (key: string): boolean => key.endsWith("zarr.json");
const shardsOf = (objects: Objects): string[] => [...objects.keys()].filter((key) => !isMetadata(key));
const metadataOf = (objects: Objects): string[] => [...objects.keys()].filter(isMetadata);

const flipBits: Damager = (objects, random) => {
  const key = random.pick([...objects.keys()]);
  const bytes = objects.get(key)!;
  if (bytes.length === 0) return undefined;
  const flips = Array.from({ length: 1 + (random.chance(2) ? 0 : random.below(8)) }, () =>
    random.below(8 * bytes.length),
  );
  for (const bit of flips) bytes[bit >> 3] ^= 1 << (bit & 7);
  return { what: `flip bits ${flips.join(", ")} of ${key}`, bytesOnly: !isMetadata(key) };
};

const truncate: Damager = (objects, random) => {
  const key = random.pick([...objects.keys()]);
  const bytes = objects.get(key)!;
  const length = random.below(bytes.length + 1);
  objects.set(key, bytes.slice(0, length));
  return { what: `cut ${key} from ${bytes.length} to ${length} bytes`, bytesOnly: !isMetadata(key) };
};

/** Replaces, inserts or removes a run of bytes; what comes in is noise, zeros or ones. */
const splice: Damager = (objects, random) => {
  const key = random.pick([...objects.keys()]);
  const bytes = objects.get(key)!;
  const at = random.below(bytes.length + 1);
  const out = random.chance(3) ? 0 : random.below(Math.min(64, bytes.length - at) + 1);
  const fill = random.below(3);
  const inner = Uint8Array.from({ length: random.chance(3) ? out : random.below(64) }, () =>
    fill === 0 ? random.below(256) : fill === 1 ? 0 : 255,
  );
  objects.set(key, new Uint8Array(Buffer.concat([bytes.subarray(0, at), inner, bytes.subarray(at + out)])));
  return { what: `replace ${out} bytes from ${at} of ${key} by ${inner.length}`, bytesOnly: !isMetadata(key) };
};

const copyBetween: Damager = (objects, random) => {
  const keys = [...objects.keys()];
  const from = objects.get(random.pick(keys))!;
  const key = random.pick(keys);
  const to = objects.get(key)!;
  if (from.length === 0 || to.length === 0) return undefined;
  const start = random.below(from.length);
  const at = random.below(to.length);
  const length = 1 + random.below(Math.min(from.length - start, to.length - at));
  to.set(from.slice(start, start + length), at);
  return { what: `copy ${length} bytes of another object to ${at} of ${key}`, bytesOnly: false };
};

const swapObjects: Damager = (objects, random) => {
  const keys = random.chance(4) ? [...objects.keys()] : shardsOf(objects);
  if (keys.length < 2) return undefined;
  const [a, b] = [random.pick(keys), random.pick(keys)];
  const bytes = objects.get(a)!;
  objects.set(a, objects.get(b)!);
  objects.set(b, bytes);
  return { what: `swap ${a} and ${b}`, bytesOnly: false };
};

const removeObject: Damager = (objects, random) => {
  const key = random.pick([...objects.keys()]);
  objects.delete(key);
  return { what: `remove ${key}`, bytesOnly: false };
};

const STRAYS = [
  "c/0/0/0.partial",
  "c/9",
  "c/00/0/0",
  "c/9007199254740993/0/0",
  "c/-1/0/0",
  "zarr.json.tmp",
  ".millrace/writer.json",
  ".millrace/journal.0",
  "c/0/0/0/zarr.json",
  "x/zarr.json",
  "a//b",
  "c/0/0/0/0",
  "__proto__",
  "c/9/9/9",
  "c/4294967295",
  "..",
] as const;

const addObject: Damager = (objects, random) => {
  const key = random.pick(STRAYS);
  const content = random.chance(2) ? random.pick([...objects.values()]).slice() : Uint8Array.from([123, 125]);
  objects.set(key, content);
  return { what: `add ${key}`, bytesOnly: false };
};

/** Words of an index entry that code likes to trip over. */
const WORDS = [
  0n,
  1n,
  2n,
  15n,
  16n,
  255n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 2n,
  2n ** 64n - 1n,
] as const;

/** Changes entries of an index and makes its checksum good again. */
const hostileIndex: Damager = (objects, random, array) => {
  if (array === undefined) return undefined;
  const keys = shardsOf(objects);
  if (keys.length === 0) return undefined;
  const key = random.pick(keys);
  const bytes = objects.get(key)!;
  const place = indexPlace(array, bytes.length);
  if (place === undefined) return undefined;
  const { start, chunks } = place;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const edits: string[] = [];
  for (let i = 0; i <= random.below(4); i++) {
    const word = random.below(2 * chunks);
    const near = BigInt(random.below(2 * bytes.length + 2));
    const value = random.chance(3)
      ? random.pick(WORDS)
      : random.chance(2)
        ? near
        : view.getBigUint64(start + 8 * random.below(2 * chunks), true);
    view.setBigUint64(start + 8 * word, value, true);
    edits.push(`word ${word} = ${value}`);
  }
  if (array.index?.checksum !== false) {
    const end = start + 16 * chunks;
    view.setUint32(end, crc32c(bytes.subarray(start, end)), true);
  }
  return { what: `index of ${key}: ${edits.join(", ")}`, bytesOnly: false };
};

/** Where the entries of a shard's index begin. */
export function indexPlace(array: CraftedArray, objectBytes: number): { start: number; chunks: number } | undefined {
  const chunks = array.shard.reduce((n, size, d) => n * (size / array.chunk[d]), 1);
  const bytes = 16 * chunks + (array.index?.checksum === false ? 0 : 4);
  if (objectBytes < bytes) return undefined;
  return { start: array.index?.location === "start" ? 0 : objectBytes - bytes, chunks };
}

/** Header words that claim: nothing, a little off, gigabytes. */
const CLAIMS = [
  0, 1, 2, 3, 16, 127, 128, 129, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
] as const;

/** Writes over the first bytes of a chunk: where containers and frames say how large they are. */
const hostileHeader: Damager = (objects, random, array) => {
  if (array === undefined) return undefined;
  const keys = shardsOf(objects);
  if (keys.length === 0) return undefined;
  const key = random.pick(keys);
  const bytes = objects.get(key)!;
  const place = indexPlace(array, bytes.length);
  if (place === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = view.getBigUint64(place.start + 16 * random.below(place.chunks), true);
  if (at + 24n > BigInt(bytes.length)) return undefined;
  const offset = Number(at);
  if (random.chance(3)) {
    const field = random.below(16);
    bytes[offset + field] = random.chance(2) ? random.below(256) : bytes[offset + field] ^ (1 << random.below(8));
    return { what: `byte ${field} of a chunk's header at ${offset} of ${key}`, bytesOnly: true };
  }
  const field = random.below(20);
  const value = random.pick(CLAIMS);
  view.setUint32(offset + field, value, true);
  return { what: `word ${value} at ${field} of a chunk's header at ${offset} of ${key}`, bytesOnly: true };
};

type MutableJson = null | boolean | number | string | MutableJson[] | { [key: string]: MutableJson };

const VALUES: readonly MutableJson[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  2,
  1.5,
  64,
  65536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e308,
  "",
  "0",
  "zstd",
  "blosc",
  "bytes",
  "crc32c",
  "gzip",
  "sharding_indexed",
  "uint8",
  "float64",
  "big",
  "little",
  "start",
  "end",
  "NaN",
  "0x7fc00000",
  "../0",
  "__proto__",
  [],
  {},
  [0],
  [1],
  [1, 1, 1],
  [2 ** 20, 2 ** 20, 2 ** 20],
  [0, 0, 0],
];

/** Changes the structure of a zarr.json: values for others, members gone, renamed, doubled, wrapped, nested. */
const mutateJson: Damager = (objects, random) => {
  const keys = metadataOf(objects);
  if (keys.length === 0) return undefined;
  const key = random.pick(keys);
  let document: MutableJson;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(objects.get(key)!)) as MutableJson;
  } catch {
    // Damaged before.
    return undefined;
  }
  const edits = Array.from({ length: 1 + random.below(3) }, () => {
    // Edits that copy multiply: a document of megabytes tests nothing else, and is slow.
    const edit = mutateOnce(document, random, JSON.stringify(document).length < DOCUMENT_CHARS_MAX);
    document = edit.value;
    return edit.what;
  });
  objects.set(key, new TextEncoder().encode(JSON.stringify(document)));
  return { what: `${key}: ${edits.join("; ")}`, bytesOnly: false };
};

const DOCUMENT_CHARS_MAX = 20_000;

function mutateOnce(root: MutableJson, random: Random, mayGrow: boolean): { value: MutableJson; what: string } {
  // Down to some member, less deep ones as likely as deep ones.
  const path: { holder: MutableJson[] | { [key: string]: MutableJson }; name: string | number }[] = [];
  let at = root;
  while (typeof at === "object" && at !== null) {
    const names: (string | number)[] = Array.isArray(at) ? [...at.keys()] : Object.keys(at);
    if (names.length === 0 || (path.length > 0 && random.chance(3))) break;
    const name = random.pick(names);
    path.push({ holder: at, name });
    at = (at as { [key: string]: MutableJson })[name];
  }
  const where = path.map(({ name }) => name).join(".");
  const place = path.at(-1);
  if (place === undefined) return { value: random.pick(VALUES), what: "another document" };
  const holder = place.holder as { [key: string]: MutableJson };
  const { name } = place;
  switch (random.below(7)) {
    case 0:
      if (Array.isArray(place.holder)) place.holder.splice(name as number, 1);
      else delete holder[name];
      return { value: root, what: `remove ${where}` };
    case 1:
      if (Array.isArray(place.holder)) place.holder.splice(name as number, 0, structuredClone(at));
      else holder[`${name}_`] = structuredClone(at);
      return { value: root, what: `double ${where}` };
    case 2:
      holder[name] = random.chance(2) ? [at] : { name: at };
      return { value: root, what: `wrap ${where}` };
    case 3: {
      let deep: MutableJson = at;
      for (let i = random.below(400); i > 0; i--) deep = [deep];
      holder[name] = deep;
      return { value: root, what: `nest ${where}` };
    }
    case 4:
      if (typeof at === "number") {
        holder[name] = random.pick([at + 1, at - 1, -at, at * 2 ** random.below(50), at / 2]);
        return { value: root, what: `${where} = ${holder[name]}` };
      }
      holder[name] = Array.from({ length: random.below(mayGrow ? 300 : 2) }, () => structuredClone(at));
      return { value: root, what: `many of ${where}` };
    default:
      holder[name] = structuredClone(random.pick(VALUES));
      return { value: root, what: `${where} = ${JSON.stringify(holder[name])}` };
  }
}

export const DAMAGERS: readonly Damager[] = [
  flipBits,
  flipBits,
  truncate,
  splice,
  splice,
  copyBetween,
  swapObjects,
  removeObject,
  addObject,
  hostileIndex,
  hostileIndex,
  hostileHeader,
  hostileHeader,
  hostileHeader,
  mutateJson,
  mutateJson,
  mutateJson,
];

/** One to three damages of a store. */
export function damage(objects: Objects, random: Random, array: CraftedArray | undefined): Damage {
  const done: Damage[] = [];
  const wanted = 1 + (random.chance(2) ? 0 : random.below(3));
  for (let i = 0; i < 8 && done.length < wanted && objects.size > 0; i++) {
    const one = random.pick(DAMAGERS)(objects, random, array);
    if (one !== undefined) done.push(one);
  }
  return { what: done.map(({ what }) => what).join("; "), bytesOnly: done.every(({ bytesOnly }) => bytesOnly) };
}
