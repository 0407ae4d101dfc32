import { getPriority, setPriority } from "node:os";

/** As kNiceBehind in native/core/threads.h, which has the reason. */
const NICE_BEHIND = 5;
const NICE_MAX = 19;

/**
 * Lets the program's other threads go before this one. On Linux, where threads have priorities, process 0 is the
 * calling thread (setpriority(2)); elsewhere it would be the whole program.
 */
export function goBehind(): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(0, Math.min(NICE_MAX, getPriority(0) + NICE_BEHIND));
  } catch {
    // Where a sandbox forbids it, this thread competes with the others, and does the same work.
  }
}
