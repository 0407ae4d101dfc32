import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { copyAttributes } from "../../../src/zarr/attributes.js";

describe("attributes", () => {
  it("are copied whole", () => {
    // Through JSON and back: −0 is refused, and has a test of its own.
    const document = fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.parse(JSON.stringify(value)));
    fc.assert(
      fc.property(document, (given) => {
        const copy = copyAttributes(given);
        expect(JSON.stringify(copy)).toBe(JSON.stringify(given));
      }),
    );
  });

  it("are a frozen copy", () => {
    const given = { a: { b: [1, { c: 2 }] } };
    const copy = copyAttributes(given);
    given.a.b.push(3);
    expect(copy).toEqual({ a: { b: [1, { c: 2 }] } });
    const a = copy.a as { b: unknown[] };
    for (const part of [copy, a, a.b, a.b[1]]) expect(Object.isFrozen(part)).toBe(true);
  });

  it("may hold a member named __proto__, one object twice, and objects of another realm", () => {
    const copy = copyAttributes(JSON.parse('{"__proto__": {"x": 1}}'));
    expect(Object.keys(copy)).toEqual(["__proto__"]);
    expect("x" in copy).toBe(false);
    const shared = { n: 1 };
    expect(copyAttributes({ a: shared, b: [shared] })).toEqual({ a: { n: 1 }, b: [{ n: 1 }] });
    expect(copyAttributes(runInNewContext("({ a: { b: [1] } })"))).toEqual({ a: { b: [1] } });
    expect(copyAttributes(Object.assign(Object.create(null), { a: 1 }))).toEqual({ a: 1 });
  });

  const cycle: Record<string, unknown> = { a: {} };
  (cycle.a as Record<string, unknown>).b = [cycle];
  let deep: unknown = 1;
  for (let i = 0; i < 200_000; i++) deep = [deep];
  it.each<[string, unknown, string]>([
    ["undefined", { a: { b: undefined } }, "array.attributes.a.b"],
    ["NaN", { a: [1, Number.NaN] }, "array.attributes.a[1]"],
    ["infinity", { a: Number.POSITIVE_INFINITY }, "array.attributes.a"],
    ["a bigint", { a: 1n }, "array.attributes.a"],
    ["a function", { a: () => 1 }, "array.attributes.a"],
    ["a symbol", { a: Symbol("s") }, "array.attributes.a"],
    ["a date", { a: new Date(0) }, "array.attributes.a"],
    ["a map", { a: new Map() }, "array.attributes.a"],
    ["a typed array", { a: new Uint8Array(2) }, "array.attributes.a"],
    ["a hole", { a: new Array(2) }, "array.attributes.a[0]"],
    ["minus zero", { a: [-0] }, "array.attributes.a[0]"],
    ["half a surrogate pair", { a: ["\ud83d"] }, "array.attributes.a[0]"],
    ["a member named by half a pair", { a: { "\ud83d": 1 } }, "array.attributes.a.\ud83d"],
    ["a method toJSON", { a: { toJSON: () => 1 } }, "array.attributes.a.toJSON"],
    ["an instance with toJSON", { a: new URL("file:///a") }, "array.attributes.a"],
    ["a boxed text", { a: new String("x") }, "array.attributes.a"],
    ["a symbol as a name", { a: { [Symbol("s")]: 1 } }, "array.attributes.a[Symbol(s)]"],
    ["a list with a member", { a: Object.assign([1], { unit: "s" }) }, "array.attributes.a.unit"],
    ["Millrace's own member", { millrace: {} }, "array.attributes.millrace"],
    ["a cycle", cycle, "array.attributes.a.b[0]"],
    ["an array", [], "array.attributes"],
    ["null", null, "array.attributes"],
    ["text", "{}", "array.attributes"],
  ])("refuse %s and say where", (_, value, option) => {
    expect(() => copyAttributes(value)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", context: expect.objectContaining({ option }) }),
    );
  });

  it("refuse what is nested so deep that readers would run out of stack", () => {
    expect(() => copyAttributes({ deep })).toThrow(/at most 100 deep/);
  });
});
