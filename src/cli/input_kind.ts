/** What a file is by its first bytes. A name says nothing: images come with any ending, and raw frames with `.tif`. */
export interface Content {
  readonly kind: "tiff" | "npy" | "other";
  /** For people: "a PNG image". */
  readonly name: string;
  /** What to do about it, where it is not read. */
  readonly advice?: string;
}

/** How many first bytes are looked at. */
export const HEAD_BYTES = 512;

const IMAGE = "Convert it to TIFF or to raw frames.";
const MICROSCOPE = "Export it as OME-TIFF, or convert it with bioformats2raw.";
const PACKED = "Unpack it first.";
const ARRAYS = "Write the array that it holds to .npy or to raw frames.";

interface Signature {
  readonly at?: number;
  /** Latin 1; "\u0000" and other escapes stand for bytes. */
  readonly bytes: string;
  readonly content: Content;
}

const other = (name: string, advice: string): Content => ({ kind: "other", name, advice });
const TIFF: Content = { kind: "tiff", name: "a TIFF image" };

/** Signatures of three bytes and more: raw pixels look like one of fewer too often. */
const SIGNATURES: readonly Signature[] = [
  { bytes: "II*\0", content: TIFF },
  { bytes: "MM\0*", content: TIFF },
  { bytes: "II+\0\b\0\0\0", content: TIFF },
  { bytes: "MM\0+\0\b\0\0", content: TIFF },
  { bytes: "\x93NUMPY", content: { kind: "npy", name: "a NumPy array (.npy)" } },
  { bytes: "\x89PNG\r\n\x1a\n", content: other("a PNG image", IMAGE) },
  { bytes: "\xff\xd8\xff", content: other("a JPEG image", IMAGE) },
  { bytes: "\0\0\0\x0cjP  \r\n\x87\n", content: other("a JPEG 2000 image (or an old ND2 file)", IMAGE) },
  { bytes: "\xff\x4f\xff\x51", content: other("a JPEG 2000 codestream", IMAGE) },
  { bytes: "GIF87a", content: other("a GIF image", IMAGE) },
  { bytes: "GIF89a", content: other("a GIF image", IMAGE) },
  { bytes: "RIFF", content: other("a RIFF file (AVI, WebP)", IMAGE) },
  { bytes: "SIMPLE  =", content: other("a FITS file", IMAGE) },
  { bytes: "NRRD000", content: other("an NRRD file", IMAGE) },
  { at: 128, bytes: "DICM", content: other("a DICOM file", IMAGE) },
  { at: 208, bytes: "MAP ", content: other("an MRC file", IMAGE) },
  { at: 4, bytes: "ftyp", content: other("an MP4 or HEIF file", IMAGE) },
  { bytes: "\x89HDF\r\n\x1a\n", content: other("an HDF5 file", ARRAYS) },
  { bytes: "CDF\x01", content: other("a NetCDF file", ARRAYS) },
  { bytes: "CDF\x02", content: other("a NetCDF file", ARRAYS) },
  { bytes: "MATLAB 5.0 MAT-file", content: other("a MATLAB file", ARRAYS) },
  { bytes: "PK\x03\x04", content: other("a zip archive (.npz is one)", PACKED) },
  { bytes: "\x1f\x8b\x08", content: other("gzip", PACKED) },
  { bytes: "\x28\xb5\x2f\xfd", content: other("zstd", PACKED) },
  { bytes: "\xfd7zXZ\0", content: other("xz", PACKED) },
  { at: 4, bytes: "1AY&SY", content: other("bzip2", PACKED) },
  { bytes: "\x04\x22\x4d\x18", content: other("LZ4", PACKED) },
  { bytes: "7z\xbc\xaf\x27\x1c", content: other("a 7z archive", PACKED) },
  { at: 257, bytes: "ustar", content: other("a tar archive", PACKED) },
  { bytes: "\xda\xce\xbe\x0a", content: other("a Nikon ND2 file", MICROSCOPE) },
  { bytes: "ZISRAWFILE", content: other("a Zeiss CZI file", MICROSCOPE) },
  { bytes: "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", content: other("a Zeiss ZVI or Olympus OIB file (OLE)", MICROSCOPE) },
];

/**
 * What the bytes belong to, or undefined: then they may be raw elements. Fewer than {@link HEAD_BYTES} are looked at as
 * far as they go.
 */
export function contentOf(head: Uint8Array): Content | undefined {
  const found = SIGNATURES.find(({ at = 0, bytes }) => startsWith(head, at, bytes));
  if (found !== undefined) return found.content;
  // Leica's LIF: a length, and a mark of its own behind it.
  if (startsWith(head, 0, "\x70\0\0\0") && head[8] === 0x2a) return other("a Leica LIF file", MICROSCOPE);
  return undefined;
}

function startsWith(head: Uint8Array, at: number, bytes: string): boolean {
  if (head.length < at + bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) if (head[at + i] !== bytes.charCodeAt(i)) return false;
  return true;
}

/** Endings that promise a format which the content must keep. */
const PROMISES: readonly (readonly [RegExp, Content["kind"], string])[] = [
  [/\.(tiff?|btf|tf2|tf8)$/i, "tiff", "TIFF"],
  [/\.npy$/i, "npy", "NumPy"],
];

/**
 * The format that the name promises and the content is not; undefined where nothing is promised, or the promise kept.
 */
export function brokenPromise(name: string, content: Content | undefined): string | undefined {
  return PROMISES.find(([ending, kind]) => ending.test(name) && content?.kind !== kind)?.[2];
}
