/** Deterministic test data. */

/** xorshift32: bytes that no compressor shortens. */
export function noise(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let x = (seed | 0) ^ 0x9e3779b9 || 1;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[i] = x;
  }
  return bytes;
}

/** Little-endian 16-bit values that rise slowly: compresses well, and no two neighbours are the same chunk. */
export function ramp(length: number, start = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const value = start + ((i >> 1) * 37) / 16;
    bytes[i] = i % 2 === 0 ? value : value / 256;
  }
  return bytes;
}

/** The same bytes over shared memory, at an odd offset. */
export function shared(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length + 3), 3, bytes.length);
  copy.set(bytes);
  return copy;
}
