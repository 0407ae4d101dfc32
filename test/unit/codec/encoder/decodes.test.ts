import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codecJson } from "../../../../src/codec/codec.js";
import { openDecoder } from "../../../../src/codec/decode.js";
import { bloscBound, encodeBlosc, encodeZstd, zstdBound } from "../../../../src/codec/encoder/index.js";
import { CHUNK_KINDS, encoderCorpus, makeChunk } from "../../../helpers/encoder_corpus.js";
import { limitBlocks } from "../../../helpers/format_limits.js";

const DTYPES = { 1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64" } as const;

/** Decoders of other people: libzstd or numcodecs.js, and ours for the Blosc container around them. */
async function decoderOf(name: "blosc" | "zstd", itemBytes: number) {
  const dtype = DTYPES[itemBytes as keyof typeof DTYPES];
  return await openDecoder(codecJson({ name }, dtype), dtype);
}

function encoded(name: "blosc" | "zstd", chunk: Uint8Array, itemBytes: number): Uint8Array {
  const out = new Uint8Array(name === "blosc" ? bloscBound(chunk.length) : zstdBound(chunk.length));
  return out.subarray(0, (name === "blosc" ? encodeBlosc : encodeZstd)(chunk, itemBytes, out));
}

describe.each(["blosc", "zstd"] as const)("codec %s", (name) => {
  it("decodes to what went in, for the whole corpus", async () => {
    const wrong: string[] = [];
    for (const { name: chunkName, itemBytes, chunk } of encoderCorpus()) {
      const decoder = await decoderOf(name, itemBytes);
      const content = await decoder.decode(encoded(name, chunk, itemBytes), chunk.length);
      if (Buffer.compare(content, chunk) !== 0) wrong.push(chunkName);
    }
    expect(wrong).toEqual([]);
  });

  it("decodes to what went in, on both sides of every limit", async () => {
    const decoder = await decoderOf(name, 1);
    const wrong: string[] = [];
    for (const { name: blockName, bytes } of limitBlocks()) {
      const content = await decoder.decode(encoded(name, bytes, 1), bytes.length);
      if (Buffer.compare(content, bytes) !== 0) wrong.push(blockName);
    }
    expect(wrong).toEqual([]);
  });

  it("decodes in numcodecs.js, which zarrita and neuroglancer use", async () => {
    const { default: Codec } = name === "blosc" ? await import("numcodecs/blosc") : await import("numcodecs/zstd");
    const codec = Codec.fromConfig({ id: name } as never);
    for (const kind of Object.keys(CHUNK_KINDS)) {
      for (const count of [1, 300, 40_000]) {
        const chunk = makeChunk(kind, 2, count);
        // It looks at the whole buffer under a view.
        const content = await codec.decode(encoded(name, chunk, 2).slice());
        expect(Buffer.compare(content, chunk), `${kind} × ${count}`).toBe(0);
      }
    }
  });

  it("depends on the chunk alone, also over shared memory and at odd addresses", () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(CHUNK_KINDS)), fc.integer({ min: 1, max: 3000 }), (kind, count) => {
        const chunk = makeChunk(kind, 2, count);
        const shared = new Uint8Array(new SharedArrayBuffer(chunk.length + 1), 1);
        shared.set(chunk);
        expect(Buffer.compare(encoded(name, shared, 2), encoded(name, chunk, 2))).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  it("takes exactly the room it needs, and leaves the rest alone", () => {
    const encode = name === "blosc" ? encodeBlosc : encodeZstd;
    const chunk = makeChunk("camera", 2, 5000);
    const { length } = encoded(name, chunk, 2);
    const room = new Uint8Array(length + 1).fill(7);
    expect(encode(chunk, 2, room)).toBe(length);
    expect(room[length]).toBe(7);
    const tight = new Uint8Array(length - 1).fill(7);
    expect(() => encode(chunk, 2, tight)).toThrow(expect.objectContaining({ code: "CODEC_FAILED" }));
    expect(tight.every((byte) => byte === 7)).toBe(true);
  });

  it.each([
    [0, 2],
    [7, 2],
    [8, 0],
    [256, 256],
    [3, 1.5],
  ])("refuses %i bytes of elements of %f", (bytes, itemBytes) => {
    const encode = name === "blosc" ? encodeBlosc : encodeZstd;
    const call = () => encode(new Uint8Array(bytes), itemBytes, new Uint8Array(1000));
    expect(call).toThrow(expect.objectContaining({ code: "CODEC_FAILED" }));
  });
});

it("frames of more than 8 MiB state a window instead of one segment", async () => {
  const chunk = makeChunk("labels", 2, 5 * 2 ** 20);
  const bytes = encoded("zstd", chunk, 2);
  expect([...bytes.subarray(4, 6)]).toEqual([0x80, 0x28]);
  const decoder = await decoderOf("zstd", 2);
  expect(Buffer.compare(await decoder.decode(bytes, chunk.length), chunk)).toBe(0);
});
