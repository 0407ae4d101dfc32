import { expect, it } from "vitest";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import { MANY_SHARDS, manyShardsWarning } from "../../../src/plan/many_shards.js";

const frames = (side: number, rows: number) =>
  describeGeometry("uint16", [
    { name: "t", size: null, chunk: rows, shard: rows },
    { name: "y", size: side, chunk: 1, shard: 1 },
    { name: "x", size: side, chunk: 1, shard: 1 },
  ]);

it("says how many files a row becomes, and which layout would do", () => {
  const warning = manyShardsWarning(frames(512, 1), { name: "none" }, "file");
  expect(warning).toContain("Each index of t becomes 262144 files, one a shard of 2 bytes");
  expect(warning).toMatch(
    /adviseLayout proposes chunks of \d+ × \d+ × \d+ and shards of \d+ × 512 × 512: 1 files at a time/,
  );
});

it("says it of objects and of deeper shards", () => {
  const warning = manyShardsWarning(frames(64, 3), { name: "blosc" }, "s3");
  expect(warning).toContain("Every 3 indexes of t become 4096 objects, one a shard of 6 bytes");
});

it("has nothing to say of fewer, or where nothing is kept", () => {
  expect(frames(64, 1).shardsPerRow).toBe(MANY_SHARDS);
  expect(manyShardsWarning(frames(63, 1), { name: "none" }, "file")).toBe(undefined);
  expect(manyShardsWarning(frames(512, 1), { name: "none" }, "discard")).toBe(undefined);
});
