import { gzipSync } from "node:zlib";
import fc from "fast-check";
import Blosc from "numcodecs/blosc";
import { afterEach, describe, expect, it } from "vitest";
import { codecJson } from "../../../src/codec/codec.js";
import { crc32c } from "../../../src/codec/crc32c.js";
import { openDecoder } from "../../../src/codec/decode.js";
import { openEncoder } from "../../../src/codec/open_encoder.js";
import type { DType } from "../../../src/geometry/dtype.js";
import { noise, ramp } from "./bytes.js";

const forced = process.env.MILLRACE_ZSTD;
afterEach(() => {
  if (forced === undefined) delete process.env.MILLRACE_ZSTD;
  else process.env.MILLRACE_ZSTD = forced;
});

const BYTES = { name: "bytes", configuration: { endian: "little" } };
const ZSTD = { name: "zstd", configuration: { level: 1, checksum: false } };

async function zstd(src: Uint8Array): Promise<Uint8Array> {
  const encoder = await openEncoder({ name: "zstd", level: 1 }, 2, undefined);
  const dst = new Uint8Array(src.length * 2 + 100);
  return dst.slice(0, encoder.encode(src, dst));
}

function withCrc(src: Uint8Array): Uint8Array {
  const result = new Uint8Array(src.length + 4);
  result.set(src);
  new DataView(result.buffer).setUint32(src.length, crc32c(src), true);
  return result;
}

const corrupt = expect.objectContaining({ code: "STORE_CORRUPT" });
const unsupported = expect.objectContaining({ code: "STORE_UNSUPPORTED" });

describe("chains", () => {
  it("reads back what our encoders write, for every dtype's element size", async () => {
    for (const dtype of ["uint8", "int16", "float32", "uint64"] as DType[]) {
      for (const spec of [{ name: "none" }, { name: "zstd", level: 3 }] as const) {
        const decoder = await openDecoder(codecJson(spec, dtype), dtype);
        const encoder = await openEncoder(spec, 2, undefined);
        const dst = new Uint8Array(9000);
        const encoded = dst.subarray(0, encoder.encode(ramp(8000), dst));
        expect(Buffer.compare(await decoder.decode(encoded, 8000), ramp(8000))).toBe(0);
      }
    }
  });

  it("turns big-endian elements round, without touching its input", async () => {
    for (const [dtype, size] of [
      ["uint16", 2],
      ["float32", 4],
      ["int64", 8],
    ] as const) {
      const decoder = await openDecoder([{ name: "bytes", configuration: { endian: "big" } }], dtype);
      const src = ramp(64);
      const expected = new Uint8Array(64).map((_, i) => ramp(64)[i - (i % size) + size - 1 - (i % size)]);
      expect([...(await decoder.decode(src, 64))]).toEqual([...expected]);
      expect([...src]).toEqual([...ramp(64)]);
    }
    const bytewise = await openDecoder([{ name: "bytes", configuration: { endian: "big" } }], "int8");
    expect([...(await bytewise.decode(ramp(8), 8))]).toEqual([...ramp(8)]);
  });

  it("undoes gzip, crc32c and stacks of them in order", async () => {
    const src = ramp(5000);
    const gzip = { name: "gzip", configuration: { level: 5 } };
    for (const [chain, encoded] of [
      [[BYTES, gzip], gzipSync(src)],
      [[BYTES, "crc32c"], withCrc(src)],
      [[BYTES, ZSTD, { name: "crc32c" }], withCrc(await zstd(src))],
      [[BYTES, { name: "crc32c" }, ZSTD], await zstd(withCrc(src))],
      [[BYTES, ZSTD, gzip], gzipSync(await zstd(src))],
    ] as const) {
      const decoder = await openDecoder(chain, "uint16");
      expect(Buffer.compare(await decoder.decode(encoded, 5000), src)).toBe(0);
      await expect(decoder.decode(encoded, 4998)).rejects.toEqual(corrupt);
      await expect(decoder.decode(encoded, 5002)).rejects.toEqual(corrupt);
      await expect(decoder.decode(encoded.subarray(0, encoded.length >> 1), 5000)).rejects.toEqual(corrupt);
      await expect(decoder.decode(new Uint8Array(0), 5000)).rejects.toEqual(corrupt);
    }
  });

  it("finds every single flipped bit behind a crc32c", async () => {
    const decoder = await openDecoder([BYTES, { name: "crc32c" }], "uint16");
    const encoded = withCrc(ramp(64));
    for (let bit = 0; bit < encoded.length * 8; bit++) {
      const damaged = encoded.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      await expect(decoder.decode(damaged, 64)).rejects.toEqual(corrupt);
    }
  });

  it.each([
    [[], corrupt],
    [{}, corrupt],
    [[7], corrupt],
    [[{ name: "bytes", configuration: [] }], corrupt],
    [[{ name: "bytes", configuration: { endian: "middle" } }], corrupt],
    [[{ name: "bytes" }], corrupt],
    [[{ name: "transpose", configuration: { order: [1, 0] } }, BYTES], unsupported],
    [[{ name: "sharding_indexed", configuration: {} }], unsupported],
    [[BYTES, { name: "sharding_indexed" }], unsupported],
    [[BYTES, { name: "numcodecs.shuffle" }], unsupported],
  ])("refuses the chain %j", async (chain, error) => {
    await expect(openDecoder(chain, "uint16")).rejects.toEqual(error);
  });
});

describe("zstd", () => {
  it.each(["napi", "none"])("reads several frames and skippable ones (%s)", async (provider) => {
    const skippable = Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9);
    const src = ramp(6000);
    const encoded = Buffer.concat([await zstd(src.subarray(0, 100)), skippable, await zstd(src.subarray(100))]);
    process.env.MILLRACE_ZSTD = provider;
    const decoder = await openDecoder([BYTES, ZSTD], "uint16");
    expect(Buffer.compare(await decoder.decode(encoded, 6000), src)).toBe(0);
    await expect(decoder.decode(Buffer.concat([encoded, skippable.subarray(0, 5)]), 6000)).rejects.toEqual(corrupt);
  });

  it("refuses a frame that claims terabytes before memory is taken", async () => {
    const bomb = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 1, 0, 0);
    const decoder = await openDecoder([BYTES, ZSTD], "uint16");
    await expect(decoder.decode(bomb, 64)).rejects.toThrow(/2199023255552 bytes, expected at most 64/);
  });

  it("reads a frame without a size by zstd-napi, and says what is needed otherwise", async () => {
    // No size, window 1 KiB, one raw block "ab".
    const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00, 0x11, 0, 0, 97, 98);
    const decoder = await openDecoder([BYTES, ZSTD], "uint16");
    expect([...(await decoder.decode(frame, 2))]).toEqual([97, 98]);
    process.env.MILLRACE_ZSTD = "none";
    const wasm = await openDecoder([BYTES, ZSTD], "uint16");
    await expect(wasm.decode(frame, 2)).rejects.toEqual(unsupported);
  });
});

describe("blosc", () => {
  const BLOSC = {
    name: "blosc",
    configuration: { cname: "zstd", clevel: 1, shuffle: "shuffle", typesize: 2, blocksize: 0 },
  };

  it.each(["zstd", "lz4", "lz4hc", "zlib"])("reads what libblosc writes with %s", async (cname) => {
    for (const shuffle of [0, 1, 2]) {
      for (const blocksize of [0, 4096]) {
        for (const src of [
          ramp(40_000),
          noise(5000),
          ramp(30),
          new Uint8Array(100_000),
          ramp(70_001),
          ramp(4 * 8 * 129),
        ]) {
          const codec = Blosc.fromConfig({ id: "blosc", cname, clevel: 5, shuffle, blocksize });
          const encoded = await codec.encode(src);
          for (const provider of ["napi", "none"]) {
            process.env.MILLRACE_ZSTD = provider;
            const decoder = await openDecoder([BYTES, BLOSC], "uint16");
            const decoded = await decoder.decode(encoded, src.length);
            expect(Buffer.compare(decoded, src), `${cname} ${shuffle} ${blocksize} ${src.length}`).toBe(0);
            await expect(decoder.decode(encoded, src.length + 2)).rejects.toEqual(corrupt);
            await expect(decoder.decode(encoded.subarray(0, -1), src.length)).rejects.toEqual(corrupt);
          }
        }
      }
    }
  });

  it("says which compressors it does not read", async () => {
    const encoded = await Blosc.fromConfig({ id: "blosc", cname: "blosclz", clevel: 5, shuffle: 1 }).encode(
      ramp(40_000),
    );
    const decoder = await openDecoder([BYTES, BLOSC], "uint16");
    await expect(decoder.decode(encoded, 40_000)).rejects.toEqual(unsupported);
  });

  it.each(["zstd", "lz4", "zlib"])(
    "never hangs or crashes on damage, and returns the right length or STORE_CORRUPT (%s)",
    async (cname) => {
      const src = ramp(20_000);
      const encoded = await Blosc.fromConfig({ id: "blosc", cname, clevel: 5, shuffle: 1, blocksize: 8192 }).encode(
        src,
      );
      const decoder = await openDecoder([BYTES, BLOSC], "uint16");
      let refused = 0;
      await fc.assert(
        fc.asyncProperty(fc.nat(encoded.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
          const damaged = encoded.slice();
          damaged[at] ^= flip;
          try {
            expect((await decoder.decode(damaged, src.length)).length).toBe(src.length);
          } catch (error) {
            expect(error).toMatchObject({ code: expect.stringMatching(/^STORE_(CORRUPT|UNSUPPORTED)$/) });
            refused++;
          }
        }),
        { numRuns: 400 },
      );
      expect(refused).toBeGreaterThan(100);
    },
  );
});

describe("any bytes", () => {
  it("decode to the expected length or to an error of ours", async () => {
    const chains = [
      [BYTES],
      [BYTES, ZSTD],
      [BYTES, { name: "blosc" }],
      [BYTES, { name: "gzip" }],
      [BYTES, { name: "crc32c" }],
    ];
    const decoders = await Promise.all(chains.map((chain) => openDecoder(chain, "uint16")));
    const heads = fc.constantFrom(
      [],
      [0x28, 0xb5, 0x2f, 0xfd, 0x20, 64],
      [0x1f, 0x8b, 8, 0],
      [2, 1, 0x91, 2, 64, 0, 0, 0, 64, 0, 0, 0],
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(4), heads, fc.uint8Array({ maxLength: 150 }), async (which, head, tail) => {
        try {
          expect((await decoders[which].decode(Uint8Array.from([...head, ...tail]), 64)).length).toBe(64);
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^STORE_(CORRUPT|UNSUPPORTED)$/) });
        }
      }),
      { numRuns: 1500 },
    );
  });
});

describe("bounds", () => {
  const BLOSC = { name: "blosc", configuration: { cname: "zstd", shuffle: "noshuffle", typesize: 1 } };

  it("do not grow with the length of a chain", async () => {
    // The outer of eight compressors claims what would be allowed if each doubled the bound: 128 times the chunk.
    const decoder = await openDecoder([BYTES, ...Array(8).fill(ZSTD)], "uint16");
    const frame = await zstd(new Uint8Array(3 * 2 ** 20));
    await expect(decoder.decode(frame, 2 ** 20)).rejects.toThrow(/expected at most 2162688/);
  });

  it("a frame may not state more than its blocks can hold", async () => {
    const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 4, 0, 0x0b, 0, 0, 0);
    const decoder = await openDecoder([BYTES, ZSTD], "uint16");
    await expect(decoder.decode(frame, 2 ** 18)).rejects.toThrow(/says 262144 bytes, the blocks hold 1 at most/);
  });

  it("blocks of Blosc cannot share a payload that is longer than a block", async () => {
    const content = 64 * 1024;
    const blocks = content / 16;
    const payload = await zstd(noise(4096));
    const container = new Uint8Array(16 + 4 * blocks + 4 + payload.length);
    const view = new DataView(container.buffer);
    container.set([2, 1, (4 << 5) | 0x10, 1]);
    view.setUint32(4, content, true);
    view.setUint32(8, 16, true);
    view.setUint32(12, container.length, true);
    for (let block = 0; block < blocks; block++) view.setUint32(16 + 4 * block, 16 + 4 * blocks, true);
    view.setUint32(16 + 4 * blocks, payload.length, true);
    container.set(payload, 20 + 4 * blocks);
    const decoder = await openDecoder([BYTES, BLOSC], "uint8");
    await expect(decoder.decode(container, content)).rejects.toThrow(/block 0 takes 41\d\d bytes, decoded it has 16/);
  });

  it("tell a wrong checksum from other damage", async () => {
    for (const [chain, encoded] of [
      [[BYTES, { name: "crc32c" }], withCrc(ramp(64))],
      [[BYTES, { name: "gzip" }], new Uint8Array(gzipSync(ramp(64)))],
    ] as const) {
      const decoder = await openDecoder(chain, "uint16");
      encoded[encoded.length - (chain[1].name === "gzip" ? 8 : 1)] ^= 1;
      await expect(decoder.decode(encoded, 64)).rejects.toMatchObject({ context: { checksum: true } });
      await expect(decoder.decode(encoded.subarray(0, 3), 64)).rejects.not.toMatchObject({
        context: { checksum: true },
      });
    }
  });
});
