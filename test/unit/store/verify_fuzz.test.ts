import { beforeAll, describe, expect, it } from "vitest";
import { openArray } from "../../../src/store/array_reader.js";
import { verifyStore } from "../../../src/store/verify.js";
import { cloneObjects, indexPlace } from "../../helpers/damage.js";
import { type FuzzStore, fuzzCorpus } from "../../helpers/fuzz_corpus.js";
import { checkCase, fuzzCase } from "../../helpers/verify_case.js";

/** scripts/fuzz_verify.sh runs many more, with seeds of its own. */
const SEED = 20_261_121;
const CASES = 1500;

let corpus: FuzzStore[];
beforeAll(async () => {
  corpus = await fuzzCorpus();
});

describe("a damaged store", () => {
  it("is whole before", async () => {
    for (const { name, objects, array, expected } of corpus) {
      const report = await verifyStore(objects);
      expect(report, name).toMatchObject({ ok: true, warnings: [], defects: [] });
      if (array === undefined) continue;
      expect(Buffer.compare((await (await openArray(objects)).readRegion()).data, expected), name).toBe(0);
    }
  });

  it("gives a report, is read or refused, and never passes where a checksum says otherwise", async () => {
    const before = process.resourceUsage().maxRSS;
    let found = 0;
    for (let number = 0; number < CASES; number++) {
      const one = fuzzCase(corpus, SEED, number);
      try {
        if (await checkCase(one)) found++;
      } catch (cause) {
        throw new Error(`case ${number}, ${one.store.name}: ${one.damage.what}`, { cause });
      }
    }
    expect(found).toBeGreaterThan(CASES / 2);
    // KiB. Whatever they claim: hundreds of cases claim gigabytes.
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(300 * 1024);
  });
});

describe("one flipped bit", () => {
  /** Every bit of one shard, one after the other. */
  async function passing(store: FuzzStore, from: number, to: number): Promise<number[]> {
    const key = store.keys[0];
    const objects = cloneObjects(store.objects);
    const shard = objects.get(key)!;
    const passed: number[] = [];
    for (let bit = 8 * from; bit < 8 * to; bit++) {
      shard[bit >> 3] ^= 1 << (bit & 7);
      const { ok } = await verifyStore(objects, { threads: 0 });
      if (ok) passed.push(bit);
      shard[bit >> 3] ^= 1 << (bit & 7);
    }
    return passed;
  }

  it("in an index with a checksum is found, always", async () => {
    for (const name of ["none", "blosc, crc32c", "zstd, index at start"]) {
      const store = corpus.find((one) => one.name === name)!;
      const bytes = store.objects.get(store.keys[0])!.length;
      const { start, chunks } = indexPlace(store.array!, bytes)!;
      expect(await passing(store, start, start + 16 * chunks + 4), name).toEqual([]);
    }
  });

  it("in a chunk that ends in crc32c is found, always", async () => {
    for (const name of ["crc32c", "blosc, crc32c"]) {
      const store = corpus.find((one) => one.name === name)!;
      const { start } = indexPlace(store.array!, store.objects.get(store.keys[0])!.length)!;
      expect(await passing(store, 0, start), name).toEqual([]);
    }
  });

  it("that changes a value behind an inner checksum is found; others say nothing about values", async () => {
    for (const name of ["zstd, checksum", "crc32c, zstd", "gzip"]) {
      const store = corpus.find((one) => one.name === name)!;
      const key = store.keys[0];
      const { start } = indexPlace(store.array!, store.objects.get(key)!.length)!;
      const passed = await passing(store, 0, start);
      for (const bit of passed) {
        const objects = cloneObjects(store.objects);
        objects.get(key)![bit >> 3] ^= 1 << (bit & 7);
        const { data } = await (await openArray(objects)).readRegion();
        expect(Buffer.compare(data, store.expected), `${name}, bit ${bit}`).toBe(0);
      }
      // Fields of headers that mean nothing to a decoder: time and system of gzip, the unused bit of zstd.
      expect(passed.length, name).toBeLessThan(8 * start * 0.2);
    }
  });

  it("in a chunk without a checksum may pass: codec none hides all of them", async () => {
    const store = corpus.find(({ name }) => name === "none")!;
    const { start } = indexPlace(store.array!, store.objects.get(store.keys[0])!.length)!;
    expect((await passing(store, 0, start)).length).toBe(8 * start);
  });
});
