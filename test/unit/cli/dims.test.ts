import { InvalidArgumentError } from "commander";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDims } from "../../../src/cli/dims.js";
import type { DimensionOptions } from "../../../src/geometry/array_geometry.js";

describe("parseDims", () => {
  it("reads the example of the help text", () => {
    expect(parseDims("t:0:16:64,y:520:130:520,x:696:174:696")).toEqual([
      { name: "t", type: "time", size: null, chunk: 16, shard: 64 },
      { name: "y", type: "space", size: 520, chunk: 130, shard: 520 },
      { name: "x", type: "space", size: 696, chunk: 174, shard: 696 },
    ]);
  });

  it("leaves the shard to its default and guesses axis types", () => {
    expect(parseDims("C:3:1, z:8:4 ,wave:5:5")).toEqual([
      { name: "C", type: "channel", size: 3, chunk: 1 },
      { name: "z", type: "space", size: 8, chunk: 4 },
      { name: "wave", type: "other", size: 5, chunk: 5 },
    ]);
  });

  it.each([
    ["", "expected name:size:chunk:shard"],
    ["t:0", "expected name:size:chunk:shard"],
    [":0:1", "expected name:size:chunk:shard"],
    ["t:0:1:1:1", "expected name:size:chunk:shard"],
    ["t:0:1,", "Dimension 1 is"],
    ["t:4:1,y:0:1", "only the first dimension"],
    ["t:4:0", "chunk 0"],
    ["t:-4:1", 'size is "-4"'],
    ["t:4:1.5", 'chunk is "1.5"'],
    ["t:4:1:", 'shard is ""'],
    ["t:9007199254740993:1", "size is"],
    ["t:1e3:1", "size is"],
  ])("refuses %j", (text, message) => {
    expect(() => parseDims(text)).toThrow(InvalidArgumentError);
    expect(() => parseDims(text)).toThrow(message);
  });

  it("reads what says the same", () => {
    const formatDims = (dimensions: readonly DimensionOptions[]): string =>
      dimensions.map((d) => `${d.name}:${d.size ?? 0}:${d.chunk}:${d.shard ?? d.chunk}`).join(",");
    const dimension = fc.record({
      name: fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/),
      size: fc.integer({ min: 1, max: 1e9 }),
      chunk: fc.integer({ min: 1, max: 1e6 }),
      shard: fc.integer({ min: 1, max: 1e6 }),
    });
    fc.assert(
      fc.property(fc.array(dimension, { minLength: 1, maxLength: 6 }), fc.boolean(), (dims, unbounded) => {
        const given = dims.map((d, i) => (i === 0 && unbounded ? { ...d, size: null } : d));
        expect(parseDims(formatDims(given)).map(({ type: _, ...rest }) => rest)).toEqual(given);
      }),
    );
  });
});
