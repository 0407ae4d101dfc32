/**
 * How thorough the long enumerations are. Every run takes a sample of them, the same one each time; with
 * MILLRACE_WIDE=1, as `npm run test:wide` sets it, they are complete. CI runs both.
 */
export const isWide = process.env.MILLRACE_WIDE === "1";

/** Repeats, kills or generated cases: `few` in every run, `many` in a wide one. */
export function times(few: number, many: number): number {
  return isWide ? many : few;
}

/** All in a wide run, else `few` of them, evenly spread: the first and the last are always among them. */
export function spread<T>(all: readonly T[], few: number): readonly T[] {
  if (isWide || all.length <= few) return all;
  return Array.from({ length: few }, (_, i) => all[Math.round((i * (all.length - 1)) / (few - 1))]);
}

/** Whole numbers from 1 to `count`, spread in the same way. */
export function spreadCalls(count: number, few: number): readonly number[] {
  return spread(
    Array.from({ length: count }, (_, i) => i + 1),
    few,
  );
}
