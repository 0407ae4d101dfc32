import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openBenchFill } from "../../../src/cli/bench_fills.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-test-"));
});
afterEach(() => rm(folder, { recursive: true }));

const settings = (...sizes: number[]) => ({
  dimensions: [null, ...sizes].map((size, i) => ({ name: `d${i}`, size, chunk: size ?? 1 })),
});

async function raw(name: string, values: readonly number[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, new Uint8Array(Uint16Array.from(values).buffer));
  return path;
}

async function rows(fillName: "images" | "camera", files: string[], sizes: number[], from: number, count: number) {
  const fill = await openBenchFill({ name: fillName, files }, settings(...sizes));
  const out = new Uint16Array(count * sizes.reduce((a, b) => a * b, 1));
  fill.rows(from, count, out);
  return Array.from(out);
}

describe("openBenchFill", () => {
  it("images: shows every image, then every one mirrored, and begins again", async () => {
    const files = [await raw("a.raw", [1, 2, 3, 4]), await raw("b.raw", [5, 6, 7, 8])];
    expect(await rows("images", files, [2, 2], 0, 10)).toEqual(
      [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [2, 1, 4, 3],
        [6, 5, 8, 7],
        [3, 4, 1, 2],
        [7, 8, 5, 6],
        [4, 3, 2, 1],
        [8, 7, 6, 5],
        [1, 2, 3, 4],
        [5, 6, 7, 8],
      ].flat(),
    );
  });

  it("images: takes planes of a file, volumes plane by plane, and repeats a pixel in its channels", async () => {
    const file = await raw("planes.raw", [1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await rows("images", [file], [2, 2, 2, 3], 0, 1)).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].flatMap((v) => [v, v, v]),
    );
  });

  it("images: refuses a raw file that is no whole plane, and a file that is not there", async () => {
    const file = await raw("cut.raw", [1, 2, 3]);
    await expect(rows("images", [file], [2, 2], 0, 1)).rejects.toMatchObject({ code: "INVALID_DATA" });
    await expect(rows("images", [join(folder, "none.raw")], [2, 2], 0, 1)).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
  });

  it("camera: the same frame whenever it is asked for, tiled where the plane is larger than the camera", async () => {
    const all = await rows("camera", [], [16, 600], 0, 2);
    expect(await rows("camera", [], [16, 600], 1, 1)).toEqual(all.slice(9600));
    expect(all.slice(0, 9600)).not.toEqual(all.slice(9600));
    for (let x = 512; x < 600; x++) expect(all[x]).toBe(all[x - 512]);
  });
});
