import { assert } from "./assert.js";
import { MillraceError } from "./errors.js";

/** Counts and byte offsets are safe integers: exact to 2^53 − 1, which is 9 petabytes. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** ⌈n / d⌉ for counts; exact, unlike Math.ceil(n / d), which rounds the quotient first. */
export function ceilDiv(n: number, d: number): number {
  assert(isCount(n) && isCount(d) && d > 0, "ceilDiv takes counts", { n, d });
  const r = n % d;
  return r === 0 ? n / d : (n - r) / d + 1;
}

export function floorDiv(n: number, d: number): number {
  assert(isCount(n) && isCount(d) && d > 0, "floorDiv takes counts", { n, d });
  return (n - (n % d)) / d;
}

/** n / d where d must divide n. */
export function exactDiv(n: number, d: number): number {
  assert(isCount(n) && isCount(d) && d > 0 && n % d === 0, "exactDiv needs a divisor", { n, d });
  return n / d;
}

export function alignUp(n: number, alignment: number): number {
  return ceilDiv(n, alignment) * alignment;
}

/**
 * The product of counts.
 * @throws MillraceError BAD_GEOMETRY when it leaves the safe integers; `what` names the product in the message.
 */
export function product(factors: Iterable<number>, what = "product"): number {
  let result = 1;
  let zero = false;
  for (const factor of factors) {
    assert(isCount(factor), `${what}: factor is a count`, { factor });
    if (factor === 0) zero = true;
    else result *= factor;
    if (!Number.isSafeInteger(result)) {
      throw new MillraceError("BAD_GEOMETRY", `${what} exceeds 2^53 − 1.`, { context: { what } });
    }
  }
  return zero ? 0 : result;
}
