import { type FileHandle, open, rm } from "node:fs/promises";
import { nowNs } from "../../base/clock.js";
import type { CeilingRun } from "../job.js";
import { cpuSecondsSince, gbPerSecond } from "../statistics.js";

const WRITE_BYTES = 16 * 2 ** 20;
/**
 * Files written side by side: what Node's file threads do at once. One alone is bound by copying into the page cache.
 */
const FILES = 4;

/**
 * The disk by itself: `bytes` in large sequential writes into a few files side by side, synced when the writer had to
 * be durable as well. One pass: a second one would find the page cache's memory ready, which the writer does not (on
 * virtual machines that give free memory back, this is a factor of up to ten).
 */
export async function measureDisk(folder: string, bytes: number, durable: boolean): Promise<CeilingRun> {
  const data = new Uint8Array(WRITE_BYTES);
  for (let i = 0; i < data.length; i++) data[i] = Math.imul(i, 0x9e3779b1) >>> 24;
  const paths = Array.from({ length: FILES }, (_, i) => `${folder}/bench_raw_${i}.bin`);
  const cpuFrom = process.cpuUsage();
  const fromNs = nowNs();
  try {
    await Promise.all(
      paths.map(async (path, i) => {
        const part = Math.floor((bytes * (i + 1)) / FILES) - Math.floor((bytes * i) / FILES);
        const file = await open(path, "w");
        try {
          await writePart(file, data, part);
          if (durable) await file.datasync();
        } finally {
          await file.close();
        }
      }),
    );
    const rate = gbPerSecond(bytes, nowNs() - fromNs);
    const cpuSeconds = cpuSecondsSince(cpuFrom);
    const what = `${FILES} files written side by side${durable ? " and synced" : ""}, the stored bytes`;
    return {
      kind: "disk",
      what,
      threads: FILES,
      bytes,
      gbPerSecond: rate,
      cpuSeconds,
      gbPerCpuSecond: bytes / 1e9 / cpuSeconds,
    };
  } finally {
    await Promise.all(paths.map((path) => rm(path, { force: true })));
  }
}

async function writePart(file: FileHandle, data: Uint8Array, bytes: number): Promise<void> {
  for (let at = 0; at < bytes; ) {
    const { bytesWritten } = await file.write(data, 0, Math.min(data.length, bytes - at), at);
    at += bytesWritten;
  }
}
