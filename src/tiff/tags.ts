/** Tags that are read (TIFF 6.0; the supplements for the later ones), and the values that have a meaning here. */
export const TAG = {
  newSubfileType: 254,
  subfileType: 255,
  imageWidth: 256,
  imageLength: 257,
  bitsPerSample: 258,
  compression: 259,
  photometric: 262,
  fillOrder: 266,
  imageDescription: 270,
  stripOffsets: 273,
  orientation: 274,
  samplesPerPixel: 277,
  rowsPerStrip: 278,
  stripByteCounts: 279,
  planarConfiguration: 284,
  predictor: 317,
  tileWidth: 322,
  tileLength: 323,
  tileOffsets: 324,
  tileByteCounts: 325,
  extraSamples: 338,
  sampleFormat: 339,
  imageDepth: 32997,
  tileDepth: 32998,
  /** MetaMorph STK: as many values as planes lie behind the page. */
  metaMorphPlanes: 33629,
} as const;

export type Compression = "none" | "lzw" | "deflate" | "packbits" | "zstd";

/**
 * What is read. 8 is Adobe's number for Deflate, 32946 the older one; 50000 is zstd, as libtiff and tifffile number it.
 */
export const COMPRESSIONS: ReadonlyMap<number, Compression> = new Map<number, Compression>([
  [1, "none"],
  [5, "lzw"],
  [8, "deflate"],
  [32946, "deflate"],
  [32773, "packbits"],
  [50000, "zstd"],
]);

/** Names for what is not read. */
export const OTHER_COMPRESSIONS: Readonly<Record<number, string>> = {
  2: "CCITT RLE",
  3: "CCITT T.4",
  4: "CCITT T.6",
  6: "JPEG (old form)",
  7: "JPEG",
  32771: "CCITT RLE, word-aligned",
  32809: "ThunderScan",
  33003: "JPEG 2000",
  33004: "JPEG 2000",
  33005: "JPEG 2000",
  33007: "JPEG (lossless or lossy)",
  34676: "SGI LogLuv",
  34677: "SGI LogLuv 24",
  34712: "JPEG 2000",
  34887: "LERC",
  34892: "lossy JPEG",
  34925: "LZMA",
  34926: "zstd (old number)",
  34927: "WebP",
  34933: "PNG",
  34934: "JPEG XR",
  50001: "WebP",
  50002: "JPEG XL",
  52546: "JPEG XL",
};

/** Photometric interpretations whose stored samples are the values meant: greys, colours, ink, a sensor's mosaic. */
export const PLAIN_PHOTOMETRICS: ReadonlySet<number> = new Set([1, 2, 5, 32803, 34892]);

export const OTHER_PHOTOMETRICS: Readonly<Record<number, string>> = {
  0: "WhiteIsZero",
  3: "a palette",
  4: "a transparency mask",
  6: "YCbCr",
  8: "CIE L*a*b*",
  9: "ICC L*a*b*",
  10: "ITU L*a*b*",
};
