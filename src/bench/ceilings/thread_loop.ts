import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../../base/assert.js";
import { nowNs } from "../../base/clock.js";
import { cpuSecondsSince } from "../statistics.js";
import type { CeilingThreadInit, CeilingThreadResult } from "./threads.js";

/** One step's bytes. */
interface StepBytes {
  readonly bytes: number;
  readonly outBytes: number;
}

/** Body of a ceiling thread: prepares, waits for the others, repeats `step` until the time is over, answers. */
export async function serveCeiling<T>(prepare: (data: T) => Promise<() => StepBytes>): Promise<void> {
  assert(parentPort !== null, "a ceiling runs as a worker");
  const { data, ready, threads, seconds } = workerData as CeilingThreadInit<T>;
  const step = await prepare(data);
  // One step untimed: touches pages, compiles code.
  step();
  Atomics.add(ready, 0, 1);
  Atomics.notify(ready, 0);
  for (let seen = Atomics.load(ready, 0); seen < threads; seen = Atomics.load(ready, 0)) Atomics.wait(ready, 0, seen);
  const fromNs = nowNs();
  const cpuFrom = process.cpuUsage();
  let bytes = 0;
  let outBytes = 0;
  let ns = 0;
  do {
    const done = step();
    bytes += done.bytes;
    outBytes += done.outBytes;
    ns = nowNs() - fromNs;
  } while (ns < seconds * 1e9);
  parentPort.postMessage({ bytes, outBytes, ns, cpuSeconds: cpuSecondsSince(cpuFrom) } satisfies CeilingThreadResult);
}
