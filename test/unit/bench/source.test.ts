import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Fill, simpleFill } from "../../../src/bench/fill.js";
import { openSource, openSources, prefillRing, ringRows } from "../../../src/bench/source.js";

/** Every element tells its position in the endless stream of rows, modulo 2^16. */
const rowElements = 32 * 1024;
const rowBytes = 2 * rowElements;
const counting: Fill = {
  name: "counting",
  rows(firstRow, count, out) {
    for (let i = 0; i < count * rowElements; i++) out[i] = (firstRow * rowElements + i) * 40_503;
  },
};

/** Takes pieces until `batches` batches are full; checks sizes on the way. Returns them joined. */
function takeBatches(appendBytes: number, batchBytes: number, batches: number, prefill: boolean): Uint16Array {
  const source = openSource({ fill: counting, rowBytes, epochRows: 4, appendBytes, batchBytes, prefill });
  const out = new Uint8Array(batches * batchBytes);
  for (let batch = 0, at = 0; batch < batches; batch++) {
    for (let left = batchBytes; left > 0; ) {
      const piece = source.take(left);
      expect(piece.byteLength).toBeGreaterThan(0);
      expect(piece.byteLength).toBeLessThanOrEqual(Math.min(appendBytes, left));
      out.set(piece, at);
      at += piece.byteLength;
      left -= piece.byteLength;
    }
  }
  return new Uint16Array(out.buffer);
}

describe("openSource", () => {
  it.each([true, false])("gives the rows in order, whatever the append size (prefill %s)", (prefill) => {
    const batchBytes = 8 * rowBytes;
    fc.assert(
      fc.property(fc.integer({ min: 512, max: 3 * rowBytes }), (half) => {
        const got = takeBatches(2 * half, batchBytes, 2, prefill);
        for (let i = 0; i < got.length; i += 997) expect(got[i]).toBe((i * 40_503) & 0xffff);
      }),
      { numRuns: prefill ? 5 : 20 },
    );
  });

  it("starts again at the first row when the ring is used up", () => {
    const rows = ringRows(rowBytes, 4);
    const got = takeBatches(rowBytes, rowBytes, rows + 3, true);
    expect(got[rows * rowElements + 5]).toBe(got[5]);
    expect(got[(rows + 2) * rowElements + 7]).toBe(got[2 * rowElements + 7]);
  });
});

describe("openSources", () => {
  const open = (appendBytes: number, prefill: boolean) =>
    openSources({ fill: counting, rowBytes, epochRows: 4, appendBytes, batchBytes: 4 * rowBytes, prefill }, 3);
  const firstElements = (pieces: Uint8Array) => [...new Uint16Array(pieces.slice().buffer)].slice(0, 4);
  const expected = (row: number) => [0, 1, 2, 3].map((i) => ((row * rowElements + i) * 40_503) & 0xffff);

  // With appends that do not divide a batch, pieces are cut on the way; else views are made ahead.
  it.each([rowBytes, rowBytes + 2])("begins at rows of one ring that lie far apart, %i bytes per append", (append) => {
    const rows = ringRows(rowBytes, 4);
    for (const [i, source] of open(append, true).entries()) {
      expect(firstElements(source.take(4 * rowBytes))).toEqual(expected(Math.floor((rows * i) / 3)));
    }
  });

  it("gives live streams buffers of their own", () => {
    const [first, second] = open(rowBytes, false).map((source) => source.take(rowBytes));
    expect(second).toEqual(first);
    expect(second.buffer).not.toBe(first.buffer);
  });
});

describe("ringRows", () => {
  it("holds at least 64 MiB and whole epochs", () => {
    for (const [bytes, epochRows] of [
      [512, 2048],
      [2304 * 4096 * 2, 16],
      [256 ** 3 * 3 * 2, 2],
      [10_240 * 15_360 * 2, 2],
    ]) {
      const rows = ringRows(bytes, epochRows);
      expect(rows * bytes).toBeGreaterThanOrEqual(64 * 2 ** 20);
      expect(rows % epochRows).toBe(0);
    }
  });

  it("stays bounded where an epoch is huge", () => {
    expect(ringRows(2 ** 30, 64)).toBe(1);
    expect(ringRows(100 * 2 ** 20, 64)).toBe(1);
  });
});

describe("simpleFill", () => {
  it("xor: every element is the XOR of its coordinates, rows modulo 16", () => {
    const fill = simpleFill("xor", [5, 7]);
    const out = new Uint16Array(20 * 35);
    fill.rows(10, 20, out);
    for (let row = 0; row < 20; row++) {
      for (let y = 0; y < 5; y++) {
        for (let x = 0; x < 7; x++) expect(out[row * 35 + y * 7 + x]).toBe(((10 + row) % 16) ^ y ^ x);
      }
    }
  });

  it("rand: 12 bits, the same for a row however rows are asked for, different between rows", () => {
    const fill = simpleFill("rand", [64, 64]);
    const all = new Uint16Array(3 * 4096);
    fill.rows(0, 3, all);
    const last = new Uint16Array(4096);
    fill.rows(2, 1, last);
    expect(Math.max(...all)).toBeLessThan(4096);
    expect(last).toEqual(all.slice(2 * 4096));
    expect(all.slice(0, 4096)).not.toEqual(all.slice(4096, 8192));
    const bits = all.reduce((or, value) => or | value, 0);
    expect(bits).toBe(0xfff);
  });
});

describe("prefillRing", () => {
  it("is whole rows from row 0", () => {
    const ring = new Uint16Array(prefillRing({ fill: counting, rowBytes, epochRows: 4 }).buffer);
    expect(ring.length).toBe(ringRows(rowBytes, 4) * rowElements);
    expect(ring[123_457]).toBe((123_457 * 40_503) & 0xffff);
  });
});
