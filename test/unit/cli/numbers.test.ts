import { describe, expect, it } from "vitest";
import {
  formatBytes,
  formatNs,
  formatRate,
  formatRatio,
  parseBytes,
  parsePositive,
  parseSeconds,
  parseSeed,
} from "../../../src/cli/numbers.js";

describe("numbers on the command line", () => {
  it("reads byte counts", () => {
    expect(parseBytes("1000001")).toBe(1000001);
    expect(parseBytes("64KiB")).toBe(65536);
    expect(parseBytes("2m")).toBe(2 * 2 ** 20);
    expect(parseBytes("3 GB")).toBe(3 * 2 ** 30);
    for (const bad of ["", "0", "-1", "1.5m", "m", "9007199254740993", "1TiB", "0x10"]) {
      expect(() => parseBytes(bad), bad).toThrow("Expected a number of bytes");
    }
  });

  it("reads counts, seeds and seconds", () => {
    expect(parsePositive("7")).toBe(7);
    for (const bad of ["0", "-1", "1.0", "", "1e3"]) expect(() => parsePositive(bad), bad).toThrow("from 1");
    expect(parseSeed("0")).toBe(0);
    expect(parseSeed("4294967295")).toBe(0xffffffff);
    for (const bad of ["4294967296", "-1", ""]) expect(() => parseSeed(bad), bad).toThrow("from 0");
    expect(parseSeconds("0.5")).toBe(0.5);
    for (const bad of ["0", "-2", "", " ", "Infinity", "x"]) expect(() => parseSeconds(bad), bad).toThrow("seconds");
  });

  it("writes three digits and a unit", () => {
    expect([0, 999, 1000, 1234567, 99_960, 999_499, 999_500, 12.34e9].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "1.00 kB",
      "1.23 MB",
      "100 kB",
      "999 kB",
      "1.00 MB",
      "12.3 GB",
    ]);
    expect([12, 1500, 2.5e6, 3.21e9].map(formatNs)).toEqual(["12 ns", "1.5 µs", "2.5 ms", "3.21 s"]);
    expect(formatRate(3e9, 2)).toBe("1.50 GB/s");
    expect(formatRate(3000, 2)).toBe("1.50 kB/s");
    expect(formatRate(1, 3)).toBe("0 B/s");
    expect(formatRate(3e9, 0)).toBe("–");
    expect(formatRatio(10, 4)).toBe("2.50");
    expect(formatRatio(10, 0)).toBe("–");
  });
});
