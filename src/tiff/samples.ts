/**
 * What is done to the samples of a segment (strip or tile) once it is decompressed. All in place, or into memory of the
 * caller.
 */

/** Reverses the bytes of every sample. */
export function swapSamples(bytes: Uint8Array, itemBytes: number): void {
  for (let at = 0; at + itemBytes <= bytes.length; at += itemBytes) {
    for (let i = at, j = at + itemBytes - 1; i < j; i++, j--) {
      const kept = bytes[i];
      bytes[i] = bytes[j];
      bytes[j] = kept;
    }
  }
}

/**
 * Undoes predictor 2 (TIFF 6.0 §14): every sample is the difference to the same sample of the pixel before, modulo its
 * width; floats are
 * taken as integers of theirs. Each row of a segment begins anew.
 * @param bytes little-endian, aligned to `itemBytes`, whole rows of `rowSamples` samples
 * @param stride samples of a pixel
 */
export function undoDifferences(bytes: Uint8Array, itemBytes: number, rowSamples: number, stride: number): void {
  const values = typed(bytes, itemBytes);
  if (values instanceof BigUint64Array) {
    for (let row = 0; row < values.length; row += rowSamples) {
      for (let i = row + stride; i < row + rowSamples; i++) values[i] += values[i - stride];
    }
  } else {
    for (let row = 0; row < values.length; row += rowSamples) {
      for (let i = row + stride; i < row + rowSamples; i++) values[i] += values[i - stride];
    }
  }
}

function typed(bytes: Uint8Array, itemBytes: number): Uint8Array | Uint16Array | Uint32Array | BigUint64Array {
  const { buffer, byteOffset, byteLength } = bytes;
  const count = byteLength / itemBytes;
  switch (itemBytes) {
    case 1:
      return bytes;
    case 2:
      return new Uint16Array(buffer, byteOffset, count);
    case 4:
      return new Uint32Array(buffer, byteOffset, count);
    default:
      return new BigUint64Array(buffer, byteOffset, count);
  }
}

/**
 * Undoes predictor 3 (Adobe's technical note of 2005): the bytes of a row's floats stand plane by plane, most
 * significant first whatever
 * the file's byte order is, and as differences to the byte `stride` places before.
 * @param bytes whole rows of `rowSamples` samples; becomes little-endian samples
 * @param stride samples of a pixel
 */
export function undoFloatingPoint(bytes: Uint8Array, itemBytes: number, rowSamples: number, stride: number): void {
  const rowBytes = rowSamples * itemBytes;
  const planes = new Uint8Array(rowBytes);
  for (let row = 0; row + rowBytes <= bytes.length; row += rowBytes) {
    for (let i = 0; i < rowBytes; i++) planes[i] = bytes[row + i] + (i < stride ? 0 : planes[i - stride]);
    for (let plane = 0; plane < itemBytes; plane++) {
      let to = row + itemBytes - 1 - plane;
      for (let i = plane * rowSamples; i < (plane + 1) * rowSamples; i++, to += itemBytes) bytes[to] = planes[i];
    }
  }
}

/**
 * Expands samples of 1 to 15 bits, packed without gaps, most significant bit first, every row from a byte of its own.
 * @param src whole rows of ⌈rowSamples × bits / 8⌉ bytes
 * @param dst gets a byte a sample up to 8 bits, else two bytes, little-endian
 */
export function expandBits(src: Uint8Array, dst: Uint8Array, bits: number, rows: number, rowSamples: number): void {
  const rowBytes = Math.ceil((rowSamples * bits) / 8);
  const wide = bits > 8;
  const mask = (1 << bits) - 1;
  let to = 0;
  for (let row = 0; row < rows; row++) {
    let at = row * rowBytes;
    let held = 0;
    let heldBits = 0;
    for (let i = 0; i < rowSamples; i++) {
      while (heldBits < bits) {
        held = ((held << 8) | src[at++]) & 0xffffff;
        heldBits += 8;
      }
      heldBits -= bits;
      const value = (held >>> heldBits) & mask;
      dst[to++] = value & 0xff;
      if (wide) dst[to++] = value >>> 8;
    }
  }
}
