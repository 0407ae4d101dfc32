import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clock, useClock } from "../../../src/base/clock.js";
import { deferred } from "../../../src/base/deferred.js";
import { encodeMarker, MARKER_KEY } from "../../../src/journal/writer_marker.js";
import { recoverBucket } from "../../../src/recover/bucket_recovery.js";
import { recoverStore } from "../../../src/recover/recover.js";
import { fileSink } from "../../../src/sinks/specs.js";
import { openArray } from "../../../src/store/array_reader.js";
import { inspectStore } from "../../../src/store/inspect.js";
import { MemoryStore } from "../../../src/store/memory_store.js";
import { verifyStore } from "../../../src/store/verify.js";
import type { VerifyReport } from "../../../src/store/verify_report.js";
import type { ArrayWriter } from "../../../src/writer/array_writer.js";
import { openWriter } from "../../../src/writer/open_writer.js";
import { withRows } from "../../../src/zarr/with_rows.js";
import { craftStore } from "../../helpers/craft_store.js";
import { contentOf, storeOf } from "../../helpers/crash_images.js";
import { FakeS3 } from "../../helpers/fake_s3.js";
import { GROUP_METADATA } from "../../helpers/group_metadata.js";
import { elementBytes } from "../../helpers/stream_model.js";
import { filesBelow, makeTempFolder, removeFolder } from "../../helpers/temp_folder.js";

/**
 * Several writers below groups that somebody wrote by hand: each child is a store of its own, with its own marker and
 * journals.
 */

let folder: string;
let root: string;
const open: ArrayWriter[] = [];
beforeEach(async () => {
  folder = await makeTempFolder();
  root = join(folder, "run.zarr");
  for (const path of ["", "a", "a/deep"]) {
    await mkdir(join(root, path), { recursive: true });
    await writeFile(join(root, path, "zarr.json"), GROUP_METADATA);
  }
});
afterEach(async () => {
  for (const writer of open.splice(0)) await writer.abort();
  await removeFolder(folder);
});

const ELEMENTS = 8;

/** A writer that has delivered so many rows, of which nothing is published. */
async function begin(path: string, rows: number): Promise<ArrayWriter> {
  const writer = await openWriter({
    sink: fileSink(path),
    array: {
      dtype: "uint16",
      codec: "none",
      dimensions: [
        { name: "t", size: null, chunk: 1, shard: 4 },
        { name: "x", size: ELEMENTS, chunk: ELEMENTS, shard: ELEMENTS },
      ],
    },
    batchEpochs: 1,
    threads: "inline",
    backend: "cpu",
    publishIntervalMs: 3_600_000,
  });
  open.push(writer);
  await writer.append(elementBytes(0, rows * ELEMENTS, 2));
  await writer.flush();
  return writer;
}

async function expectRows(path: string, rows: number): Promise<void> {
  const { data, shape } = await (await openArray(path)).readRegion();
  expect(shape).toEqual([rows, ELEMENTS]);
  expect(Buffer.compare(data, elementBytes(0, rows * ELEMENTS, 2))).toBe(0);
}

const warningsOf = ({ warnings }: VerifyReport, code: string) => warnings.filter((warning) => warning.code === code);

describe("while writers of children are at work", () => {
  it("verify names each, and advises to remove nothing", async () => {
    await begin(join(root, "a/deep/images"), 7);
    await begin(join(root, "times"), 3);
    const report = await verifyStore(root);
    expect(report.ok).toBe(true);
    expect(JSON.stringify(report)).not.toContain("can be removed");
    expect(warningsOf(report, "WRITER")).toMatchObject([
      { key: "a/deep/images/.millrace/writer.json", message: expect.stringContaining("seems to be at work") },
      { key: "times/.millrace/writer.json", message: expect.stringContaining("seems to be at work") },
    ]);
    expect(warningsOf(report, "PARTIAL_SHARD")).toMatchObject([
      { key: "a/deep/images/c/1/0.partial", message: expect.stringContaining('see WRITER of "a/deep/images"') },
      { key: "times/c/0/0.partial", message: expect.stringContaining('see WRITER of "times"') },
    ]);
  });

  it("recover touches none, also of those that have ended", async () => {
    const images = await begin(join(root, "a/images"), 7);
    const times = await begin(join(root, "times"), 3);
    await images.abort();
    const before = await filesBelow(root);
    await expect(recoverStore(root)).rejects.toMatchObject({ code: "STORE_IN_USE", context: { pid: process.pid } });
    expect(await filesBelow(root)).toEqual(before);
    await times.abort();
    expect(await recoverStore(root)).toMatchObject({ status: "recovered" });
  });
});

describe("after the writers of children have ended", () => {
  beforeEach(async () => {
    await (await begin(join(root, "a/deep/images"), 7)).abort();
    await (await begin(join(root, "times"), 3)).abort();
  });

  it("verify says how to recover each, and nothing of removing", async () => {
    const report = await verifyStore(root);
    expect(JSON.stringify(report)).not.toContain("can be removed");
    expect(warningsOf(report, "WRITER").map(({ message }) => message)).toEqual([
      expect.stringContaining(`run "millrace recover ${root}/a/deep/images"`),
      expect.stringContaining(`run "millrace recover ${root}/times"`),
    ]);
  });

  it("inspect names each", async () => {
    const { writers } = await inspectStore(root);
    expect(writers).toMatchObject([
      { path: "a/deep/images", ended: true },
      { path: "times", ended: true },
    ]);
  });

  it("recover keeps the rows of each, and tells of each and of all", async () => {
    const before = await filesBelow(root);
    const steps: string[] = [];
    const dry = await recoverStore(root, { dryRun: true });
    expect(await filesBelow(root)).toEqual(before);
    const report = await recoverStore(root, { onProgress: ({ step, count }) => steps.push(`${step} ${count}`) });
    expect(report).toMatchObject({
      location: root,
      status: "recovered",
      writer: { pid: process.pid },
      stores: [
        { path: "a/deep/images", status: "recovered", writer: { pid: process.pid } },
        { path: "times", status: "recovered", writer: { pid: process.pid } },
      ],
      arrays: [
        { path: "a/deep/images", rowsBefore: 4, rowsAfter: 7, rowsLost: 0 },
        { path: "times", rowsBefore: 0, rowsAfter: 3, rowsLost: 0 },
      ],
    });
    expect(dry).toEqual({ ...report, dryRun: true });
    expect(steps).toContain("publish 2");
    expect(steps.at(-1)).toBe(`remove ${report.objectsRemoved}`);
    await expectRows(join(root, "a/deep/images"), 7);
    await expectRows(join(root, "times"), 3);
    const after = await verifyStore(root);
    expect([...after.defects, ...after.warnings]).toEqual([]);
    expect(await recoverStore(root)).toMatchObject({ status: "clean", stores: [], arrays: [] });
  });

  it("recover does not follow links to folders", async () => {
    const elsewhere = join(folder, "elsewhere.zarr");
    await (await begin(elsewhere, 2)).abort();
    await symlink(elsewhere, join(root, "linked"));
    await recoverStore(root);
    expect(await filesBelow(elsewhere)).toContain(MARKER_KEY);
  });

  it("one of which nothing can be kept does not hide that the others were", async () => {
    await mkdir(join(root, "empty/.millrace"), { recursive: true });
    await writeFile(join(root, "empty", MARKER_KEY), await readFile(join(root, "times", MARKER_KEY)));
    const report = await recoverStore(root);
    expect(report).toMatchObject({
      status: "recovered",
      stores: [{}, { path: "empty", status: "nothing-to-recover" }, {}],
    });
    expect(await filesBelow(root)).not.toContain("empty/.millrace/writer.json");
  });
});

it("a folder of stores without a zarr.json is no store, and the error names those in it", async () => {
  await (await begin(join(folder, "x.zarr"), 3)).abort();
  const message = new RegExp(`${folder} is no store.*run.zarr, run.zarr/a, run.zarr/a/deep, x.zarr`);
  await expect(recoverStore(folder)).rejects.toMatchObject({
    code: "STORE_NOT_FOUND",
    message: expect.stringMatching(message),
  });
});

it("a store inside an array's folder is its own writer's", async () => {
  const outer = join(folder, "outer.zarr");
  await (await begin(outer, 5)).abort();
  await begin(join(outer, "inner"), 3);
  const report = await verifyStore(outer);
  expect(JSON.stringify(report)).not.toContain("can be removed");
  expect(warningsOf(report, "WRITER").map(({ key }) => key)).toEqual([MARKER_KEY, `inner/${MARKER_KEY}`]);
  expect(await recoverStore(outer)).toMatchObject({
    status: "recovered",
    arrays: [{ path: "", rowsAfter: 5 }],
    notes: [expect.stringContaining("inner has a writer's marker of its own")],
  });
  expect(await filesBelow(outer)).toContain("inner/c/0/0.partial");
});

it("a writer that opened a child after verify had looked there is found", async () => {
  const { objects } = await craftStore({ dtype: "uint16", shape: [4, 6], chunk: [2, 2], shard: [4, 4], path: "a" });
  objects.set("zarr.json", GROUP_METADATA);
  const store = new MemoryStore(objects);
  const looked = deferred();
  let lists = 0;
  const list = async function* (prefix: string) {
    yield* store.list(prefix);
    // The first list is for the nodes.
    if (prefix !== "" || ++lists === 1) return;
    yield { key: "a/c/8/0.partial", size: 1 };
    await looked.promise;
    objects.set(`a/${MARKER_KEY}`, encodeMarker({ writeId: "late", started: "2026-01-02T03:04:05.000Z" }));
    yield { key: "a/c/9/0.partial", size: 1 };
  };
  const report = await verifyStore(
    {
      location: "memory",
      get: (key) => store.get(key),
      getRange: (key, offset, length) => {
        const read = store.getRange(key, offset, length);
        if (key === `a/${MARKER_KEY}`) looked.resolve();
        return read;
      },
      size: (key) => store.size(key),
      list,
    },
    { concurrency: 1 },
  );
  expect(warningsOf(report, "PARTIAL_SHARD")).toMatchObject([
    { key: "a/c/8/0.partial", message: expect.stringContaining("can be removed") },
    { key: "a/c/9/0.partial", message: expect.stringContaining('see WRITER of "a"') },
  ]);
});

describe("in a bucket", () => {
  const HASTY: Clock = { nowNs: () => 0, wallMs: () => 0, sleep: async () => {} };
  let restoreClock = () => {};
  beforeEach(() => {
    restoreClock = useClock(HASTY);
  });
  afterEach(() => restoreClock());

  /** A group with two arrays of 24 rows, none of them published, each with its writer's marker. */
  async function crashed() {
    const s3 = new FakeS3();
    for (const path of ["a/images", "times"]) {
      const crafted = await craftStore({ dtype: "uint16", shape: [24, 6], chunk: [2, 2], shard: [4, 4], path });
      for (const [key, bytes] of crafted.objects) {
        s3.objects.set(key, { bytes: key === `${path}/zarr.json` ? withRows(bytes, 0) : bytes, metadata: {} });
      }
      const marker = encodeMarker({ writeId: path, started: "2026-01-02T03:04:05.000Z" });
      s3.objects.set(`${path}/${MARKER_KEY}`, { bytes: marker, metadata: {} });
    }
    for (const key of ["zarr.json", "a/zarr.json"]) s3.objects.set(key, { bytes: GROUP_METADATA, metadata: {} });
    return s3;
  }

  it("every store below a group is recovered, with the unfinished uploads of each", async () => {
    const s3 = await crashed();
    await s3.createUpload("times/c/9/0", {});
    await s3.createUpload("timesheet/c/9/0", {});
    expect(await recoverBucket(s3)).toMatchObject({
      location: s3.location,
      status: "recovered",
      stores: [
        { path: "a/images", status: "recovered" },
        { path: "times", status: "recovered" },
      ],
      arrays: [
        { path: "a/images", rowsBefore: 0, rowsAfter: 24 },
        { path: "times", rowsBefore: 0, rowsAfter: 24 },
      ],
      uploadsAborted: 1,
      objectsRemoved: 2,
    });
    const report = await verifyStore(storeOf(s3));
    expect([...report.defects, ...report.warnings]).toEqual([]);
    expect(await recoverBucket(s3)).toMatchObject({ status: "clean" });
  });

  it("verify names each writer", async () => {
    const s3 = await crashed();
    const report = await verifyStore(storeOf(s3));
    expect(JSON.stringify(report)).not.toContain("can be removed");
    expect(warningsOf(report, "WRITER").map(({ message }) => message)).toEqual([
      expect.stringMatching(/millrace recover .*\/a\/images"/),
      expect.stringMatching(/millrace recover .*\/times"/),
    ]);
    expect(report.notes.map(({ code }) => code)).toContain("UNPUBLISHED");
  });

  it("a prefix above stores is no store, and the error names them", async () => {
    const s3 = await crashed();
    s3.objects.delete("zarr.json");
    const before = contentOf(s3);
    await expect(recoverBucket(s3)).rejects.toMatchObject({
      code: "STORE_NOT_FOUND",
      message: expect.stringContaining("a, a/images, times"),
    });
    expect(contentOf(s3)).toEqual(before);
  });
});
