import { open, rm } from "node:fs/promises";
import { nowNs } from "../../base/clock.js";
import type { CeilingRun } from "../job.js";
import { cpuSecondsSince, gbPerSecond } from "../statistics.js";

const WRITE_BYTES = 16 * 2 ** 20;

/**
 * The disk by itself: `bytes` into one new file, one large write after the other, synced at the end when the writer had to be
 * durable as well.
 */
export async function measureDisk(folder: string, bytes: number, durable: boolean): Promise<CeilingRun> {
  const path = `${folder}/bench_raw.bin`;
  const data = new Uint8Array(Math.min(WRITE_BYTES, bytes));
  for (let i = 0; i < data.length; i++) data[i] = Math.imul(i, 0x9e3779b1) >>> 24;
  const file = await open(path, "w");
  try {
    const fromNs = nowNs();
    const cpuFrom = process.cpuUsage();
    for (let at = 0; at < bytes; ) {
      const { bytesWritten } = await file.write(data, 0, Math.min(data.length, bytes - at), at);
      at += bytesWritten;
    }
    if (durable) await file.datasync();
    const rate = gbPerSecond(bytes, nowNs() - fromNs);
    const cpuSeconds = cpuSecondsSince(cpuFrom);
    const what = `sequential write${durable ? " and fdatasync" : ""} of the stored bytes`;
    return {
      kind: "disk",
      what,
      threads: 1,
      bytes,
      gbPerSecond: rate,
      cpuSeconds,
      gbPerCpuSecond: bytes / 1e9 / cpuSeconds,
    };
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}
