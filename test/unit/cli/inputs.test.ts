import { mkdtemp, rm, writeFile } from "node:fs/promises";
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
    await expect(collect(options([odd, tif]))).rejects.toThrow(/ended 1 bytes into a uint16/);
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
