import { beforeEach, describe, expect, it } from "vitest";
import { CommitFrame, encodeHeader, encodeSealed, FRAME_HEAD_BYTES } from "../../../src/journal/journal_format.js";
import { readJournal } from "../../../src/journal/read_journal.js";
import { decodeMarker, encodeMarker, journalKey, MARKER_KEY } from "../../../src/journal/writer_marker.js";
import type { ArrayOptions, Durability } from "../../../src/options.js";
import type { RecoverOptions } from "../../../src/recover/report.js";
import { openArray } from "../../../src/store/array_reader.js";
import { withRows } from "../../../src/zarr/with_rows.js";
import {
  crashFolder,
  expectContent,
  type FolderStream,
  ROOT,
  recoverOn,
  rowsOf,
  streamInto,
} from "../../helpers/folder_crashes.js";
import { RecordingFs } from "../../helpers/recording_fs.js";
import { elementBytes } from "../../helpers/stream_model.js";

/** Two shards side by side, four rows deep; three chunks an epoch. */
const ARRAY: ArrayOptions = {
  dtype: "uint16",
  codec: "none",
  dimensions: [
    { name: "t", size: null, chunk: 2, shard: 4 },
    { name: "y", size: 6, chunk: 2, shard: 4 },
  ],
};
const STREAM: FolderStream = { array: ARRAY, batchEpochs: 1, publishIntervalMs: 1e9 };
const CHUNK_BYTES = 2 * 2 * 2;

const content = (rows: number): Uint8Array => elementBytes(0, rows * 6, 2);

/**
 * A store of 16 rows whose writer crashed when all shards were sealed, and nothing but the first shape published:
 * journals of four rows, of which the last is not sealed.
 */
async function crashed(durability: Durability = "shard"): Promise<RecordingFs> {
  const { images } = await crashFolder({ ...STREAM, durability }, async (writer) => {
    await writer.append(content(15));
    return content(15);
  });
  const image = images.findLast(({ fs }) => {
    const files = fs.files(ROOT);
    return files.has("c/2/1") && files.has("c/3/0.partial") && files.has("c/3/1.partial");
  });
  return image!.fs.copy();
}

/** Changes bytes of a file in place. */
async function overwrite(fs: RecordingFs, key: string, position: number, bytes: Uint8Array): Promise<void> {
  const file = await fs.open(`${ROOT}/${key}`, "r+");
  await file.writev([bytes], position);
  await file.close();
}

async function truncate(fs: RecordingFs, key: string, bytes: number): Promise<void> {
  const file = await fs.open(`${ROOT}/${key}`, "r+");
  await file.truncate(bytes);
  await file.close();
}

async function put(fs: RecordingFs, key: string, bytes: Uint8Array): Promise<void> {
  const file = await fs.open(`${ROOT}/${key}`, "w");
  await file.writev([bytes], 0);
  await file.close();
}

const read = (fs: RecordingFs, key: string): Uint8Array => fs.files(ROOT).get(key)!;

/**
 * Recovers, and checks that what is left is whole and holds the first rows. Where something is damaged, the rest need
 * not be whole.
 */
async function recoverTo(fs: RecordingFs, rows: number, options: RecoverOptions = {}) {
  const report = await recoverOn(fs, options);
  expect(rowsOf(fs)).toBe(rows);
  if (report.status === "recovered") await expectContent(fs.files(ROOT), content(rows));
  else await expectValues(fs, rows);
  return report;
}

async function expectValues(fs: RecordingFs, rows: number): Promise<void> {
  const { data } = await (await openArray(fs.files(ROOT))).readRegion();
  expect(Buffer.compare(data, content(rows))).toBe(0);
}

let fs: RecordingFs;
beforeEach(async () => {
  fs = await crashed();
});

describe("recovery of a folder", () => {
  it("tells what it did, and then finds the store clean", async () => {
    const files = [...fs.files(ROOT).keys()];
    const journals = files.filter((key) => key.startsWith(".millrace/journal."));
    expect(journals).toHaveLength(4);
    const committed = readJournal(read(fs, journalKey(3)));
    const rows = committed.commits.at(-1)!.rowTo;
    const steps: string[] = [];
    const report = await recoverTo(fs, rows, { onProgress: ({ step, count }) => steps.push(`${step} ${count}`) });
    expect(report).toMatchObject({
      location: ROOT,
      status: "recovered",
      dryRun: false,
      writer: { started: expect.stringMatching(/^\d{4}-/), pid: process.pid },
      arrays: [{ path: "", rowsBefore: 0, rowsAfter: rows, rowsLost: 0, shardsKept: 8, shardsRemoved: 0 }],
      uploadsAborted: 0,
      objectsRemoved: 5,
      notes: [],
    });
    expect(Object.isFrozen(report.arrays[0])).toBe(true);
    expect(steps).toEqual([
      ...Array.from({ length: 8 }, (_, i) => `list ${i + 1}`),
      ...Array.from({ length: 8 }, (_, i) => `check ${i + 1}`),
      "seal 1",
      "seal 2",
      "publish 1",
      ...Array.from({ length: 5 }, (_, i) => `remove ${i + 1}`),
    ]);
    expect(await recoverOn(fs)).toMatchObject({ status: "clean", arrays: [], writer: undefined });
  });

  it("leaves what others have put there", async () => {
    for (const key of ["notes.txt", "c/readme", "c/0/7", "c/1/x.partial", ".millrace/mine", "c/3/0.partial.old"]) {
      await put(fs, key, Uint8Array.of(1, 2, 3));
    }
    await recoverOn(fs);
    const left = [...fs.files(ROOT).keys()].filter((key) => !/^c\/[0-3]\/[01]$|^zarr.json$/.test(key));
    expect(left).toEqual([".millrace/mine", "c/0/7", "c/1/x.partial", "c/3/0.partial.old", "c/readme", "notes.txt"]);
  });

  it("removes what is left of rows that no journal tells of", async () => {
    await fs.unlink(`${ROOT}/${journalKey(3)}`);
    expect(await recoverTo(fs, 12)).toMatchObject({ arrays: [{ shardsKept: 6, shardsRemoved: 2, rowsLost: 0 }] });
    expect([...fs.files(ROOT).keys()].some((key) => key.startsWith("c/3"))).toBe(false);
  });

  it("keeps the epochs of the last row that are whole in every shard", async () => {
    // As after a power cut: one shard has lost its second epoch.
    await truncate(fs, "c/3/1.partial", CHUNK_BYTES + 3);
    const committed = readJournal(read(fs, journalKey(3))).commits.at(-1)!.rowTo;
    const report = await recoverTo(fs, 14);
    expect(report.arrays[0]).toMatchObject({ rowsAfter: 14, rowsLost: committed - 14, shardsKept: 8 });
  });

  it("gives a row that was being sealed its whole epochs, though one of its shards is sealed already", async () => {
    const whole = await crashed();
    await recoverOn(whole, { discardDamaged: true });
    // Sealed with two epochs, while the other one has lost its last.
    for (const key of ["c/3/0"]) {
      await put(fs, key, read(whole, key));
      await fs.unlink(`${ROOT}/${key}.partial`);
    }
    await truncate(fs, "c/3/1.partial", CHUNK_BYTES);
    await recoverTo(fs, 14);
  });

  it("keeps nothing behind a row that is not whole, though the next one is", async () => {
    // As after a power cut while row 2 was being sealed: its journal does not say so yet, and one shard has lost its
    // second epoch.
    const journal = read(fs, journalKey(2));
    await put(fs, journalKey(2), journal.subarray(0, journal.length - encodeSealed(12).byteLength));
    await put(fs, "c/2/1.partial", read(fs, "c/2/1").subarray(0, CHUNK_BYTES + 3));
    await fs.unlink(`${ROOT}/c/2/1`);
    expect(await recoverTo(fs, 10)).toMatchObject({ status: "recovered", arrays: [{ rowsAfter: 10, shardsKept: 6 }] });
    expect([...fs.files(ROOT).keys()].some((key) => key.startsWith("c/3"))).toBe(false);
  });

  it("does not take a chunk for right because its bytes are there", async () => {
    await overwrite(fs, "c/3/0.partial", 2 * CHUNK_BYTES + 1, Uint8Array.of(0xee));
    await recoverTo(fs, 14);
    fs = await crashed();
    await overwrite(fs, "c/3/0.partial", 1, Uint8Array.of(0xee));
    await recoverTo(fs, 12);
  });

  it("reads a chunk that is longer than its buffer, and one that ends where it does", async () => {
    const large: ArrayOptions = {
      dtype: "uint8",
      codec: "none",
      dimensions: [{ name: "t", size: null, chunk: 5 * 2 ** 20, shard: 20 * 2 ** 20 }],
    };
    const bytes = elementBytes(0, 9 * 2 ** 20, 1);
    const { images } = await crashFolder({ array: large, batchEpochs: 1, durability: "batch" }, async (writer) => {
      await writer.append(bytes);
      return bytes;
    });
    const image = images.findLast(({ durable, fs: there }) => durable > 0 && !there.files(ROOT).has("c/0"))!;
    await recoverOn(image.fs);
    expect(rowsOf(image.fs)).toBeGreaterThanOrEqual(5 * 2 ** 20);
    await expectContent(image.fs.files(ROOT), bytes.subarray(0, rowsOf(image.fs)));
  });

  it("stops at its signal, between two calls, and can be run again", async () => {
    const abort = new AbortController();
    const stopped = recoverOn(fs, {
      signal: abort.signal,
      onProgress: ({ step }) => {
        if (step === "seal") abort.abort(new Error("enough"));
      },
    });
    await expect(stopped).rejects.toThrow("enough");
    expect(rowsOf(fs)).toBe(0);
    expect(fs.files(ROOT).has(MARKER_KEY)).toBe(true);
    await recoverTo(fs, readJournal(read(fs, journalKey(3))).commits.at(-1)!.rowTo);
    await expect(recoverOn(fs, { signal: AbortSignal.abort(new Error("at once")) })).rejects.toThrow("at once");
  });

  it("never takes a disk that does not answer for bytes that are not there", async () => {
    const before = fs.content(ROOT);
    for (const [method, path] of [
      ["file.read", "c/3/1.partial"],
      ["open", "c/2/0"],
      ["file.size", "c/3/0.partial"],
      ["file.read", journalKey(1)],
      ["entries", "c/1"],
      ["kindOf", ".millrace"],
      ["file.read", "zarr.json"],
    ]) {
      fs.before = (call) => {
        if (call.method === method && call.path === `${ROOT}/${path}`) {
          throw Object.assign(new Error("EIO: injected"), { code: "EIO" });
        }
      };
      await expect(recoverOn(fs), `${method} ${path}`).rejects.toMatchObject({
        code: "STORE_READ_FAILED",
        context: { errno: "EIO" },
      });
      expect(fs.content(ROOT)).toEqual(before);
      expect(fs.openHandles).toBe(0);
    }
  });
});

describe("damage", () => {
  const isDamaged = {
    status: "damaged",
    arrays: [{ rowsAfter: 4, damage: { key: "c/1/0", message: expect.any(String) } }],
  };

  it.each<[string, (there: RecordingFs) => Promise<unknown>, RegExp]>([
    ["a changed chunk", (there) => overwrite(there, "c/1/0", 9, Uint8Array.of(0xee)), /chunk 1: its crc32c is 0x/],
    ["a shard that is cut off", (there) => truncate(there, "c/1/0", 20), /the file ends at 20, the chunk at 24/],
    ["a shard that is gone", (there) => there.unlink(`${ROOT}/c/1/0`), /no such file/],
  ])("in a row that was sealed, %s: leaves that row and all behind it alone", async (_, harm, message) => {
    await harm(fs);
    const before = fs.files(ROOT);
    const dry = await recoverOn(fs, { dryRun: true });
    const report = await recoverTo(fs, 4);
    expect({ ...dry, dryRun: false }).toEqual(report);
    expect(report).toMatchObject(isDamaged);
    expect(report.arrays[0].damage?.message).toMatch(message);
    expect(report.arrays[0]).toMatchObject({ shardsKept: 2, shardsRemoved: 0 });
    const after = fs.files(ROOT);
    const left = [...before].filter(([key]) => key !== "zarr.json" && key !== journalKey(0));
    expect([...after].filter(([key]) => key !== "zarr.json")).toEqual(left);
    // Nothing more to do, until somebody says so.
    expect(await recoverOn(fs)).toMatchObject(isDamaged);
    const discarded = await recoverOn(fs, { discardDamaged: true });
    expect(discarded).toMatchObject({ status: "recovered", arrays: [{ damage: { key: "c/1/0" } }] });
    expect([...fs.files(ROOT).keys()].filter((key) => key.includes("millrace"))).toEqual([]);
    await expectContent(fs.files(ROOT), content(rowsOf(fs)));
  });

  it("given up, costs no epoch before it", async () => {
    // Chunks 0 and 1 are the first epoch of that shard, 2 and 3 the second.
    await overwrite(fs, "c/1/0", 2 * CHUNK_BYTES, Uint8Array.of(0xee));
    const report = await recoverTo(fs, 6, { discardDamaged: true });
    expect(report.arrays[0]).toMatchObject({ rowsAfter: 6, shardsKept: 4, shardsRemoved: 4 });
  });

  it("is a chunk of a commit that another one followed, at durability batch, and not of the last one", async () => {
    const batch = await crashed("batch");
    const { commits } = readJournal(read(batch, journalKey(3)));
    expect(commits.length).toBe(2);
    const last = batch.copy();
    await overwrite(last, "c/3/0.partial", 2 * CHUNK_BYTES, Uint8Array.of(0xee));
    expect(await recoverTo(last, 14)).toMatchObject({ status: "recovered" });
    const first = batch.copy();
    await overwrite(first, "c/3/0.partial", 0, Uint8Array.of(0xee));
    expect(await recoverTo(first, 12)).toMatchObject({
      status: "damaged",
      arrays: [{ damage: { key: "c/3/0.partial" } }],
    });
    // Without that promise it is only lost.
    const shard = fs.copy();
    await overwrite(shard, "c/3/0.partial", 0, Uint8Array.of(0xee));
    expect(await recoverTo(shard, 12)).toMatchObject({ status: "recovered" });
  });

  it("is a commit of a later row behind one that is not whole, at durability batch", async () => {
    const batch = await crashed("batch");
    const bytes = read(batch, journalKey(2));
    const { commits } = readJournal(bytes);
    expect(commits.length).toBe(2);
    // Without its last frames the row is not sealed, and its second epoch was not promised by itself.
    const cut = batch.copy();
    await put(cut, journalKey(2), bytes.subarray(0, bytes.length - 24));
    await overwrite(cut, "c/2/0", 2 * CHUNK_BYTES, Uint8Array.of(0xee));
    expect(await recoverTo(cut, 8)).toMatchObject({ status: "damaged", arrays: [{ damage: { key: "c/2/0" } }] });
  });

  it("is a row of shards without a journal before one that was promised", async () => {
    await fs.unlink(`${ROOT}/${journalKey(1)}`);
    expect(await recoverTo(fs, 4)).toMatchObject({
      status: "damaged",
      arrays: [{ damage: { key: journalKey(2), message: expect.stringContaining("row 1 before it has no journal") } }],
    });
  });

  it("is a whole shard where no writer can have left one", async () => {
    for (const row of [1, 2, 3]) await fs.unlink(`${ROOT}/${journalKey(row)}`);
    expect(await recoverTo(fs, 4)).toMatchObject({
      status: "damaged",
      arrays: [{ damage: { key: "c/2/0", message: expect.stringContaining("row 1 of shards before it") } }],
    });
    expect(await recoverTo(fs, 4, { discardDamaged: true })).toMatchObject({ status: "recovered" });
  });
});

describe("a row that was opened again", () => {
  /**
   * Seven rows are published: row 1 of shards holds three of them, the last in a padded epoch. A writer has begun to
   * write that row again: `partial` files with all that was there and more, beside the sealed ones. Its journal is as
   * far as `epochs`.
   */
  async function reopened(epochs: number, sealed: readonly string[] = []): Promise<RecordingFs> {
    const closed = new RecordingFs();
    await streamInto(closed, STREAM, async (writer) => {
      await writer.append(content(7));
      return content(7);
    });
    // The same array to row 8, crashed in its second row of shards.
    const longer = await crashFolder(STREAM, async (writer) => {
      await writer.append(content(9));
      return content(9);
    });
    const image = longer.images.find(({ fs: there }) => {
      const files = there.files(ROOT);
      return files.has("c/1/0") && files.has("c/1/1") && files.has("c/2/0.partial");
    })!.fs;
    const done = image.files(ROOT);
    const journal = done.get(journalKey(1))!;
    const { commits } = readJournal(journal);
    await closed.mkdir(`${ROOT}/.millrace`);
    await put(closed, MARKER_KEY, done.get(MARKER_KEY)!);
    const header = FRAME_HEAD_BYTES + new DataView(journal.buffer, journal.byteOffset).getUint32(0, true);
    const commitBytes = 8 + 24 + 3 * 24;
    expect(commits.map(({ recordCount }) => recordCount)).toEqual([3, 3]);
    await put(closed, journalKey(1), journal.subarray(0, header + epochs * commitBytes));
    for (const key of ["c/1/0", "c/1/1"]) {
      const bytes = done.get(key)!;
      if (sealed.includes(key)) await put(closed, key, bytes);
      else await put(closed, `${key}.partial`, bytes.subarray(0, bytes.length - (16 * (key === "c/1/0" ? 4 : 4) + 4)));
    }
    return closed;
  }

  it.each([0, 1])("and holds no more than before (%i epochs in the journal) stays as it was", async (epochs) => {
    const there = await reopened(epochs);
    const before = [...there.files(ROOT)].filter(([key]) => !/partial|millrace/.test(key));
    expect(await recoverTo(there, 7)).toMatchObject({
      status: "recovered",
      arrays: [{ rowsBefore: 7, rowsAfter: 7, rowsLost: 0, shardsKept: 4, shardsRemoved: 2 }],
    });
    expect([...there.files(ROOT)]).toEqual(before);
  });

  it("and holds more, gets the new shards in place of the old", async () => {
    const there = await reopened(2);
    expect(await recoverTo(there, 8)).toMatchObject({
      status: "recovered",
      arrays: [{ rowsBefore: 7, rowsAfter: 8, shardsKept: 4, shardsRemoved: 0 }],
    });
  });

  it.each([[["c/1/0"]], [["c/1/1"]], [["c/1/0", "c/1/1"]]])(
    "and is sealed in part (%s), gets the rest",
    async (sealed) => {
      await recoverTo(await reopened(2, sealed), 8);
    },
  );

  it.each([[[]], [["c/1/0"]], [["c/1/1"]]])(
    "and has lost bytes of its new files (%s is sealed already), keeps every row that was published",
    async (sealed) => {
      for (const key of ["c/1/0", "c/1/1"].filter((name) => !(sealed as string[]).includes(name))) {
        const there = await reopened(2, sealed);
        await truncate(there, `${key}.partial`, 3);
        const report = await recoverOn(there);
        expect(report).toMatchObject({ status: "recovered", arrays: [{ rowsBefore: 7, rowsAfter: 7 }] });
        expect([...there.files(ROOT).keys()].filter((name) => /partial|millrace/.test(name))).toEqual([]);
        // The shard that is sealed anew holds rows behind the shape, which no reader sees.
        await expectValues(there, 7);
      }
    },
  );
});

describe("markers, metadata and journals that are not right", () => {
  it("refuses while the writer's process runs, until it has ended or somebody insists", async () => {
    const there = fs.copy();
    await expect(recoverOn(there, { force: false })).rejects.toMatchObject({
      code: "STORE_IN_USE",
      context: { path: ROOT, pid: process.pid },
      hint: expect.stringContaining("--force"),
    });
    expect(there.log).toEqual([]);
    const marker = decodeMarker(read(there, MARKER_KEY))!;
    for (const writer of [
      { ...marker.writer!, ended: true },
      { ...marker.writer!, host: "another" },
      { ...marker.writer!, pid: 2 ** 22 + 1 },
    ]) {
      const dead = fs.copy();
      await put(dead, MARKER_KEY, encodeMarker({ ...marker, writer }));
      expect(await recoverOn(dead, { force: false })).toMatchObject({ status: "recovered" });
    }
  });

  it("recovers after an abort in the same process", async () => {
    const there = new RecordingFs();
    await streamInto(there, { ...STREAM, durability: "batch" }, async (writer) => {
      await writer.append(content(9));
      await writer.flush();
      await writer.abort();
      return content(9);
    }).catch((error) => expect(error).toMatchObject({ code: "WRITER_ABORTED" }));
    expect(await recoverTo(there, 8, { force: false })).toMatchObject({ status: "recovered" });
  });

  it("refuses a marker that it does not know, and with force goes by the journals", async () => {
    for (const text of ["", "{", '{"format":2}', "\0\0\0\0"]) {
      const there = fs.copy();
      await put(there, MARKER_KEY, Buffer.from(text));
      await expect(recoverOn(there, { force: false })).rejects.toMatchObject({
        code: "STORE_UNSUPPORTED",
        hint: expect.stringContaining("--force"),
      });
      expect(await recoverOn(there)).toMatchObject({ status: "recovered", writer: undefined });
      expect(rowsOf(there)).toBeGreaterThan(12);
    }
  });

  it("clears up after a writer that came to nothing, and leaves what an overwrite has not removed yet", async () => {
    const marker = read(fs, MARKER_KEY);
    for (const bytes of [marker, new Uint8Array(0)]) {
      const there = new RecordingFs();
      await there.mkdirAll(`${ROOT}/.millrace`);
      await put(there, MARKER_KEY, bytes);
      await put(there, "zarr.json.tmp", Uint8Array.of(1));
      const left = there.copy();
      expect(await recoverOn(there)).toMatchObject({ status: "nothing-to-recover", objectsRemoved: 2, notes: [] });
      expect(there.content(ROOT)).toEqual({});
      await put(left, "zarr.json.overwritten", Uint8Array.of(1));
      const before = left.content(ROOT);
      expect(await recoverOn(left)).toMatchObject({
        status: "nothing-to-recover",
        objectsRemoved: 0,
        notes: [expect.stringContaining("overwrite")],
      });
      expect(left.content(ROOT)).toEqual(before);
    }
  });

  it("leaves a store that it cannot understand as it is", async () => {
    const metadata = Buffer.from(read(fs, "zarr.json")).toString();
    for (const [text, code] of [
      ["{", "STORE_CORRUPT"],
      ['{"zarr_format":3,"node_type":"group"}', "STORE_CORRUPT"],
      [
        metadata.replace('"separator": "/"', '"separator": "."').replace('"separator":"/"', '"separator":"."'),
        "STORE_UNSUPPORTED",
      ],
      [metadata.replace(/"uint16"/, '"uint12"'), "STORE_UNSUPPORTED"],
    ]) {
      const there = fs.copy();
      await put(there, "zarr.json", Buffer.from(text));
      const before = there.content(ROOT);
      await expect(recoverOn(there), text).rejects.toMatchObject({ code });
      expect(there.content(ROOT)).toEqual(before);
    }
  });

  it("refuses journals of another stream or array", async () => {
    const own = readJournal(read(fs, journalKey(0))).header!;
    for (const [header, message] of [
      [{ writeId: "another" }, /writeId/],
      [{ row: 5 }, /its row is 5/],
      [{ array: "a" }, /array/],
      [{ chunksPerShard: 3 }, /chunksPerShard/],
      [{ epochRows: 3 }, /epochRows/],
    ] as const) {
      const there = fs.copy();
      await put(there, journalKey(0), encodeHeader({ ...own, ...header }));
      const before = there.content(ROOT);
      await expect(recoverOn(there)).rejects.toMatchObject({
        code: "STORE_CORRUPT",
        message: expect.stringMatching(message),
      });
      expect(there.content(ROOT)).toEqual(before);
    }
  });

  it.each([
    ["a shard that there is not", { shard: 2, entry: 0, offset: 0, nbytes: 8 }],
    ["an entry of another epoch", { shard: 0, entry: 2, offset: 0, nbytes: 8 }],
    ["an entry behind the shard's", { shard: 0, entry: 4, offset: 0, nbytes: 8 }],
    ["a hole before the chunk", { shard: 0, entry: 0, offset: 8, nbytes: 8 }],
    ["an empty chunk", { shard: 0, entry: 0, offset: 0, nbytes: 0 }],
  ])("refuses a journal that names %s", async (_, record) => {
    const header = readJournal(read(fs, journalKey(0))).header!;
    const frame = new CommitFrame(1);
    frame.add({ ...record, crc: 1 });
    await put(fs, journalKey(0), Buffer.concat([encodeHeader(header), frame.finish(0, 1, 2)]));
    await expect(recoverOn(fs)).rejects.toMatchObject({ code: "STORE_CORRUPT", context: { key: journalKey(0) } });
  });

  it("refuses a journal of more epochs than its row has", async () => {
    const header = readJournal(read(fs, journalKey(0))).header!;
    const frames = [encodeHeader(header), new CommitFrame(1).finish(0, 3, 6), encodeSealed(6)];
    await put(fs, journalKey(0), Buffer.concat(frames));
    await expect(recoverOn(fs)).rejects.toMatchObject({ code: "STORE_CORRUPT" });
  });

  it("takes a journal without a whole first frame for one that had just been begun", async () => {
    await put(fs, journalKey(3), read(fs, journalKey(3)).subarray(0, 11));
    await recoverTo(fs, 12);
  });

  it("notices a writer that begins meanwhile, and removes nothing", async () => {
    const other = encodeMarker({ writeId: "another", started: "2026-01-02T03:04:05.000Z" });
    const marked = fs.copy();
    let once = false;
    marked.after = async (call) => {
      if (once || call.method !== "rename" || !call.path.endsWith("zarr.json.tmp")) return;
      once = true;
      await put(marked, MARKER_KEY, other);
    };
    await expect(recoverOn(marked)).rejects.toMatchObject({ code: "STORE_IN_USE", context: { key: MARKER_KEY } });
    expect(marked.files(ROOT).has(journalKey(0))).toBe(true);
    expect(read(marked, MARKER_KEY)).toEqual(other);

    const published = fs.copy();
    published.after = async (call) => {
      if (call.method !== "rename" || !call.path.endsWith("c/3/1.partial")) return;
      await put(published, "zarr.json", withRows(read(published, "zarr.json"), 8));
    };
    await expect(recoverOn(published)).rejects.toMatchObject({ code: "STORE_IN_USE", context: { key: "zarr.json" } });
    expect(rowsOf(published)).toBe(8);
  });

  it("says that there is no store", async () => {
    const there = new RecordingFs();
    await expect(recoverOn(there)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    await there.mkdirAll(ROOT);
    await expect(recoverOn(there)).rejects.toMatchObject({ code: "STORE_NOT_FOUND", context: { path: ROOT } });
  });
});
