/** IEEE 754 binary16 as bit patterns: Node 20 has neither Float16Array nor Math.f16round. */

const scratch = new DataView(new ArrayBuffer(8));

/**
 * The binary16 nearest to `value`, ties to even, as its 16 bits.
 *
 * Rounds from the double at once: going through float32 would round twice and be off by one where the float32 lands on
 * a tie. Every NaN becomes the canonical quiet NaN 0x7e00.
 */
export function toHalfBits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  // 65520 lies halfway between the largest half, 65504, and 65536, which is out of range: the tie goes to infinity.
  if (magnitude >= 65520) return sign | 0x7c00;
  // Subnormals are multiples of 2^-24. The scaling is exact; 1024 of them is the least normal half, whose bits are
  // 0x0400.
  if (magnitude < 2 ** -14) return sign | roundHalfEven(magnitude * 2 ** 24);
  scratch.setFloat64(0, magnitude);
  const exponent = ((scratch.getUint16(0) >> 4) & 0x7ff) - 1023;
  // 1024 … 2048: a carry to 2048 runs into the exponent bits, where it means the next binade.
  const significand = roundHalfEven(magnitude * 2 ** (10 - exponent));
  return sign | (((exponent + 15) << 10) + significand - 1024);
}

/** The number that 16 bits stand for; exact. NaN payloads are lost, as in any JavaScript number. */
export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** For 0 ≤ x < 2^52. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest > 0.5 || (rest === 0.5 && floor % 2 === 1)) return floor + 1;
  return floor;
}
