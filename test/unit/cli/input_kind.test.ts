import { describe, expect, it } from "vitest";
import { brokenPromise, contentOf, HEAD_BYTES } from "../../../src/cli/input_kind.js";

const bytes = (text: string, at = 0) =>
  Uint8Array.from([...new Uint8Array(at), ...[...text].map((letter) => letter.charCodeAt(0))]);

describe("contentOf", () => {
  it.each([
    ["II*\0", 0, "a TIFF image"],
    ["MM\0*", 0, "a TIFF image"],
    ["II+\0\b\0\0\0", 0, "a TIFF image"],
    ["MM\0+\0\b\0\0", 0, "a TIFF image"],
    ["\x93NUMPY\x01\0", 0, "a NumPy array (.npy)"],
    ["\x89PNG\r\n\x1a\n", 0, "a PNG image"],
    ["\xff\xd8\xff\xe0", 0, "a JPEG image"],
    ["\x89HDF\r\n\x1a\n", 0, "an HDF5 file"],
    ["\xda\xce\xbe\x0a", 0, "a Nikon ND2 file"],
    ["ZISRAWFILE", 0, "a Zeiss CZI file"],
    ["\x70\0\0\0abcd\x2a", 0, "a Leica LIF file"],
    ["\x1f\x8b\x08", 0, "gzip"],
    ["PK\x03\x04", 0, "a zip archive (.npz is one)"],
    ["\x28\xb5\x2f\xfd", 0, "zstd"],
    ["DICM", 128, "a DICOM file"],
    ["ustar", 257, "a tar archive"],
  ])("knows %j at byte %i", (text, at, name) => {
    expect(contentOf(bytes(text, at))?.name).toBe(name);
    // Cut short it is not known, and read as raw.
    expect(contentOf(bytes(text.slice(0, 1), at))).toBeUndefined();
    expect(at + text.length).toBeLessThanOrEqual(HEAD_BYTES);
  });

  it("takes plain pixels for raw", () => {
    for (const value of [0, 1, 100, 255]) expect(contentOf(new Uint8Array(HEAD_BYTES).fill(value))).toBeUndefined();
    expect(contentOf(new Uint8Array(0))).toBeUndefined();
  });
});

describe("brokenPromise", () => {
  it("holds names to their endings, and nothing else", () => {
    const tiff = contentOf(bytes("II*\0"));
    expect(brokenPromise("a.tif", tiff)).toBeUndefined();
    expect(brokenPromise("a.npy", tiff)).toBe("NumPy");
    expect(brokenPromise("a.BTF", undefined)).toBe("TIFF");
    expect(brokenPromise("a.raw", tiff)).toBeUndefined();
    expect(brokenPromise("a.tif.raw", undefined)).toBeUndefined();
  });
});
