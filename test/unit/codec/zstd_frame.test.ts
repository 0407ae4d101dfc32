import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openZstdEncoder } from "../../../src/codec/libzstd.js";
import { parseZstdFrames } from "../../../src/codec/zstd_frame.js";
import { noise, ramp } from "./bytes.js";

async function frameOf(src: Uint8Array): Promise<Uint8Array> {
  const encoder = await openZstdEncoder(1);
  const dst = new Uint8Array(src.length * 2 + 100);
  return dst.slice(0, encoder.encode(src, dst));
}

const concat = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
const SKIPPABLE = Uint8Array.of(0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9);

describe("parseZstdFrames", () => {
  it("finds frames of every header size, and skippable ones between them", async () => {
    // Frame_Content_Size takes 1, 2 and 4 bytes.
    const frames = await Promise.all([ramp(200), ramp(40_000), noise(300_000)].map(frameOf));
    const src = concat(SKIPPABLE, frames[0], SKIPPABLE, frames[1], frames[2], SKIPPABLE);
    const parsed = parseZstdFrames(src);
    if ("error" in parsed) throw new Error(parsed.error);
    expect(parsed.frames.map(({ contentBytes }) => contentBytes)).toEqual([200, 40_000, 300_000]);
    expect(parsed.frames.map(({ start, end }) => end - start)).toEqual(frames.map(({ length }) => length));
    expect(parsed.frames.map(({ blockCount }) => blockCount)).toEqual([1, 1, 3]);
  });

  it("reads the fields that libzstd never wrote here", () => {
    // FHD 0xc0: 8-byte size, window byte; 0x03: no size, 4-byte dictionary id 0; 0x24: single segment, 1-byte size,
    // checksum.
    const last = [0x01, 0x00, 0x00];
    const magic = [0x28, 0xb5, 0x2f, 0xfd];
    expect(parseZstdFrames(Uint8Array.of(...magic, 0xc0, 0, 7, 0, 0, 0, 1, 0, 0, 0, ...last))).toMatchObject({
      frames: [{ contentBytes: 2 ** 32 + 7, checksum: false }],
    });
    expect(parseZstdFrames(Uint8Array.of(...magic, 0x03, 0, 0, 0, 0, 0, ...last))).toMatchObject({
      frames: [{ contentBytes: undefined }],
    });
    expect(parseZstdFrames(Uint8Array.of(...magic, 0x24, 0, ...last, 1, 2, 3, 4))).toMatchObject({
      frames: [{ contentBytes: 0, checksum: true, end: 13 }],
    });
    for (const [bytes, error] of [
      [[...magic, 0x28, 0, ...last], /reserved bit/],
      [[...magic, 0x21, 5, 0, ...last], /dictionary/],
      [[...magic, 0x20, 0, 0x07, 0, 0], /reserved type/],
      [[...magic, 0x20, 0, 0x05, 0x00, 0x20], /128 KiB/],
      [[...magic, 0xe0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...last], /2\^53/],
      [[...magic, 0x24, 0, ...last, 1, 2, 3], /checksum is cut short/],
      [[...SKIPPABLE.subarray(0, 10)], /skippable/],
      [[...SKIPPABLE], /no zstd frame/],
      [[], /no zstd frame/],
      [[1, 2, 3, 4, 5], /magic/],
    ] as const) {
      const parsed = parseZstdFrames(Uint8Array.from(bytes));
      expect("error" in parsed && parsed.error).toMatch(error);
    }
  });

  it("refuses every truncation and anything behind the last frame", async () => {
    const frame = await frameOf(ramp(3000));
    for (let n = 0; n < frame.length; n++) expect(parseZstdFrames(frame.subarray(0, n))).toHaveProperty("error");
    expect(parseZstdFrames(concat(frame, Uint8Array.of(0)))).toHaveProperty("error");
    expect(parseZstdFrames(concat(frame, noise(50)))).toHaveProperty("error");
  });

  it("never throws, ends, and stays inside its input", () => {
    const magic = fc.constant([0x28, 0xb5, 0x2f, 0xfd]);
    fc.assert(
      fc.property(fc.oneof(magic, fc.constant([])), fc.uint8Array({ maxLength: 200 }), (head, tail) => {
        const src = Uint8Array.from([...head, ...tail]);
        const parsed = parseZstdFrames(src);
        if ("frames" in parsed) {
          for (const { start, end } of parsed.frames) expect(start >= 0 && start < end && end <= src.length).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("bounds the number of frames", async () => {
    const frame = await frameOf(ramp(8));
    const src = concat(...new Array(5).fill(frame));
    expect(parseZstdFrames(src, 5)).toHaveProperty("frames");
    expect(parseZstdFrames(src, 4)).toEqual({ error: "more than 4 frames" });
  });
});
