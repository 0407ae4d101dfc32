import type { CeilingRun } from "../job.js";
import { runThreads } from "./threads.js";

/** Over all threads together; each of the three buffers. Twice a large last-level cache. */
const BUFFER_BYTES = 64 * 2 ** 20;

/**
 * Two-pass copy: input → buffer → buffer, what a pipeline without a codec cannot do without. Each thread copies its own
 * part of three buffers, all of pass one before pass two, so that nothing stays in a cache in between. Private memory:
 * V8 copies to shared memory word by word, which is no ceiling.
 */
export async function measureCopy(threads: number, seconds: number): Promise<CeilingRun> {
  const partBytes = Math.ceil(BUFFER_BYTES / threads / 4096) * 4096;
  const { outBytes: _, ...measured } = await runThreads(
    new URL("./copy_thread.js", import.meta.url),
    Array.from({ length: threads }, () => ({ partBytes })),
    seconds,
  );
  return { kind: "copy", what: `two-pass memory copy × ${threads}`, threads, ...measured };
}
