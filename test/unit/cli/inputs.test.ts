import { once } from "node:events";
import { createReadStream, openSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDims } from "../../../src/cli/dims.js";
import { type InputEnd, type InputOptions, readInputs } from "../../../src/cli/inputs.js";
import { buildTiff } from "../tiff/tiff_builder.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-inputs-"));
});
afterAll(() => rm(folder, { recursive: true }));

function options(inputs: readonly string[], extra: Partial<InputOptions> = {}): InputOptions {
  return {
    inputs,
    format: "auto",
    dtype: "uint16",
    itemBytes: 2,
    dimensions: parseDims("t:0:1,y:3:1,x:5:1"),
    appendBytes: 7,
    stdin: Readable.from([]),
    signal: new AbortController().signal,
    ...extra,
  };
}

async function collect(options: InputOptions): Promise<{ bytes: number[]; sizes: number[]; end: InputEnd }> {
  const bytes: number[] = [];
  const sizes: number[] = [];
  const pieces = readInputs(options);
  for (;;) {
    const next = await pieces.next();
    if (next.done) return { bytes, sizes, end: next.value };
    bytes.push(...next.value);
    sizes.push(next.value.byteLength);
    // A view is valid until the next one is asked for: spoil it, as a reused buffer would.
    next.value.fill(0xee);
  }
}

const count = (n: number, from = 0) => Uint8Array.from({ length: n }, (_, i) => (from + i) & 0xff);

async function file(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

describe("readInputs", () => {
  it("continues one raw file in the next, also in the middle of an element", async () => {
    const a = await file("a.raw", count(11));
    const b = await file("b.raw", count(10, 11));
    const { bytes, sizes, end } = await collect(options([a, b]));
    expect(bytes).toEqual([...count(20)]);
    expect(sizes.every((size) => size % 2 === 0 && size <= 8)).toBe(true);
    expect(end).toEqual({ carriedBytes: 1 });
  });

  it("gives what has come while the producer is silent, and keeps the split element", async () => {
    const stdin = new PassThrough();
    const pieces = readInputs(options(["-"], { stdin, appendBytes: 1000 }));
    let at = 0;
    for (const [written, whole] of [
      [6, 6],
      [3, 2],
      [1, 2],
      [2, 2],
    ]) {
      stdin.write(count(written, at));
      at += written;
      const { value } = await pieces.next();
      expect([...(value as Uint8Array)]).toEqual([...count(whole, at - (at % 2) - whole)]);
    }
    stdin.end(count(1, at));
    expect(await pieces.next()).toEqual({ done: true, value: { carriedBytes: 1 } });
  });

  it("fills pieces of a file that stdin is", async () => {
    const path = await file("stdin.raw", count(400));
    for (const fd of [undefined, openSync(path, "r")]) {
      // Stdin has its descriptor from the start, a stream of its own once it has opened the file.
      const stdin = createReadStream(path, { highWaterMark: 10, ...(fd === undefined ? {} : { fd }) });
      if (fd === undefined) await once(stdin, "open");
      const { bytes, sizes } = await collect(options(["-"], { stdin, appendBytes: 100 }));
      expect(sizes).toEqual([100, 100, 100, 100]);
      expect(bytes).toEqual([...count(400)]);
    }
  });

  it("gathers up to the size of a piece while more has come already", async () => {
    const chunks = Array.from({ length: 40 }, (_, i) => Buffer.from(count(10, 10 * i)));
    const { bytes, sizes } = await collect(options(["-"], { stdin: Readable.from(chunks), appendBytes: 100 }));
    expect(sizes).toEqual([100, 100, 100, 100]);
    expect(bytes).toEqual([...count(400)]);
  });

  it("gives the same bytes for every piece size and every way stdin arrives", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 60 }),
        fc.constantFrom(1, 2, 4, 8),
        async (chunks, appendBytes, itemBytes) => {
          const total = chunks.reduce((a, b) => a + b, 0);
          let at = 0;
          const stdin = Readable.from(
            chunks.map((size) => {
              at += size;
              return Buffer.from(count(size, at - size));
            }),
          );
          const { bytes, sizes, end } = await collect(options(["-"], { stdin, appendBytes, itemBytes }));
          expect(bytes).toEqual([...count(total - (total % itemBytes))]);
          expect(end.carriedBytes).toBe(total % itemBytes);
          expect(sizes.every((size) => size < appendBytes + itemBytes)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("reads TIFF files between raw ones, a frame a piece", async () => {
    const samples = Array.from({ length: 15 }, (_, i) => i * 257);
    const tif = await file("c.TIFF", buildTiff([{ width: 5, height: 3, samples }], false));
    const raw = await file("d.raw", count(4));
    const { bytes, sizes } = await collect(options([raw, tif, raw]));
    expect(sizes).toEqual([4, 30, 4]);
    expect(bytes.slice(4, 34)).toEqual(samples.flatMap((v) => [v & 0xff, v >> 8]));
    const odd = await file("odd.raw", count(3));
    await expect(collect(options([odd, tif]))).rejects.toThrow(/ended 1 byte into a uint16/);
  });

  it("goes by the content: a TIFF under any name, raw bytes under none but a TIFF's", async () => {
    const samples = Array.from({ length: 15 }, (_, i) => i * 257);
    const frame = samples.flatMap((v) => [v & 0xff, v >> 8]);
    for (const [name, big] of [
      ["c.raw", false],
      ["bare", false],
      ["c.btf", true],
      ["c.npy.bin", true],
    ] as const) {
      const tif = await file(name, buildTiff([{ width: 5, height: 3, samples }], true, big));
      expect((await collect(options([tif]))).bytes).toEqual(frame);
      expect((await collect(options([tif], { format: "tiff" }))).bytes).toEqual(frame);
    }
    for (const name of ["e.tif", "e.TIFF", "e.btf", "e.tf8", "e.npy"]) {
      const wrong = await file(name, count(30));
      await expect(collect(options([wrong]))).rejects.toMatchObject({
        code: "INVALID_DATA",
        message: expect.stringMatching(/first bytes are nothing known\. If these are raw elements: --input-format raw/),
      });
      expect((await collect(options([wrong], { format: "raw" }))).bytes).toEqual([...count(30)]);
    }
    const tif = await file("f.tif", buildTiff([{ width: 5, height: 3, samples }], true));
    const whole = await readFile(tif);
    expect((await collect(options([tif], { format: "raw" }))).bytes).toEqual([...whole]);
    await expect(collect(options([await file("g.raw", count(30))], { format: "tiff" }))).rejects.toThrow(
      /is nothing known; --input-format says tiff/,
    );
  });

  it("reads NumPy files between others, in pieces of whole elements, of both byte orders", async () => {
    for (const [descr, swap] of [
      ["<u2", false],
      [">u2", true],
    ] as const) {
      const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (2, 3, 5), }\n`;
      const data = count(60);
      const npy = await file(
        "a.dat",
        Buffer.concat([
          Buffer.from("\x93NUMPY\x01\0", "latin1"),
          Buffer.from([header.length, 0]),
          Buffer.from(header),
          data,
          count(9),
        ]),
      );
      const raw = await file("b.raw", count(4));
      const { bytes, sizes } = await collect(options([npy, raw]));
      expect(bytes).toEqual([...(swap ? Buffer.from(data).swap16() : data), ...count(4)]);
      expect(sizes.every((size) => size % 2 === 0 && size <= 8)).toBe(true);
      await expect(collect(options([npy], { dimensions: parseDims("t:0:1,y:5:1,x:3:1") }))).rejects.toThrow(
        /it is 2 × 3 × 5/,
      );
    }
  });

  it("refuses a TIFF and a known file on a stream, however its first bytes arrive", async () => {
    const tif = buildTiff([{ width: 5, height: 3, samples: new Array<number>(15).fill(1) }], true);
    for (const size of [1, 3, 100]) {
      const parts = Array.from({ length: Math.ceil(tif.length / size) }, (_, i) =>
        Buffer.from(tif.subarray(i * size, (i + 1) * size)),
      );
      const read = (format: "auto" | "raw") => collect(options(["-"], { stdin: Readable.from(parts), format }));
      await expect(read("auto")).rejects.toMatchObject({
        code: "INVALID_DATA",
        message: expect.stringMatching(/stdin is a TIFF image; as a stream only raw elements are read/),
      });
      expect((await read("raw")).bytes).toEqual([...tif.subarray(0, tif.length - (tif.length % 2))]);
    }
    const gzip = Readable.from([Buffer.from([0x1f, 0x8b, 8, 0])]);
    await expect(collect(options(["-"], { stdin: gzip }))).rejects.toThrow(
      /stdin is gzip, which is not read\. Unpack it/,
    );
  });

  it("says which input cannot be read, and why", async () => {
    await expect(collect(options([join(folder, "absent.raw")]))).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("no such file"),
    });
    await expect(collect(options([folder]))).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining("is a folder"),
    });
  });

  it("stops when it is told to, also while stdin is silent", async () => {
    const stop = new AbortController();
    const stdin = new PassThrough();
    stdin.write(count(9));
    const running = collect(options(["-"], { stdin, signal: stop.signal, appendBytes: 4 }));
    setTimeout(() => stop.abort(), 20);
    const { bytes } = await running;
    expect(bytes).toEqual([...count(8)]);
    expect(stdin.destroyed).toBe(true);

    const raw = await file("e.raw", count(40));
    const stopped = AbortSignal.abort();
    expect((await collect(options([raw], { signal: stopped }))).bytes).toEqual([]);
  });
});
