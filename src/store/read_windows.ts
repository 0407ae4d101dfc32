import type { ChunkRange } from "../zarr/shard_index.js";

/** A range that somebody wants, with what it is. */
export interface WantedRange<T> extends ChunkRange {
  readonly what: T;
}

/** One read: neighbouring ranges of an object, fetched together. */
interface ReadWindow<T> {
  readonly offset: number;
  readonly nbytes: number;
  readonly ranges: readonly WantedRange<T>[];
}

/**
 * Chunks are small and a read costs a round trip; a window bounds memory all the same. A larger range is read alone.
 */
export const WINDOW_BYTES = 4 * 2 ** 20;
/** Unwanted bytes between two ranges that are cheaper to read than to skip. */
export const GAP_BYTES = 64 * 2 ** 10;

/** Sorts by offset and joins neighbours. */
export function planWindows<T>(
  wanted: readonly WantedRange<T>[],
  windowBytes = WINDOW_BYTES,
  gapBytes = GAP_BYTES,
): ReadWindow<T>[] {
  const sorted = [...wanted].sort((a, b) => a.offset - b.offset);
  const windows: { offset: number; nbytes: number; ranges: WantedRange<T>[] }[] = [];
  for (const range of sorted) {
    const last = windows.at(-1);
    const end = range.offset + range.nbytes;
    if (
      last !== undefined &&
      range.offset - (last.offset + last.nbytes) <= gapBytes &&
      end - last.offset <= windowBytes
    ) {
      last.nbytes = Math.max(last.nbytes, end - last.offset);
      last.ranges.push(range);
    } else {
      windows.push({ offset: range.offset, nbytes: range.nbytes, ranges: [range] });
    }
  }
  return windows;
}

/**
 * Calls `use` for every item in order, while the next one is being loaded: two items are in memory at most.
 * The first error of either ends it; no load is left running.
 */
export async function forEachLoaded<T, V>(
  items: readonly T[],
  load: (item: T) => Promise<V>,
  use: (item: T, value: V) => Promise<void>,
): Promise<void> {
  let next: Promise<V> | undefined = items.length > 0 ? load(items[0]) : undefined;
  for (let i = 0; i < items.length; i++) {
    const value = await next!;
    next = i + 1 < items.length ? load(items[i + 1]) : undefined;
    // An error of the load under way must not count as unhandled while `use` still runs.
    next?.catch(() => {});
    try {
      await use(items[i], value);
    } catch (error) {
      await next?.catch(() => {});
      throw error;
    }
  }
}
