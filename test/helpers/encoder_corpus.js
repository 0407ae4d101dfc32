/**
 * Chunks that bring the block encoder into every corner of docs/encoder.md. Integers only: the same bytes on every
 * machine, so that golden vectors can be pinned on them. Plain JavaScript, because scripts outside of vitest use it as
 * well.
 */

/** @param {number} seed @returns {() => number} uniform 32-bit integers (splitmix32) */
export function random32(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

/** Element i of a chunk gets byte p from `byteOf(i, p)`. */
function elements(out, itemBytes, byteOf) {
  const count = Math.floor(out.length / itemBytes);
  for (let i = 0; i < count; i++) for (let p = 0; p < itemBytes; p++) out[i * itemBytes + p] = byteOf(i, p);
}

/** Elements as one little-endian number of up to 53 bits. */
function numbers(out, itemBytes, numberOf) {
  elements(out, itemBytes, numberBytes(numberOf));
}

function numberBytes(numberOf) {
  let at = -1;
  let value = 0;
  return (i, p) => {
    if (i !== at) {
      at = i;
      value = numberOf(i);
    }
    return p < 6 ? Math.floor(value / 2 ** (8 * p)) & 0xff : 0;
  };
}

/** Sum of four bytes: a bell of standard deviation about 148 around 510, like photon noise. */
const bell = (next) => {
  const r = next();
  return (r & 255) + ((r >>> 8) & 255) + ((r >>> 16) & 255) + (r >>> 24);
};

/** Bytes whose counts are the Fibonacci numbers: unlimited Huffman codes would be as long as there are symbols. */
function fibonacci(out) {
  let [a, b, at, symbol] = [1, 1, 0, 0];
  while (at < out.length) {
    for (let k = 0; k < a && at < out.length; k++) out[at++] = symbol;
    symbol = (symbol + 37) & 255;
    [a, b] = a > 10_000 ? [1, 1] : [b, a + b];
  }
  shuffled(out, random32(5));
}

function shuffled(out, next) {
  for (let i = out.length - 1; i > 0; i--) {
    const j = next() % (i + 1);
    [out[i], out[j]] = [out[j], out[i]];
  }
}

/** Exactly the symbols [0, count), as even as possible, in random order. */
function symbols(count) {
  return (out, _itemBytes, next) => {
    for (let i = 0; i < out.length; i++) out[i] = i % count;
    shuffled(out, next);
  };
}

/** Runs whose lengths come from `lengthOf`, of bytes that differ from the one before. */
function runs(lengthOf) {
  return (out, _itemBytes, next) => {
    let value = 0;
    for (let at = 0; at < out.length; ) {
      const length = Math.min(lengthOf(next), out.length - at);
      value = (value + 1 + (next() % 5)) & 255;
      out.fill(value, at, at + length);
      at += length;
    }
  };
}

function interleaved(period) {
  return (out, itemBytes, next) =>
    numbers(out, itemBytes, (i) => 300 * (1 + (i % period) * 7) + (bell(next) >> (3 + (i % period))));
}

/** @type {Readonly<Record<string, (out: Uint8Array, itemBytes: number, next: () => number) => void>>} */
export const CHUNK_KINDS = {
  constant: (out, itemBytes) => elements(out, itemBytes, (_, p) => 17 * (p + 1)),
  zeros: (out) => void out.fill(0),
  noise: (out, _itemBytes, next) => {
    for (let i = 0; i < out.length; i++) out[i] = next();
  },
  noise12: (out, itemBytes, next) => numbers(out, itemBytes, () => next() >>> 20),
  camera: (out, itemBytes, next) => numbers(out, itemBytes, (i) => 100 + ((i >> 9) & 31) * 6 + (bell(next) >> 5)),
  bright: (out, itemBytes, next) => numbers(out, itemBytes, (i) => 9000 + 40 * ((i >> 6) & 63) + bell(next)),
  dark: (out, itemBytes, next) => numbers(out, itemBytes, () => 100 + (bell(next) >> 7)),
  sparse: (out, _itemBytes, next) => {
    out.fill(0);
    for (let k = 0; k < out.length / 60; k++) out[next() % out.length] = next();
  },
  geometric: (out, _itemBytes, next) => {
    for (let i = 0; i < out.length; i++) out[i] = Math.min(255, Math.clz32(next() | 1) * 3);
  },
  staircase: (out, itemBytes) => numbers(out, itemBytes, (i) => i >> 5),
  ramp: (out, itemBytes) => numbers(out, itemBytes, (i) => i * 3),
  coordinates: (out, itemBytes) => numbers(out, itemBytes, (i) => i),
  periodic257: (out) => {
    for (let i = 0; i < out.length; i++) out[i] = (i % 257) & 255;
  },
  labels: (out, itemBytes) =>
    numbers(out, itemBytes, (i) => ((i >> 4) % 13 < 5 ? 0 : 1 + ((i >> 6) % 40) + ((i >> 12) % 3) * 256)),
  colours2: interleaved(2),
  colours3: interleaved(3),
  colours4: interleaved(4),
  fibonacci,
  symbols2: symbols(2),
  symbols16: symbols(16),
  symbols128: symbols(128),
  symbols129: symbols(129),
  symbols130: symbols(130),
  symbols255: symbols(255),
  symbols256: symbols(256),
  highSymbols: (out, _itemBytes, next) => {
    for (let i = 0; i < out.length; i++) out[i] = 200 + (next() & next() & 31);
  },
  runs5: runs(() => 5),
  runs4: runs(() => 4),
  runsShort: runs((next) => 1 + (next() & 7)),
  runsMixed: runs((next) => 1 + (((next() & 255) * (next() & 255)) % (1 + (next() & 1023)))),
  runsLong: runs((next) => 5000 + (next() & 0x7fff)),
  oneRun: (out, _itemBytes, next) => {
    for (let i = 0; i < out.length; i++) out[i] = next();
    out.fill(9, out.length >> 2, (3 * out.length) >> 2);
  },
  noiseThenConstant: (out, _itemBytes, next) => {
    out.fill(0);
    for (let i = 0; i < out.length >> 1; i++) out[i] = next();
  },
  nearlyFlat: (out, _itemBytes, next) => {
    for (let i = 0; i < out.length; i++) out[i] = next() % 41 === 0 ? 7 : next();
  },
  oneOff: (out) => {
    out.fill(3);
    if (out.length > 0) out[out.length - 1] = 4;
  },
  mantissa: (out, itemBytes, next) =>
    elements(out, itemBytes, (i, p) =>
      p === itemBytes - 1 ? 0x3f : p === itemBytes - 2 ? 0x80 + ((i >> 10) & 7) : next(),
    ),
};

/**
 * One chunk.
 * @param {string} kind a key of {@link CHUNK_KINDS}
 * @param {number} itemBytes @param {number} count elements @param {number} [seed]
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function makeChunk(kind, itemBytes, count, seed = 1) {
  const out = new Uint8Array(itemBytes * count);
  CHUNK_KINDS[kind](out, itemBytes, random32(Math.imul(seed, 0x2545f491) + itemBytes + 16 * count));
  return out;
}

/** Bytes per element of Millrace's dtypes. */
export const ITEM_BYTES = [1, 2, 4, 8];

/**
 * Element counts around every limit of the format: literal sizes, the flat test, blocks, Blosc blocks of each width,
 * 300 KB.
 */
export const ELEMENT_COUNTS = [
  1, 2, 3, 4, 5, 7, 8, 15, 31, 32, 63, 64, 65, 127, 128, 129, 255, 256, 257, 258, 300, 511, 512, 513, 600, 1023, 1024,
  1025, 4095, 4096, 4100, 8191, 16383, 16384, 16385, 20_000, 32_767, 32_768, 32_769, 40_000, 65_535, 65_536, 65_537,
  100_001, 150_000,
];

/**
 * Every kind with every element size, at element counts that walk through the list: all counts are met many times, the
 * whole is some ten megabytes.
 * @returns {Generator<{ name: string, kind: string, itemBytes: number, chunk: Uint8Array<ArrayBuffer> }>}
 */
export function* encoderCorpus() {
  let turn = 0;
  for (const kind of Object.keys(CHUNK_KINDS)) {
    for (const itemBytes of ITEM_BYTES) {
      for (let k = 0; k < 9; k++) {
        const count = ELEMENT_COUNTS[(turn + 5 * k) % ELEMENT_COUNTS.length];
        if (count * itemBytes > 400_000) continue;
        yield { name: `${kind}-${itemBytes}x${count}`, kind, itemBytes, chunk: makeChunk(kind, itemBytes, count) };
      }
      turn++;
    }
  }
}
