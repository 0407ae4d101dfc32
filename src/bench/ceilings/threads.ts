import { Worker } from "node:worker_threads";
import { threadFailed } from "../../base/thread_failed.js";
import { workerFlags } from "../../base/worker_flags.js";

/** What every ceiling thread is given, besides its own data. */
export interface CeilingThreadInit<T> {
  readonly data: T;
  /** Words: threads that are ready; threads wait until all are. */
  readonly ready: Int32Array;
  readonly threads: number;
  readonly seconds: number;
}

/** What it answers. */
export interface CeilingThreadResult {
  readonly bytes: number;
  readonly outBytes: number;
  readonly ns: number;
  /** Of the whole process, while this thread measured. */
  readonly cpuSeconds: number;
}

interface ThreadsResult {
  readonly bytes: number;
  readonly outBytes: number;
  readonly gbPerSecond: number;
  readonly cpuSeconds: number;
  readonly gbPerCpuSecond: number;
}

/**
 * Runs `threads` workers side by side for `seconds`, each on its own data, and adds up their rates. They start their
 * clocks together and each stops at a step of its own, so rates are added, not bytes.
 */
export async function runThreads<T>(entry: URL, data: readonly T[], seconds: number): Promise<ThreadsResult> {
  const ready = new Int32Array(new SharedArrayBuffer(4));
  const results = await Promise.all(
    data.map((own) => runOne(entry, { data: own, ready, threads: data.length, seconds })),
  );
  const bytes = results.reduce((sum, result) => sum + result.bytes, 0);
  const cpuSeconds = Math.max(...results.map((result) => result.cpuSeconds));
  return {
    bytes,
    outBytes: results.reduce((sum, result) => sum + result.outBytes, 0),
    gbPerSecond: results.reduce((sum, result) => sum + result.bytes / result.ns, 0),
    cpuSeconds,
    gbPerCpuSecond: bytes / 1e9 / cpuSeconds,
  };
}

function runOne<T>(entry: URL, init: CeilingThreadInit<T>): Promise<CeilingThreadResult> {
  return new Promise((resolve, reject) => {
    const lost = (cause: unknown): void =>
      reject(threadFailed("a thread that measures a ceiling stopped on its own", cause));
    const worker = new Worker(entry, { workerData: init, ...workerFlags() });
    worker.once("message", resolve);
    worker.once("error", lost);
    worker.once("exit", (code) => lost(new Error(`exit code ${code}`)));
  });
}
