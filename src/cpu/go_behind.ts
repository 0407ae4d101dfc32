import { readlinkSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { basename } from "node:path";

/** As kNiceBehind in native/core/threads.h, which has the reason. */
const NICE_BEHIND = 5;
const NICE_MAX = 19;

/** Lets the program's other threads go before this one. Linux has a priority for each thread; elsewhere it is the process's, and stays. */
export function goBehind(): void {
  if (process.platform !== "linux") return;
  try {
    const thread = Number(basename(readlinkSync("/proc/thread-self")));
    setPriority(thread, Math.min(NICE_MAX, getPriority(thread) + NICE_BEHIND));
  } catch {
    // Without /proc, or where a sandbox forbids it: this thread competes with the others, and does the same work.
  }
}
