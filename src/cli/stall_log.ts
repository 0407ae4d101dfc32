import type { Writable } from "node:stream";
import type { ArrayWriter } from "../index.js";
import { progressSample } from "./run_writer.js";
import { StallLog } from "./stall.js";

const LOOK_MS = 1000;

/**
 * Says on stderr when one of the writers stands still and why, until the returned function is called. Keeps no process
 * alive.
 */
export function logStalls(writers: readonly ArrayWriter[], stderr: Writable): () => void {
  const logs = writers.map((writer, i) => {
    const which = writers.length === 1 ? "" : `stream ${i + 1}: `;
    return { writer, log: new StallLog((text) => stderr.write(`millrace: ${which}${text}\n`)) };
  });
  const timer = setInterval(() => {
    for (const { writer, log } of logs) log.look(progressSample(writer));
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
