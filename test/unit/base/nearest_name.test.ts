import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nameHint, nearestName } from "../../../src/base/nearest_name.js";

const known = ["durability", "depth", "mode", "sink"];

describe("nearestName", () => {
  it.each([
    ["durabilty", "durability"],
    ["Depth", "depth"],
    ["dpeth", undefined],
    ["modes", "mode"],
    ["snk", "sink"],
    ["", undefined],
    ["parallel", undefined],
  ])("takes %j for %j", (given, meant) => {
    expect(nearestName(given, known)).toBe(meant);
  });

  it("finds each known name itself, and with any one letter changed", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...known),
        fc.nat(3),
        fc.string({ minLength: 1, maxLength: 1 }),
        (name, at, letter) => {
          expect(nearestName(name, known)).toBe(name);
          expect(nearestName(name.slice(0, at) + letter + name.slice(at + 1), known)).toBe(name);
        },
      ),
    );
  });

  it("answers at once for a huge name", () => {
    expect(nearestName("x".repeat(1e7), known)).toBeUndefined();
  });

  it("makes a hint either way", () => {
    expect(nameHint("snk", known)).toBe('Did you mean "sink"?');
    expect(nameHint("zzzzzz", known)).toBe("Known: durability, depth, mode, sink.");
  });
});
