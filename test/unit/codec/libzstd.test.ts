import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import zlib from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { codecBound } from "../../../src/codec/codec.js";
import { findZstdDecoder, napiLibrary, openZstdEncoder } from "../../../src/codec/libzstd.js";
import { parseZstdFrames } from "../../../src/codec/zstd_frame.js";
import { noise, ramp, shared } from "./bytes.js";

const forced = process.env.MILLRACE_ZSTD;
afterEach(() => {
  if (forced === undefined) delete process.env.MILLRACE_ZSTD;
  else process.env.MILLRACE_ZSTD = forced;
});

const hasZlib = "zstdCompressSync" in zlib;
const encoders = ["napi", ...(hasZlib ? ["zlib"] : [])];
const decoders = [...encoders, "none"];

/** What the provider's own interface gives, with the settings that a chunk's frame has. */
async function encodeWithLibrary(provider: string, level: number, src: Uint8Array): Promise<Uint8Array> {
  if (provider === "napi") {
    const { CCtx, CParameter } = (await import("zstd-napi/binding.js")).default;
    const context = new CCtx();
    context.setParameter(CParameter.compressionLevel, level);
    const dst = new Uint8Array(2 * src.length);
    return dst.subarray(0, context.compress2(dst, src));
  }
  const { zstdCompressSync, constants } = zlib as unknown as {
    zstdCompressSync: (src: Uint8Array, options: object) => Uint8Array;
    constants: Record<string, number>;
  };
  return zstdCompressSync(src, {
    params: { [constants.ZSTD_c_compressionLevel]: level },
    pledgedSrcSize: src.length,
  });
}

describe.each(encoders)("encoder by %s", (provider) => {
  it("writes one frame with its size and no checksum, which every decoder reads", async () => {
    process.env.MILLRACE_ZSTD = provider;
    for (const level of [-50, 0, 1, 5, 19]) {
      const encoder = await openZstdEncoder(level);
      for (const src of [ramp(1), ramp(70_000), noise(5000), new Uint8Array(300_000), shared(ramp(4099))]) {
        const bound = codecBound({ name: "zstd", level }, src.length);
        const guarded = shared(new Uint8Array(bound + 5).fill(0xee));
        const dst = guarded.subarray(0, bound);
        const length = encoder.encode(src, dst);
        const parsed = parseZstdFrames(dst.slice(0, length));
        expect(parsed).toMatchObject({
          frames: [{ start: 0, end: length, contentBytes: src.length, checksum: false }],
        });
        expect([...guarded.subarray(bound)]).toEqual([0xee, 0xee, 0xee, 0xee, 0xee]);
        for (const by of decoders) {
          process.env.MILLRACE_ZSTD = by;
          const decoded = new Uint8Array(src.length);
          expect(await (await findZstdDecoder()).decompress(dst.slice(0, length), decoded)).toBe(src.length);
          expect(Buffer.compare(decoded, src)).toBe(0);
        }
        process.env.MILLRACE_ZSTD = provider;
      }
      encoder.close();
    }
  });

  it("encodes at the level that was asked for", async () => {
    process.env.MILLRACE_ZSTD = provider;
    const src = ramp(70_000);
    const lengths = new Set<number>();
    for (const level of [-50, 1, 2, 3, 19]) {
      const encoder = await openZstdEncoder(level);
      const dst = new Uint8Array(codecBound({ name: "zstd", level }, src.length));
      const encoded = dst.subarray(0, encoder.encode(src, dst));
      expect(Buffer.compare(encoded, await encodeWithLibrary(provider, level, src)), `level ${level}`).toBe(0);
      lengths.add(encoded.length);
      encoder.close();
    }
    // Else every level would do.
    expect(lengths.size).toBeGreaterThan(2);
  });

  it("gives the same bytes for the same chunk, whatever it encoded before", async () => {
    process.env.MILLRACE_ZSTD = provider;
    const one = await openZstdEncoder(3);
    const two = await openZstdEncoder(3);
    const dst = new Uint8Array(100_000);
    two.encode(noise(50_000), dst);
    expect(() => two.encode(noise(50_000), dst.subarray(0, 10))).toThrow(
      expect.objectContaining({ code: "CODEC_FAILED" }),
    );
    const first = dst.slice(0, one.encode(ramp(60_000), dst));
    const second = dst.slice(0, two.encode(ramp(60_000), dst));
    expect(Buffer.compare(first, second)).toBe(0);
  });

  it("reports too little room with sizes, and refuses to go on after close", async () => {
    process.env.MILLRACE_ZSTD = provider;
    const encoder = await openZstdEncoder(1);
    expect(() => encoder.encode(noise(1000), new Uint8Array(999))).toThrow(
      expect.objectContaining({ code: "CODEC_FAILED", context: { codec: "zstd", srcBytes: 1000, dstBytes: 999 } }),
    );
    encoder.close();
    encoder.close();
    expect(() => encoder.encode(noise(10), new Uint8Array(100))).toThrow(/after close/);
  });
});

/** As each library says it. */
const NO_ROOM: Record<string, RegExp> = {
  napi: /^Destination buffer is too small$/,
  zlib: /^Cannot create a Buffer larger than 9999 bytes$/,
  none: /^the frame holds 10000 bytes, expected at most 9999$/,
};
const DAMAGED: Record<string, RegExp> = {
  napi: /^Unsupported frame parameter$/,
  zlib: /^Unsupported frame parameter$/,
  none: /reserved/,
};

describe.each(decoders)("decoder by %s", (provider) => {
  it("refuses damaged frames and too little room", async () => {
    const encoder = await openZstdEncoder(1);
    const dst = new Uint8Array(20_000);
    const frame = dst.slice(0, encoder.encode(ramp(10_000), dst));
    process.env.MILLRACE_ZSTD = provider;
    const decoder = await findZstdDecoder();
    const decode = async (bytes: Uint8Array, room: number) => await decoder.decompress(bytes, new Uint8Array(room));
    await expect(decode(frame, 9_999)).rejects.toThrow(NO_ROOM[provider]);
    const damaged = frame.slice();
    damaged[4] ^= 0xff; // Frame_Header_Descriptor, its reserved bit included
    await expect(decode(damaged, 10_000)).rejects.toThrow(DAMAGED[provider]);
    // The decoder still works afterwards.
    expect(await decode(frame, 10_000)).toBe(10_000);
  });
});

describe("napiLibrary", () => {
  it("tells absent, unbuilt and broken packages from each other", async () => {
    const folder = await mkdtemp(join(tmpdir(), "millrace-zstd-napi-"));
    try {
      const fake = join(folder, "node_modules", "zstd-napi");
      await mkdir(join(fake, "build"), { recursive: true });
      const specifier = pathToFileURL(join(fake, "binding.js")).href;
      // Another name than below: Node 22 and newer remember that an import failed.
      const absent = pathToFileURL(join(fake, "absent.js")).href;
      expect(await napiLibrary(absent)).toBe("zstd-napi is not installed");
      await writeFile(join(fake, "package.json"), "{}");
      await writeFile(join(fake, "binding.js"), "module.exports = require('./build/Release/binding.node');");
      expect(await napiLibrary(specifier)).toBe("zstd-napi is installed but was not built");
      await mkdir(join(fake, "build", "Release"));
      await writeFile(join(fake, "build", "Release", "binding.node"), "not a shared object");
      await writeFile(join(fake, "other.js"), "module.exports = require('./build/Release/binding.node');");
      expect(await napiLibrary(pathToFileURL(join(fake, "other.js")).href)).toMatch(/its binary does not load/);
      await writeFile(join(fake, "faulty.js"), "throw new TypeError('a bug in it');");
      await expect(napiLibrary(pathToFileURL(join(fake, "faulty.js")).href)).rejects.toMatchObject({
        code: "CODEC_UNAVAILABLE",
        cause: { message: "a bug in it" },
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("runs on several threads at once", async () => {
    const body = `
      const { parentPort } = require("node:worker_threads");
      const { resolve } = require("node:module").createRequire(process.cwd() + "/x.js");
      import(resolve("zstd-napi/binding.js")).then(({ default: b }) => {
        const cctx = new b.CCtx();
        const src = new Uint8Array(1 << 16).map((_, i) => i >> 4);
        const dst = new Uint8Array(1 << 17);
        let sum = 0;
        for (let i = 0; i < 50; i++) sum += cctx.compress2(dst, src);
        parentPort.postMessage(sum);
      });`;
    const sums = await Promise.all(
      [1, 2, 3].map(
        () =>
          new Promise<number>((resolve, reject) => {
            const worker = new Worker(body, { eval: true });
            worker.once("message", resolve);
            worker.once("error", reject);
          }),
      ),
    );
    expect(new Set(sums).size).toBe(1);
    expect(sums[0]).toBeGreaterThan(0);
  });
});
