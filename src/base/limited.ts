/**
 * Runs `task` for every item, at most `limit` at a time, in order of starting. Waits for all of them also when one
 * fails, then throws the first failure: memory that a task borrows is free again only once every task has settled.
 */
export async function forEachLimited<T>(
  items: readonly T[],
  limit: number,
  task: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  let failure: unknown;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const index = next++;
      try {
        await task(items[index], index);
      } catch (error) {
        if (!failed) failure = error;
        failed = true;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  if (failed) throw failure;
}

/** Waits for all, also when one fails; then throws the first failure: memory that they borrow is free again. */
export async function allSettled(running: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(running)) if (result.status === "rejected") throw result.reason;
}
