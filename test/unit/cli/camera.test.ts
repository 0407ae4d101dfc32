import { describe, expect, it } from "vitest";
import { OFFSET_COUNTS, SyntheticCamera } from "../../../src/cli/camera.js";

function frame(size: number, seed: number, index: number): Uint16Array {
  const camera = new SyntheticCamera({ size, seed });
  const out = new Uint16Array(camera.frameElements);
  camera.expose(index, out);
  return out;
}

function mean(values: Uint16Array): number {
  return values.reduce((sum, v) => sum + v, 0) / values.length;
}

describe("SyntheticCamera", () => {
  it("makes the same frame again, from another camera and in another order", () => {
    const camera = new SyntheticCamera({ size: 65, seed: 7 });
    const later = new Uint16Array(camera.frameElements);
    camera.expose(5, later);
    camera.expose(2, later);
    expect(later).toEqual(frame(65, 7, 2));
  });

  it("makes another frame for another index or seed", () => {
    const base = frame(64, 7, 2);
    const share = (other: Uint16Array) => base.filter((v, i) => v === other[i]).length / base.length;
    expect(share(frame(64, 7, 3))).toBeLessThan(0.2);
    expect(share(frame(64, 8, 2))).toBeLessThan(0.2);
  });

  it("stays within 12 bits above the offset, with shot noise of the scene's size", () => {
    const size = 128;
    const frames = Array.from({ length: 24 }, (_, i) => frame(size, 3, i));
    for (const values of frames) {
      expect(Math.max(...values)).toBeLessThanOrEqual(4095);
      expect(mean(values)).toBeGreaterThan(OFFSET_COUNTS + 20);
      expect(mean(values)).toBeLessThan(OFFSET_COUNTS + 200);
    }
    // Photon transfer: half the variance between neighbouring frames over the mean signal is the gain, 1.6 counts per
    // photon, plus a little read noise and movement.
    let squares = 0;
    let signal = 0;
    for (let i = 0; i < size * size; i++) {
      squares += (frames[0][i] - frames[1][i]) ** 2 / 2;
      signal += frames[0][i] - OFFSET_COUNTS;
    }
    expect(squares / signal).toBeGreaterThan(1.4);
    expect(squares / signal).toBeLessThan(2.2);
  });

  it("wraps blobs around the border for ever", () => {
    expect(mean(frame(33, 1, 1_000_000))).toBeGreaterThan(OFFSET_COUNTS);
  });
});
