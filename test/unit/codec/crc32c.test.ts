import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crc32c } from "../../../src/codec/crc32c.js";

/** Bit by bit, by the definition. */
function slow(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

describe("crc32c", () => {
  // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
  it.each([
    ["32 zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 ones", new Uint8Array(32).fill(255), 0x62a8ab43],
    ["0 … 31", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ["31 … 0", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    ["123456789", new TextEncoder().encode("123456789"), 0xe3069283],
    ["nothing", new Uint8Array(0), 0],
  ])("of %s", (_, data, expected) => {
    expect(crc32c(data)).toBe(expected);
  });

  it("agrees with the definition at every length and offset", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(8), (data, skip) => {
        expect(crc32c(data.subarray(skip))).toBe(slow(data.subarray(skip)));
      }),
      { numRuns: 500 },
    );
  });

  it("continues from a seed, wherever the data is cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(70), (data, cut) => {
        expect(crc32c(data.subarray(cut), crc32c(data.subarray(0, cut)))).toBe(crc32c(data));
      }),
    );
  });
});
