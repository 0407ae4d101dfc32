import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SinkSpec } from "../../src/handoff/sink.js";
import { recoverFiles } from "../../src/recover/file_recovery.js";
import { FileSink } from "../../src/sinks/file.js";
import { fileSink } from "../../src/sinks/specs.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { type FsCall, hookedFs, osError } from "../helpers/faulty_fs.js";
import { inlineSpec } from "../helpers/map_sink.js";
import { smallDisk } from "../helpers/small_disk.js";
import { elementBytes } from "../helpers/stream_model.js";
import { filesBelow, makeTempFolder, removeFolder } from "../helpers/temp_folder.js";

/** The disk fills up in mid-stream: DISK_FULL, and a store that is valid as far as it says it goes. */
const ROW_BYTES = 2 * 20_000;
const ROWS = 100;
const PAGE_BYTES = 4096;
const data = elementBytes(0, (ROWS * ROW_BYTES) / 2, 2);

let folder: string;
beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => removeFolder(folder));

/** Streams until it fails. Returns the published rows, after checking all that a reader can see. */
async function streamInto(sink: SinkSpec, path: string): Promise<number> {
  const writer = await openWriter({
    sink,
    threads: "inline",
    batchEpochs: 1,
    publishIntervalMs: 0,
    array: {
      dtype: "uint16",
      codec: "none",
      dimensions: [
        { name: "t", size: null, chunk: 2, shard: 8 },
        { name: "x", size: 20_000, chunk: 5000, shard: 10_000 },
      ],
    },
  });
  const append = async (): Promise<void> => {
    for (let row = 0; row < ROWS; row += 3) await writer.append(data.subarray(row * ROW_BYTES, (row + 3) * ROW_BYTES));
    await writer.close();
  };
  await expect(append()).rejects.toMatchObject({ code: "DISK_FULL" });
  await expect(writer.close()).rejects.toMatchObject({ code: "DISK_FULL" });
  const report = await verifyStore(path);
  expect(report.defects).toEqual([]);
  const array = await openArray(path);
  const rows = array.metadata.shape[0];
  expect(rows).toBe(writer.watermarks.published);
  expect(Buffer.compare((await array.readRegion()).data, data.subarray(0, rows * ROW_BYTES))).toBe(0);
  return rows;
}

describe.each([
  ["before the first row of shards is whole", 200_000, 0],
  ["in the third row of shards", 700_000, 16],
  ["inside a write", 1_234_567, 24],
])("full %s", (_, capacity, expected) => {
  it("on a file system that says so", async () => {
    const path = join(folder, "run.zarr");
    const disk = smallDisk(capacity);
    const rows = await streamInto(inlineSpec(new FileSink({ root: path, fs: disk.fs })), path);
    expect(rows).toBe(expected);
    expect(disk.hooked.openHandles).toBe(0);
  });
});

it.each<[number, FsCall, string]>([
  [4, "file.datasync", "ENOSPC"],
  [4, "rename", "EDQUOT"],
  // The marker, and the folders that it lies in, take a few.
  [14, "file.close", "ENOSPC"],
  [14, "open", "EDQUOT"],
])("full from call %i of %s on (%s)", async (from, call, code) => {
  const path = join(folder, "run.zarr");
  const fs = hookedFs((name, nth) => {
    if (name === call && nth >= from) throw osError(code);
  });
  const rows = await streamInto(inlineSpec(new FileSink({ root: path, fs: fs.fs })), path);
  expect(rows).toBeLessThan(ROWS);
  expect(fs.openHandles).toBe(0);
});

/** A real one, where this process may mount: the variant above runs everywhere. */
function mountSmall(path: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

it("on a real small file system, or the injected one where none can be mounted", async () => {
  const disk = join(folder, "disk");
  await mkdir(disk);
  const mounted = mountSmall(disk);
  const path = join(disk, "run.zarr");
  try {
    const sink = mounted ? fileSink(path) : inlineSpec(new FileSink({ root: path, fs: smallDisk(1_000_000).fs }));
    const rows = await streamInto(sink, path);
    // 320 kB a row of shards.
    expect(rows).toBe(24);
    // Shards in pieces made room.
    expect((await filesBelow(path)).filter((name) => name.endsWith(".partial"))).toEqual([]);
  } finally {
    if (mounted) execFileSync("umount", [disk]);
  }
});

/** Streams at durability "batch" until the disk is full, and recovers on the disk as it is. */
async function recoverFull(path: string, capacity: number) {
  const disk = smallDisk(capacity, PAGE_BYTES);
  const writer = await openWriter({
    sink: inlineSpec(new FileSink({ root: path, fs: disk.fs })),
    threads: "inline",
    backend: "cpu",
    batchEpochs: 1,
    durability: "batch",
    publishIntervalMs: 3_600_000,
    array: {
      dtype: "uint16",
      codec: "none",
      dimensions: [
        { name: "t", size: null, chunk: 2, shard: 8 },
        { name: "x", size: 20_000, chunk: 5000, shard: 10_000 },
      ],
    },
  });
  await expect(
    (async () => {
      for (let row = 0; row < ROWS; row += 2)
        await writer.append(data.subarray(row * ROW_BYTES, (row + 2) * ROW_BYTES));
      await writer.close();
    })(),
  ).rejects.toMatchObject({ code: "DISK_FULL" });
  await writer.close().catch(() => {});
  return { disk, durable: writer.watermarks.durable, recover: () => recoverFiles(path, {}, disk.fs) };
}

async function expectRecovered(path: string, rows: number, durable: number): Promise<void> {
  expect(rows).toBeGreaterThanOrEqual(durable);
  const array = await openArray(path);
  expect(array.metadata.shape[0]).toBe(rows);
  expect(Buffer.compare((await array.readRegion()).data, data.subarray(0, rows * ROW_BYTES))).toBe(0);
  const report = await verifyStore(path);
  expect([...report.defects, ...report.warnings]).toEqual([]);
}

it("recovery makes room for what it publishes, wherever the disk got full", async () => {
  for (let i = 0; i < 24; i++) {
    const path = join(folder, `run${i}.zarr`);
    const { durable, disk, recover } = await recoverFull(path, 150_000 + i * 21_001);
    let report = await recover().catch((error) => {
      expect(error).toMatchObject({ code: "DISK_FULL", context: { rowsAfter: durable } });
      return undefined;
    });
    if (report === undefined) {
      // Every page is full of what was promised.
      expect(disk.room()).toBeLessThan(PAGE_BYTES);
      disk.capacity += PAGE_BYTES;
      report = await recover();
    }
    await expectRecovered(path, report.arrays[0].rowsAfter, durable);
    expect(disk.hooked.openHandles).toBe(0);
  }
});

it("recovery of a disk that others have filled says what can be kept, and goes on when there is room", async () => {
  const path = join(folder, "run.zarr");
  const { durable, disk, recover } = await recoverFull(path, 500_000);
  const before = disk.capacity;
  disk.capacity = 0;
  for (const _ of [1, 2]) {
    await expect(recover()).rejects.toMatchObject({
      code: "DISK_FULL",
      message: expect.stringContaining(`${durable} rows can be kept, of which 0 are published`),
      hint: expect.stringContaining("recover again"),
      context: { rowsBefore: 0, rowsAfter: durable },
    });
  }
  disk.capacity = before;
  await expectRecovered(path, (await recover()).arrays[0].rowsAfter, durable);
  expect(disk.hooked.openHandles).toBe(0);
});
