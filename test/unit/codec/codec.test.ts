import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { availableCodecs } from "../../../src/codec/available_codecs.js";
import {
  type CodecSpec,
  codecBound,
  codecJson,
  defaultCodec,
  encoderKind,
  resolveCodec,
} from "../../../src/codec/codec.js";
import { codecProvider, openEncoder } from "../../../src/codec/open_encoder.js";
import { noise, ramp } from "./bytes.js";

const forced = process.env.MILLRACE_ZSTD;
afterEach(() => {
  if (forced === undefined) delete process.env.MILLRACE_ZSTD;
  else process.env.MILLRACE_ZSTD = forced;
});

describe("resolveCodec", () => {
  it("takes objects and the command line's spelling", () => {
    expect(resolveCodec({ name: "none" })).toEqual({ name: "none" });
    expect(resolveCodec({ name: "zstd" })).toEqual({ name: "zstd" });
    expect(resolveCodec({ name: "blosc" })).toEqual({ name: "blosc" });
    expect(resolveCodec("none")).toEqual({ name: "none" });
    expect(resolveCodec("blosc")).toEqual({ name: "blosc" });
    expect(resolveCodec("zstd")).toEqual({ name: "zstd" });
    expect(resolveCodec("zstd:19")).toEqual({ name: "zstd", level: 19 });
    expect(resolveCodec("zstd:-5")).toEqual({ name: "zstd", level: -5 });
    expect(Object.is((resolveCodec({ name: "zstd", level: -0 }) as { level: number }).level, 0)).toBe(true);
  });

  it.each([
    ["lz4", "UNKNOWN_CODEC"],
    ["zlib", "UNKNOWN_CODEC"],
    ["brotli", "UNKNOWN_CODEC"],
    ["", "UNKNOWN_CODEC"],
    ["blosc:5", "INVALID_OPTION"],
    [{ name: "blosc", level: 1 }, "INVALID_OPTION"],
    ["zstd:23", "INVALID_OPTION"],
    ["zstd:-131073", "INVALID_OPTION"],
    ["zstd:", "INVALID_OPTION"],
    ["zstd:0x5", "INVALID_OPTION"],
    ["none:1", "INVALID_OPTION"],
    [{ name: "zstd", level: 1.5 }, "INVALID_OPTION"],
    [{ name: "zstd", level: "3" }, "INVALID_OPTION"],
    [{ name: "zstd", levle: 3 }, "INVALID_OPTION"],
    [{ name: 7 }, "UNKNOWN_CODEC"],
    [{}, "INVALID_OPTION"],
    [null, "INVALID_OPTION"],
    [undefined, "INVALID_OPTION"],
    [[], "INVALID_OPTION"],
  ])("refuses %j with %s", (value, code) => {
    expect(() => resolveCodec(value)).toThrow(expect.objectContaining({ code }));
  });
});

describe("defaultCodec", () => {
  it("is the block encoder, as blosc where elements have several bytes", () => {
    expect(defaultCodec("uint8")).toEqual({ name: "zstd" });
    expect(defaultCodec("float32")).toEqual({ name: "blosc" });
    expect(encoderKind(defaultCodec("int8"))).toBe("millrace");
    expect(encoderKind({ name: "zstd", level: 1 })).toBe("libzstd");
    expect(encoderKind({ name: "none" })).toBe("none");
  });
});

describe("codecJson", () => {
  it("states the byte order only for elements of several bytes", () => {
    expect(codecJson({ name: "none" }, "int8")).toEqual([{ name: "bytes" }]);
    expect(codecJson({ name: "none" }, "float16")).toEqual([{ name: "bytes", configuration: { endian: "little" } }]);
  });
  it("states all five members of blosc, and shuffles what has more than one byte", () => {
    expect(codecJson({ name: "blosc" }, "uint16")[1]).toEqual({
      name: "blosc",
      configuration: { cname: "zstd", clevel: 1, shuffle: "shuffle", typesize: 2, blocksize: 0 },
    });
    expect(codecJson({ name: "blosc" }, "uint8")[1].configuration).toMatchObject({ shuffle: "noshuffle", typesize: 1 });
  });
  it("states level and checksum of zstd", () => {
    expect(codecJson({ name: "zstd" }, "int8")[1].configuration).toEqual({ level: 1, checksum: false });
    expect(codecJson({ name: "zstd", level: -7 }, "uint8")).toEqual([
      { name: "bytes" },
      { name: "zstd", configuration: { level: -7, checksum: false } },
    ]);
  });
});

describe("codecBound", () => {
  it("is libzstd's own bound", async () => {
    const { default: binding } = await import("zstd-napi/binding.js");
    for (const n of [0, 1, 2047, 2048, 131071, 131072, 131073, 2 ** 24, 2 ** 31 - 1]) {
      expect(codecBound({ name: "zstd", level: 1 }, n)).toBe(binding.compressBound(n));
    }
  });
  it("refuses what is no byte count", () => {
    expect(() => codecBound({ name: "none" }, 1.5)).toThrow(expect.objectContaining({ code: "BAD_GEOMETRY" }));
  });
  it("holds for data that does not compress", async () => {
    const spec: CodecSpec = { name: "zstd", level: 1 };
    const encoder = await openEncoder(spec, 1, undefined);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300_000 }), fc.integer(), (bytes, seed) => {
        const dst = new Uint8Array(codecBound(spec, bytes));
        expect(encoder.encode(noise(bytes, seed), dst)).toBeLessThanOrEqual(dst.length);
      }),
      { numRuns: 30 },
    );
    encoder.close();
  });
});

describe("openEncoder", () => {
  it("none copies, and says when there is no room", async () => {
    const encoder = await openEncoder({ name: "none" }, 2, undefined);
    const dst = new Uint8Array(9).fill(7);
    expect(encoder.encode(ramp(8), dst)).toBe(8);
    expect([...dst]).toEqual([...ramp(8), 7]);
    expect(() => encoder.encode(ramp(10), dst)).toThrow(expect.objectContaining({ code: "CODEC_FAILED" }));
  });

  it("fails with CODEC_UNAVAILABLE and says what to install", async () => {
    process.env.MILLRACE_ZSTD = "none";
    await expect(openEncoder({ name: "zstd", level: 1 }, 2, undefined)).rejects.toMatchObject({
      code: "CODEC_UNAVAILABLE",
      message: expect.stringMatching(/zstd-napi.*22\.15/),
    });
    await expect(codecProvider({ name: "zstd", level: 1 }, undefined)).rejects.toMatchObject({
      code: "CODEC_UNAVAILABLE",
    });
    expect(await codecProvider({ name: "none" }, undefined)).toBe("copy");
  });

  it("refuses an unknown MILLRACE_ZSTD", async () => {
    process.env.MILLRACE_ZSTD = "wasm";
    await expect(openEncoder({ name: "zstd", level: 1 }, 2, undefined)).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
  });
});

describe("availableCodecs", () => {
  it("names who reads and who writes", async () => {
    const codecs = await availableCodecs();
    expect(codecs.map(({ codec }) => codec)).toEqual(["none", "blosc", "zstd", "zstd:LEVEL", "gzip", "crc32c"]);
    for (const { read } of codecs) expect(read).not.toBe("");
  });
  it("reads zstd through WebAssembly when nothing else is there", async () => {
    process.env.MILLRACE_ZSTD = "none";
    const zstd = (await availableCodecs()).find(({ codec }) => codec === "zstd:LEVEL")!;
    expect(zstd.write).toBeUndefined();
    expect(zstd.read).toMatch(/WebAssembly/);
    expect(zstd.missing).toEqual(["MILLRACE_ZSTD=none"]);
  });
});
