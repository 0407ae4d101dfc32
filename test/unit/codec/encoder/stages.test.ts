import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BitWriter } from "../../../../src/codec/encoder/bit_writer.js";
import { analyzeBlock } from "../../../../src/codec/encoder/block.js";
import { describeTable, fseStates, log2In256, probabilitiesOf } from "../../../../src/codec/encoder/fse.js";
import { CODE_BITS_MAX, codeLengths, codeValues, codeWeights } from "../../../../src/codec/encoder/huffman_code.js";
import { describeTree } from "../../../../src/codec/encoder/huffman_tree.js";
import { literalsSection } from "../../../../src/codec/encoder/literals_section.js";
import { equalRuns, literalsOf, takenRuns } from "../../../../src/codec/encoder/runs.js";
import { framePeriod, sampledGroups } from "../../../../src/codec/encoder/sample.js";
import { sequencesSection } from "../../../../src/codec/encoder/sequences_section.js";
import { CHUNK_KINDS, makeChunk } from "../../../helpers/encoder_corpus.js";

const histogram = (entries: readonly (readonly [number, number])[]): Uint32Array => {
  const counts = new Uint32Array(256);
  for (const [symbol, count] of entries) counts[symbol] = count;
  return counts;
};
const costOf = (counts: Uint32Array, lengths: Uint8Array): number =>
  counts.reduce((sum, count, s) => sum + count * lengths[s], 0);

/** Cost of an optimal code without a limit, by merging the two smallest over and over. */
function huffmanCost(counts: Uint32Array): number {
  const weights = [...counts].filter((count) => count > 0);
  let cost = 0;
  while (weights.length > 1) {
    weights.sort((a, b) => b - a);
    const sum = (weights.pop() as number) + (weights.pop() as number);
    weights.push(sum);
    cost += sum;
  }
  return cost;
}

describe("sample and period", () => {
  it("takes one group of 64 bytes in eight, at changing places", () => {
    expect([...sampledGroups(63)]).toEqual([]);
    expect([...sampledGroups(64)]).toEqual([0]);
    expect([...sampledGroups(4096)].map((at) => (at / 64) % 8)).toEqual([0, 5, 2, 7, 4, 1, 6, 3]);
  });
  it.each([1, 2, 3, 4])("finds a period of %i elements", (period) => {
    for (const itemBytes of [1, 2, 4]) {
      const content = Uint8Array.from({ length: 9000 * itemBytes }, (_, i) => (Math.floor(i / itemBytes) % period) * 9);
      expect(framePeriod(content, itemBytes)).toBe(period);
    }
  });
  it("stays at 1 where another distance is hardly better", () => {
    expect(framePeriod(makeChunk("noise", 2, 40_000), 2)).toBe(1);
    expect(framePeriod(makeChunk("camera", 2, 40_000), 2)).toBe(1);
    expect(framePeriod(new Uint8Array(2), 2)).toBe(1);
  });
});

describe("runs", () => {
  it("are maximal, and three long at least", () => {
    const block = Uint8Array.of(5, 5, 5, 7, 7, 7, 7, 1, 2, 1, 2, 1, 2);
    expect(equalRuns(block, 1)).toEqual({ runs: [{ start: 4, length: 3 }], equalCount: 5 });
    expect(equalRuns(block, 2).runs).toEqual([{ start: 9, length: 4 }]);
  });
  it("are left alone when all together save less than 96 bits", () => {
    const costs = new Uint8Array(256).fill(3);
    const block = new Uint8Array(100);
    expect(takenRuns(block, [{ start: 1, length: 79 }], costs)).toEqual([]);
    expect(takenRuns(block, [{ start: 1, length: 80 }], costs)).toEqual([]);
    expect(takenRuns(block, [{ start: 1, length: 88 }], costs)).toHaveLength(1);
  });
  it("and the literals make up the block", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 300 }), (bytes) => {
        const block = Uint8Array.from(bytes);
        const { runs } = equalRuns(block, 1);
        const literals = literalsOf(block, runs);
        const rebuilt: number[] = [];
        let used = 0;
        for (const { start, length } of [...runs, { start: block.length, length: 0 }]) {
          while (rebuilt.length < start) rebuilt.push(literals[used++]);
          for (let k = 0; k < length; k++) rebuilt.push(rebuilt[rebuilt.length - 1]);
        }
        expect(rebuilt).toEqual(bytes);
      }),
    );
  });
});

describe("code lengths", () => {
  const counts = fc
    .uniqueArray(
      fc.tuple(
        fc.integer({ min: 0, max: 255 }),
        fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 30_000 })),
      ),
      {
        minLength: 2,
        maxLength: 256,
        selector: ([symbol]) => symbol,
      },
    )
    .map(histogram);

  it("are complete, limited, and optimal where the limit does not bite", () => {
    fc.assert(
      fc.property(counts, (h) => {
        const lengths = codeLengths(h);
        let kraft = 0;
        for (const length of lengths) if (length > 0) kraft += 2 ** (CODE_BITS_MAX - length);
        expect(kraft).toBe(2 ** CODE_BITS_MAX);
        expect([...lengths].map((length) => length > 0)).toEqual([...h].map((count) => count > 0));
        const cost = costOf(h, lengths);
        expect(cost).toBeGreaterThanOrEqual(huffmanCost(h));
        if (lengths.every((length) => length < CODE_BITS_MAX)) expect(cost).toBe(huffmanCost(h));
      }),
    );
  });
  it("are cut at 11 bits for Fibonacci counts", () => {
    const entries: [number, number][] = [];
    for (let [a, b, s] = [1, 1, 0]; s < 20; s++) {
      entries.push([s, a]);
      [a, b] = [b, a + b];
    }
    const counts = histogram(entries);
    const lengths = codeLengths(counts);
    expect(Math.max(...lengths)).toBe(CODE_BITS_MAX);
    expect(costOf(counts, lengths)).toBeGreaterThan(huffmanCost(counts));
  });
  it("break ties by the symbol", () => {
    expect([
      ...codeLengths(
        histogram([
          [3, 1],
          [4, 1],
          [5, 1],
        ]),
      ).slice(3, 6),
    ]).toEqual([2, 2, 1]);
  });
  it("give values that no other value begins with", () => {
    fc.assert(
      fc.property(counts, (h) => {
        const lengths = codeLengths(h);
        const values = codeValues(lengths);
        const codes = [...lengths.keys()]
          .filter((s) => lengths[s] > 0)
          .map((s) => values[s].toString(2).padStart(lengths[s], "0"))
          .sort();
        for (let i = 1; i < codes.length; i++) expect(codes[i].startsWith(codes[i - 1])).toBe(false);
      }),
      { numRuns: 40 },
    );
  });
});

describe("tree description", () => {
  const treeOf = (entries: readonly (readonly [number, number])[]) =>
    describeTree(codeWeights(codeLengths(histogram(entries))));
  it("is direct for few symbols", () => {
    expect([
      ...(treeOf([
        [0, 5],
        [1, 1],
        [2, 1],
      ]) as Uint8Array),
    ]).toEqual([129, 0x21]);
  });
  it("switches to FSE behind symbol 128", () => {
    const flat = (count: number) => treeOf(Array.from({ length: count }, (_, s) => [s, 1 + (s % 3)] as const));
    for (const count of [128, 129]) expect((flat(count) as Uint8Array).length).toBeLessThanOrEqual(65);
    expect((flat(130) as Uint8Array)[0]).toBeLessThan(128);
    expect(
      treeOf([
        [200, 1],
        [201, 1],
      ])?.[0],
    ).toBeLessThan(128);
  });
  it("does not exist for 256 codes of one length", () => {
    expect(treeOf(Array.from({ length: 256 }, (_, s) => [s, 1] as const))).toBeUndefined();
  });
});

describe("FSE", () => {
  it("has a logarithm of integers that is the logarithm, cut", () => {
    for (let p = 1; p <= 512; p++) expect(Math.abs(log2In256(p) - 256 * Math.log2(p))).toBeLessThan(1.01);
    expect([1, 2, 3, 4, 512].map(log2In256)).toEqual([0, 256, 405, 512, 2304]);
  });
  it("shares all cells out, and gives each symbol that occurs at least one", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 4000 })), { minLength: 2, maxLength: 36 }),
        fc.integer({ min: 6, max: 9 }),
        (given, log) => {
          const counts = [...given, 1];
          const probabilities = probabilitiesOf(counts, log);
          expect(probabilities.reduce((a, b) => a + b)).toBe(2 ** log);
          expect(counts.map((_, s) => probabilities[s] > 0)).toEqual(counts.map((count) => count > 0));
        },
      ),
    );
  });
  it("rounds by the largest remainder, ties to the smaller symbol", () => {
    expect(probabilitiesOf([1, 1, 1], 5)).toEqual([11, 11, 10]);
    expect(probabilitiesOf([1000, 1, 1], 5)).toEqual([30, 1, 1]);
  });
  it("spreads the predefined literals lengths as RFC 8878 appendix A lists them", () => {
    const defaults = [
      4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
    ];
    const states = fseStates(defaults, 6);
    expect(states.slice(0, 6)).toEqual([
      { symbol: 0, bits: 4, baseline: 0 },
      { symbol: 0, bits: 4, baseline: 16 },
      { symbol: 1, bits: 5, baseline: 32 },
      { symbol: 3, bits: 5, baseline: 0 },
      { symbol: 4, bits: 5, baseline: 0 },
      { symbol: 6, bits: 5, baseline: 0 },
    ]);
    expect(states[63]).toEqual({ symbol: 32, bits: 6, baseline: 0 });
  });
  it("describes a table in whole bytes", () => {
    // 0000, then 17 in five bits, then 17 + 14 in five: what remains is one value of 17, and 14 codes are short.
    expect([...describeTable([16, 16], 5)]).toEqual([0x10, 0x3f]);
  });
  it("writes bits from the lowest up", () => {
    const out = new BitWriter();
    out.put(1, 1);
    out.put(0b10, 2);
    out.put(0x1ff, 9);
    expect([...out.finish()]).toEqual([0xfd, 0x1f]);
  });
});

describe("sections and blocks", () => {
  it.each([
    [1, "raw", 2],
    [31, "raw", 32],
    [32, "raw", 34],
    [4096, "raw", 4099],
  ])("%i literals without gain are %s", (count, form, bytes) => {
    const section = literalsSection(Uint8Array.from({ length: count }, (_, i) => i));
    expect([section.form, section.bytes.length]).toEqual([form, bytes]);
  });
  it("uses one stream below 256 literals and four from there on", () => {
    const streams = (count: number) => literalsSection(makeChunk("geometric", 1, count)).streams?.length;
    expect([streams(255), streams(256)]).toEqual([1, 4]);
  });
  it("writes the number of sequences in one byte up to 127", () => {
    const runs = (count: number) => Array.from({ length: count }, (_, i) => ({ start: 1 + 9 * i, length: 5 }));
    expect([...sequencesSection([], 1).bytes]).toEqual([0]);
    expect([...sequencesSection(runs(127), 1).bytes.slice(0, 1)]).toEqual([127]);
    expect([...sequencesSection(runs(128), 1).bytes.slice(0, 2)]).toEqual([128, 128]);
    expect(sequencesSection(runs(200), 1).matchLength?.mode).toBe("rle");
  });
  it("takes own FSE tables where they pay, and never for few sequences", () => {
    const { sequences, type } = analyzeBlock(makeChunk("runsShort", 1, 32_768), 1);
    expect(type).toBe("compressed");
    expect(sequences?.matchLength?.mode).toBe("fse");
    const few = analyzeBlock(makeChunk("runsLong", 1, 32_768), 1);
    expect(few.sequences?.literalsLength?.mode).not.toBe("fse");
  });
  it("stores noise untried, and constants as one byte", () => {
    const noise = analyzeBlock(makeChunk("noise", 1, 32_768), 1);
    expect([noise.type, noise.histogram]).toEqual(["raw", undefined]);
    expect(analyzeBlock(new Uint8Array(500).fill(3), 1)).toMatchObject({ type: "rle", payload: Uint8Array.of(3) });
    expect(analyzeBlock(Uint8Array.of(9), 1).type).toBe("raw");
    expect(analyzeBlock(Uint8Array.of(9, 9), 1).type).toBe("rle");
  });
  it("never lets a block grow", () => {
    for (const kind of Object.keys(CHUNK_KINDS)) {
      for (const bytes of [1, 2, 40, 1000, 32_768]) {
        const block = makeChunk(kind, 1, bytes);
        for (const period of [1, 3]) expect(analyzeBlock(block, period).payload.length).toBeLessThanOrEqual(bytes);
      }
    }
  });
});
