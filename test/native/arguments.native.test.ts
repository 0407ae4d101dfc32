import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addon, codeOf, hasAddon, sharedBytes } from "./addon_fixture.js";

// biome-ignore lint/suspicious/noExplicitAny: wrong arguments are the point
const any = addon as any;

describe.runIf(hasAddon)("arguments of every exported function", () => {
  const functions = () => Object.keys(any).filter((name) => typeof any[name] === "function");

  test("the exports are the interface", () => {
    expect(Object.keys(any).sort()).toEqual(
      [
        ...[
          "abiVersion",
          "encoderVersion",
          "features",
          "crc32c",
          "regionAdd",
          "regionRemove",
          "regionBytes",
          "addressModulo",
        ],
        ...["releasePages", "encodeChunk", "encoderScratchBytes"],
        ...["copyStart", "copyStop", "copy", "gatherCreate", "gather", "encodePoolCreate", "encodePoolSubmit"],
        ...["encodePoolClose", "directOpen", "directAppend", "directFinish", "directAbandon"],
      ].sort(),
    );
  });

  test("wrong argument counts are refused by name", () => {
    for (const name of functions()) {
      const message = new RegExp(`^${name}: `);
      if (name !== "copyStop") expect(() => any[name](), name).toThrow(message);
      const many = Array.from({ length: 12 }, () => 0);
      expect(() => any[name](...many), name).toThrow(message);
      expect(codeOf(() => any[name](...many))).toBe("NATIVE_ARGUMENT");
    }
  });

  test("arbitrary values never do more than throw an Error with a NATIVE_ or errno code", () => {
    const wild = fc.oneof(
      fc.constantFrom(undefined, null, true, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 10n, Symbol("s")),
      fc.constantFrom(new Uint8Array(3), new Float64Array(2), new Uint32Array(1), new DataView(new ArrayBuffer(4))),
      fc.constantFrom({}, [], () => 0, new Map(), Object.create(null), new Proxy({}, {}), [new Uint8Array(1), 3]),
      fc.string(),
    );
    // Without directOpen: a random string is a legal file name.
    const names = functions().filter((name) => !["directOpen", "copyStart", "encodePoolCreate"].includes(name));
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.array(wild, { maxLength: 7 }), (name, args) => {
        const code = codeOf(() => any[name](...args));
        expect(code).toMatch(/^(NATIVE_\w+|)$/);
      }),
      { numRuns: 3000 },
    );
  });

  test("numbers that are no counts are refused", () => {
    const id = addon.regionAdd(sharedBytes(64));
    const src = new Uint8Array(64);
    for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "8", null, 8n]) {
      expect(codeOf(() => any.copy(id, bad, src, 0, 8))).toBe("NATIVE_ARGUMENT");
      expect(codeOf(() => any.copy(id, 0, src, bad, 8))).toBe("NATIVE_ARGUMENT");
      expect(codeOf(() => any.copy(id, 0, src, 0, bad))).toBe("NATIVE_ARGUMENT");
      expect(codeOf(() => any.copy(bad, 0, src, 0, 8))).toBe("NATIVE_ARGUMENT");
      expect(codeOf(() => any.crc32c(src, bad))).toBe("NATIVE_ARGUMENT");
    }
    addon.regionRemove(id);
  });

  test("detached views are refused, and named", () => {
    const id = addon.regionAdd(sharedBytes(64));
    const detached = new Uint8Array(64);
    const view = new DataView(detached.buffer);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    expect(codeOf(() => addon.crc32c(detached))).toBe("NATIVE_DETACHED");
    expect(codeOf(() => addon.regionAdd(detached))).toBe("NATIVE_DETACHED");
    expect(codeOf(() => addon.copy(id, 0, detached, 0, 0))).toBe("NATIVE_DETACHED");
    expect(codeOf(() => any.copy(id, 0, view, 0, 0))).toMatch(/NATIVE_(DETACHED|ARGUMENT)/);
    expect(() => addon.copy(id, 0, detached, 0, 0)).toThrow(/src lies over a detached buffer/);
    addon.regionRemove(id);
  });

  test("handles of another kind are refused", () => {
    const gather = addon.gatherCreate({
      itemBytes: 1,
      chunkShape: Uint32Array.of(4),
      srcStrides: Float64Array.of(1),
      fill: new Uint8Array(1),
    });
    expect(codeOf(() => any.encodePoolClose(gather, () => {}))).toBe("NATIVE_ARGUMENT");
    expect(codeOf(() => any.directAbandon(gather))).toBe("NATIVE_ARGUMENT");
    expect(codeOf(() => any.gather({}, new Uint8Array(4), 0, Uint32Array.of(4), new Uint8Array(4), 0))).toBe(
      "NATIVE_ARGUMENT",
    );
    expect(
      codeOf(() => any.gather(Object.create(gather), new Uint8Array(4), 0, Uint32Array.of(4), new Uint8Array(4), 0)),
    ).toBe("NATIVE_ARGUMENT");
  });

  test("what a getter throws comes through", () => {
    const description = {
      itemBytes: 1,
      get chunkShape(): Uint32Array {
        throw new RangeError("from the getter");
      },
      srcStrides: Float64Array.of(1),
      fill: new Uint8Array(1),
    };
    expect(() => addon.gatherCreate(description)).toThrow(new RangeError("from the getter"));
  });

  test("a getter that detaches an earlier property's buffer is caught", () => {
    const shape = Uint32Array.of(4);
    const description = {
      itemBytes: 1,
      chunkShape: shape,
      srcStrides: Float64Array.of(1),
      get fill() {
        structuredClone(shape.buffer, { transfer: [shape.buffer] });
        return new Uint8Array(1);
      },
    };
    expect(codeOf(() => addon.gatherCreate(description))).toBe("NATIVE_DETACHED");
  });
});
