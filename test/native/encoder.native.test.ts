import { createHash } from "node:crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type ChunkEncoder, codecBound, encoderScratchBytes } from "../../src/codec/codec.js";
import { ENCODER_VERSION } from "../../src/codec/encoder/index.js";
import { openEncoder } from "../../src/codec/open_encoder.js";
import { NATIVE_CODECS } from "../../src/native/addon.js";
import { CHUNK_KINDS, encoderCorpus, ITEM_BYTES, makeChunk } from "../helpers/encoder_corpus.js";
import { limitBlocks } from "../helpers/format_limits.js";
import { addon, codeOf, hasAddon } from "./addon_fixture.js";

const CODECS = ["blosc", "zstd"] as const;

function encode(encoder: ChunkEncoder, codec: "blosc" | "zstd", chunk: Uint8Array): Uint8Array {
  const out = new Uint8Array(codecBound({ name: codec }, chunk.length));
  return out.subarray(0, encoder.encode(chunk, out));
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe.runIf(hasAddon)("the block encoder in C++", () => {
  const ours = new Map<string, ChunkEncoder>();
  const oracle = new Map<string, ChunkEncoder>();

  beforeAll(async () => {
    for (const codec of CODECS) {
      for (const itemBytes of [...ITEM_BYTES, 3]) {
        ours.set(`${codec}${itemBytes}`, await openEncoder({ name: codec }, itemBytes, addon));
        oracle.set(`${codec}${itemBytes}`, await openEncoder({ name: codec }, itemBytes, undefined));
      }
    }
  });

  const both = (codec: "blosc" | "zstd", itemBytes: number, chunk: Uint8Array): [string, string] => {
    const key = `${codec}${itemBytes}`;
    return [
      sha256(encode(ours.get(key) as ChunkEncoder, codec, chunk)),
      sha256(encode(oracle.get(key) as ChunkEncoder, codec, chunk)),
    ];
  };

  it("has the version of the specification that TypeScript has, and runs at the level that was asked for", () => {
    expect(addon.encoderVersion).toBe(ENCODER_VERSION);
    const asked = process.env.MILLRACE_SIMD;
    if (asked) expect(["portable", asked]).toContain(addon.features.encoder);
    expect(["portable", "avx2", "avx512"]).toContain(addon.features.encoder);
  });

  it.each(CODECS)("writes TypeScript's bytes for the whole corpus, codec %s", (codec) => {
    const different: string[] = [];
    for (const { name, itemBytes, chunk } of encoderCorpus()) {
      const [native, typescript] = both(codec, itemBytes, chunk);
      if (native !== typescript) different.push(name);
    }
    expect(different).toEqual([]);
  });

  it.each(CODECS)("writes TypeScript's bytes on both sides of every limit, codec %s", (codec) => {
    const different = limitBlocks().filter(({ bytes }) => {
      const [native, typescript] = both(codec, 1, bytes);
      return native !== typescript;
    });
    expect(different.map(({ name }) => name)).toEqual([]);
  });

  it("writes TypeScript's bytes for chunks of any size and mixture", () => {
    const kinds = Object.keys(CHUNK_KINDS);
    const part = fc.record({ kind: fc.constantFrom(...kinds), share: fc.integer({ min: 1, max: 100 }) });
    fc.assert(
      fc.property(
        fc.constantFrom(...CODECS),
        fc.constantFrom(...ITEM_BYTES, 3),
        fc.oneof(fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 300 * 1024 })),
        fc.array(part, { minLength: 1, maxLength: 4 }),
        fc.integer(),
        (codec, itemBytes, bytes, parts, seed) => {
          const count = Math.max(1, Math.floor(bytes / itemBytes));
          const chunk = new Uint8Array(count * itemBytes);
          const shares = parts.reduce((sum, { share }) => sum + share, 0);
          let at = 0;
          for (const { kind, share } of parts) {
            const length = Math.min(count - at, Math.ceil((count * share) / shares));
            if (length > 0) chunk.set(makeChunk(kind, itemBytes, length, seed), at * itemBytes);
            at += length;
          }
          const [native, typescript] = both(codec, itemBytes, chunk);
          expect(native).toBe(typescript);
        },
      ),
      { numRuns: 400 },
    );
  });

  it("stays inside its room, to the byte", () => {
    for (const kind of ["camera", "noise", "constant", "labels", "runsShort", "symbols256"]) {
      for (const itemBytes of ITEM_BYTES) {
        for (const count of [1, 33, 300, 20_000, 70_001]) {
          for (const codec of CODECS) {
            const chunk = makeChunk(kind, itemBytes, count);
            const number = NATIVE_CODECS[codec];
            const encoded = encode(ours.get(`${codec}${itemBytes}`) as ChunkEncoder, codec, chunk);
            const guard = 64;
            const room = new Uint8Array(encoded.length + 2 * guard).fill(0xa5);
            const exact = room.subarray(guard, guard + encoded.length);
            expect(addon.encodeChunk(number, itemBytes, chunk, exact)).toBe(encoded.length);
            expect(Buffer.compare(exact, encoded)).toBe(0);
            for (const missing of [1, encoded.length >> 1, encoded.length]) {
              const tight = room.subarray(guard, guard + encoded.length - missing);
              expect(codeOf(() => addon.encodeChunk(number, itemBytes, chunk, tight))).toBe("NATIVE_CODEC_FAILED");
            }
            for (const side of [room.subarray(0, guard), room.subarray(guard + encoded.length)]) {
              expect(side.every((byte) => byte === 0xa5)).toBe(true);
            }
          }
        }
      }
    }
  });

  it("refuses what is no chunk", () => {
    const out = new Uint8Array(1000);
    const call = (codec: number, itemBytes: number, bytes: number) => () =>
      addon.encodeChunk(codec, itemBytes, new Uint8Array(bytes), out);
    expect(codeOf(call(NATIVE_CODECS.blosc, 2, 0))).toBe("NATIVE_ARGUMENT");
    expect(codeOf(call(NATIVE_CODECS.blosc, 2, 7))).toBe("NATIVE_ARGUMENT");
    expect(codeOf(call(NATIVE_CODECS.zstd, 0, 8))).toBe("NATIVE_ARGUMENT");
    expect(codeOf(call(NATIVE_CODECS.zstd, 256, 256))).toBe("NATIVE_ARGUMENT");
    expect(codeOf(call(NATIVE_CODECS.none, 2, 8))).toBe("NATIVE_CODEC_UNKNOWN");
    expect(codeOf(call(9, 2, 8))).toBe("NATIVE_CODEC_UNKNOWN");
  });

  it("works in no more memory than is planned", () => {
    for (const codec of CODECS) {
      for (const itemBytes of ITEM_BYTES) {
        for (const bytes of [8, 800, 65_536, 2 ** 20, 2 ** 24]) {
          const planned = encoderScratchBytes({ name: codec }, bytes, itemBytes) - bytes;
          const taken = addon.encoderScratchBytes(NATIVE_CODECS[codec], itemBytes, bytes);
          expect(taken).toBeLessThanOrEqual(planned);
          expect(taken).toBeGreaterThan(0.8 * planned);
        }
      }
    }
  });

  it("gives the same bytes again, also after other chunks have used its scratch", () => {
    const chunk = makeChunk("camera", 2, 50_000);
    const encoder = ours.get("blosc2") as ChunkEncoder;
    const first = sha256(encode(encoder, "blosc", chunk));
    for (const kind of Object.keys(CHUNK_KINDS)) encode(encoder, "blosc", makeChunk(kind, 2, 70_000, 3));
    expect(sha256(encode(encoder, "blosc", chunk))).toBe(first);
  });
});
