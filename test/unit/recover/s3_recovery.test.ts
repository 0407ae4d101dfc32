import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clock, useClock } from "../../../src/base/clock.js";
import { product } from "../../../src/base/integers.js";
import { encodeMarker, MARKER_KEY } from "../../../src/journal/writer_marker.js";
import type { RecoverOptions, RecoverProgress } from "../../../src/recover/report.js";
import { recoverS3 } from "../../../src/recover/s3_recovery.js";
import { openArray } from "../../../src/store/array_reader.js";
import { ShardIndex } from "../../../src/zarr/shard_index.js";
import { withRows } from "../../../src/zarr/with_rows.js";
import { type CraftedArray, craftStore } from "../../helpers/craft_store.js";
import { contentOf, rowsOf, storeOf } from "../../helpers/crash_images.js";
import { FakeS3, s3Failure } from "../../helpers/fake_s3.js";
import { GROUP_METADATA } from "../../helpers/group_metadata.js";

const MARKER = { writeId: "w", started: "2026-01-02T03:04:05.000Z", endsAt: undefined };
/** Four rows of elements in a row of shards, which are two shards side by side. */
const ARRAY: CraftedArray = { dtype: "uint16", shape: [24, 6], chunk: [2, 2], shard: [4, 4] };

/** Nobody waits for the pauses between two looks. */
const HASTY: Clock = { nowNs: () => 0, wallMs: () => 0, sleep: async () => {} };
let restoreClock = () => {};
beforeEach(() => {
  restoreClock = useClock(HASTY);
});
afterEach(() => restoreClock());

const put = (s3: FakeS3, key: string, bytes: Uint8Array, metadata: Record<string, string> = {}) =>
  s3.objects.set(key, { bytes, metadata });

async function startUpload(s3: FakeS3, key: string): Promise<void> {
  const { uploadId } = await s3.createUpload(key, {});
  await s3.uploadPart({ key, uploadId }, 1, new Uint8Array(10));
}

/** A store of 24 rows of elements, six rows of shards, of which `published` rows of elements are visible. */
async function crashed(published: number, options: Partial<CraftedArray> & { endsAt?: number; s3?: FakeS3 } = {}) {
  const { endsAt, s3 = new FakeS3(), ...array } = options;
  const crafted = await craftStore({ ...ARRAY, ...array });
  const metadataKey = array.path === undefined ? "zarr.json" : `${array.path}/zarr.json`;
  for (const [key, bytes] of crafted.objects) {
    put(s3, key, key === metadataKey ? withRows(bytes, published) : bytes, { "millrace-write-id": "w.1", own: "kept" });
  }
  put(s3, MARKER_KEY, encodeMarker({ ...MARKER, endsAt }));
  return { s3, expected: crafted.expected };
}

/** Recovers; then whether the values of the published rows are those of the crafted array. */
async function recovered(s3: FakeS3, expected: Uint8Array, options: RecoverOptions = {}) {
  const report = await recoverS3(s3, options);
  const array = await openArray(storeOf(s3));
  const { shape } = array.metadata;
  const { data } = await array.readRegion(
    shape.map(() => 0),
    shape,
  );
  expect(Buffer.compare(data, expected.subarray(0, product(shape) * 2))).toBe(0);
  return report;
}

describe("a store without a marker", () => {
  it("is clean, and nothing of it is touched, foreign uploads included", async () => {
    const { s3 } = await crashed(12);
    s3.objects.delete(MARKER_KEY);
    await startUpload(s3, "c/5/0");
    const before = contentOf(s3);
    expect(await recoverS3(s3)).toEqual({
      location: "s3://fake/store",
      status: "clean",
      dryRun: false,
      writer: undefined,
      stores: [],
      arrays: [],
      uploadsAborted: 0,
      objectsRemoved: 0,
      notes: [],
    });
    expect(contentOf(s3)).toEqual(before);
  });

  it("that is none at all is an error", async () => {
    const s3 = new FakeS3();
    put(s3, "run2/zarr.json", GROUP_METADATA);
    await expect(recoverS3(s3)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
  });
});

describe("a store with a marker", () => {
  it("gets every complete row, loses the incomplete one, its uploads and the marker", async () => {
    const { s3, expected } = await crashed(8);
    s3.objects.delete("c/5/1");
    await startUpload(s3, "c/5/1");
    await startUpload(s3, "c/5/1");
    await startUpload(s3, "c/7/0");
    const report = await recovered(s3, expected);
    expect(report).toEqual({
      location: "s3://fake/store",
      status: "recovered",
      dryRun: false,
      writer: { started: MARKER.started, endsAt: undefined },
      stores: [{ path: "", status: "recovered", writer: { started: MARKER.started, endsAt: undefined } }],
      arrays: [
        { path: "", rowsBefore: 8, rowsAfter: 20, rowsLost: 4, shardsKept: 10, shardsRemoved: 1, damage: undefined },
      ],
      uploadsAborted: 3,
      objectsRemoved: 2,
      notes: [],
    });
    expect(s3.uploads.size).toBe(0);
    expect(s3.keys()).toEqual(["zarr.json", ...[0, 1, 2, 3, 4].flatMap((r) => [`c/${r}/0`, `c/${r}/1`])].sort());
    expect(await recoverS3(s3)).toMatchObject({ status: "clean" });
  });

  it("gives the report frozen, and as JSON", async () => {
    const { s3 } = await crashed(8, { endsAt: 23 });
    const report = await recoverS3(s3);
    for (const part of [report, report.writer, report.arrays, report.arrays[0], report.notes]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({ writer: { endsAt: 23 }, arrays: [{ rowsAfter: 23 }] });
  });

  it("changes nothing in a dry run, and reports the same", async () => {
    const { s3 } = await crashed(8, { endsAt: 18 });
    s3.objects.delete("c/4/1");
    s3.objects.delete("c/5/0");
    s3.objects.delete("c/5/1");
    await startUpload(s3, "c/4/1");
    const before = contentOf(s3);
    const writes = new Set(["putObject", "createUpload", "uploadPart", "completeUpload", "abortUpload", "remove"]);
    s3.calls.length = 0;
    const dry = await recoverS3(s3, { dryRun: true });
    expect(s3.calls.filter(({ method }) => writes.has(method))).toEqual([]);
    expect(contentOf(s3)).toEqual(before);
    expect(dry).toMatchObject({
      dryRun: true,
      uploadsAborted: 1,
      objectsRemoved: 2,
      arrays: [{ rowsAfter: 16, rowsLost: 2 }],
    });
    expect(await recoverS3(s3)).toEqual({ ...dry, dryRun: false });
  });

  it.each([
    // The announced end lies in the row of shards that would be published last.
    [8, 22, 22],
    [8, 21, 21],
    [8, 24, 24],
    // Nothing says that the array ends inside a row of shards.
    [8, undefined, 24],
    [24, undefined, 24],
    // A shape that ends inside a row of shards is its writer's last word.
    [22, 22, 22],
  ])("that has published %i rows and announced %s ends at row %i", async (published, endsAt, rows) => {
    const { s3, expected } = await crashed(published, { endsAt });
    expect(await recovered(s3, expected)).toMatchObject({
      status: "recovered",
      arrays: [{ rowsAfter: rows, rowsLost: 0 }],
    });
    expect(rowsOf(s3)).toBe(rows);
  });

  it("keeps published rows that lack shards: they were skipped", async () => {
    const { s3, expected } = await crashed(12, { absent: ([t, y]) => t < 4 && y < 2 });
    expect(s3.keys()).not.toContain("c/0/0");
    const report = await recovered(s3, expected);
    expect(report.arrays).toMatchObject([{ rowsAfter: 24, shardsKept: 10, shardsRemoved: 0 }]);
  });

  it("changes the length in zarr.json and nothing else: no digit of the fill value, no user metadata", async () => {
    const { s3 } = await crashed(8, { dtype: "uint64", fill: 18446744073709551557n });
    const text = Buffer.from(s3.bytes("zarr.json")!)
      .toString()
      .replace("{", '{ "extra": {"must_understand": false, "n": 12345678901234567890},');
    put(s3, "zarr.json", Buffer.from(text), { own: "kept", "millrace-write-id": "w.7" });
    await recoverS3(s3);
    expect(Buffer.from(s3.bytes("zarr.json")!).toString()).toBe(text.replace("[8, 6]", "[24, 6]"));
    const { metadata } = s3.objects.get("zarr.json")!;
    expect(metadata).toEqual({ own: "kept", "millrace-write-id": expect.stringMatching(/^[0-9a-f-]{36}\.1$/) });
  });

  it("leaves every object alone that is no shard of its array", async () => {
    const { s3 } = await crashed(24);
    const foreign = ["c/0/2", "c/9/9", "c/09/0", "c/1", "d/9/0", "c/9/0/0", "notes.txt", "c/9/0.tmp", "run2/c/9/0"];
    for (const key of foreign) put(s3, key, new Uint8Array(3));
    for (const key of foreign) await startUpload(s3, key);
    expect(await recoverS3(s3)).toMatchObject({ status: "recovered", uploadsAborted: 0, objectsRemoved: 1 });
    expect(s3.keys()).toEqual(expect.arrayContaining(foreign));
    expect(s3.uploads.size).toBe(foreign.length);
  });

  it("of which nothing was published and nothing is complete becomes an empty array", async () => {
    const { s3, expected } = await crashed(0);
    for (const key of s3.keys()) if (key.startsWith("c/") && key !== "c/0/1") s3.objects.delete(key);
    expect(await recovered(s3, expected)).toMatchObject({ arrays: [{ rowsAfter: 0, rowsLost: 4, shardsRemoved: 1 }] });
    expect(s3.keys()).toEqual(["zarr.json"]);
  });

  it("reports how far it is, and stops when it is asked to, for another run to go on", async () => {
    const { s3 } = await crashed(8);
    s3.objects.delete("c/5/1");
    await startUpload(s3, "c/5/1");
    const undisturbed = s3.copy();
    const seen: RecoverProgress[] = [];
    await recoverS3(undisturbed, { onProgress: (progress) => seen.push(progress) });
    const last = new Map(seen.map(({ step, count }) => [step, count]));
    expect(Object.fromEntries(last)).toEqual({ uploads: 1, list: 13, check: 6, publish: 1, remove: 2 });

    for (let stopAt = 1; stopAt <= seen.length; stopAt++) {
      const one = s3.copy();
      const stop = new AbortController();
      let left = stopAt;
      const onProgress = () => --left === 0 && stop.abort(new Error("enough"));
      await expect(recoverS3(one, { signal: stop.signal, onProgress })).rejects.toThrow("enough");
      if (one.objects.has(MARKER_KEY)) await recoverS3(one);
      expect(contentOf(one)).toEqual(contentOf(undisturbed));
    }
    await expect(recoverS3(s3, { signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow("before");
  });
});

/** A shard of four chunks, whose first has so many bytes, and the others none. */
function shardWithChunkOf(bytes: number): Uint8Array {
  const index = new ShardIndex(4);
  index.set(0, 0, bytes);
  return new Uint8Array([...new Uint8Array(bytes), ...index.encode()]);
}

describe("damage", () => {
  const corruptions: readonly (readonly [string, (bytes: Uint8Array) => Uint8Array, RegExp])[] = [
    ["a byte of the index changed", (bytes) => bytes.with(bytes.length - 30, bytes.at(-30)! ^ 1), /crc32c/],
    ["cut off", (bytes) => bytes.subarray(0, bytes.length - 1), /crc32c/],
    ["shorter than an index", () => new Uint8Array(7), /7 bytes, .* alone has 68/],
    ["empty", () => new Uint8Array(0), / 0 bytes, .* alone has 68/],
    ["somebody else's", (bytes) => new Uint8Array(bytes.length).fill(65), /crc32c/],
    ["good but for a chunk too short for codec none", () => shardWithChunkOf(5), /5 bytes, expected 8/],
    ["an index without its chunks", (bytes) => bytes.subarray(-68), /outside the data/],
  ];

  it.each(corruptions)("ends the run: a shard is %s", async (_, change, message) => {
    const { s3, expected } = await crashed(8);
    put(s3, "c/4/1", change(s3.bytes("c/4/1")!));
    const before = s3.keys();
    const report = await recovered(s3, expected);
    expect(report).toMatchObject({
      status: "damaged",
      objectsRemoved: 0,
      arrays: [{ rowsBefore: 8, rowsAfter: 16, rowsLost: 8, shardsKept: 8, shardsRemoved: 0 }],
    });
    expect(report.arrays[0].damage).toEqual({ key: "c/4/1", message: expect.stringMatching(message) });
    expect(s3.keys()).toEqual(before);
    // Nothing has changed, so it says the same again, and no writer takes the place.
    expect(await recoverS3(s3)).toMatchObject({ status: "damaged", arrays: [{ rowsBefore: 16, rowsAfter: 16 }] });

    const settled = await recovered(s3, expected, { discardDamaged: true });
    expect(settled).toMatchObject({
      status: "recovered",
      objectsRemoved: 5,
      arrays: [{ rowsAfter: 16, shardsRemoved: 4 }],
    });
    expect(settled.arrays[0].damage?.key).toBe("c/4/1");
    expect(await recoverS3(s3)).toMatchObject({ status: "clean" });
  });

  it.each(["c/1/1", "c/2/0"])(
    "is found in the first row that has any, also when the answer for %s is late",
    async (late) => {
      const { s3 } = await crashed(0);
      for (const key of ["c/1/1", "c/2/0", "c/2/1", "c/5/1"]) put(s3, key, new Uint8Array(200));
      s3.before = async ({ method, key }) => {
        if (method === "get" && key === late) for (let i = 0; i < 20; i++) await new Promise(setImmediate);
      };
      expect(await recoverS3(s3)).toMatchObject({ arrays: [{ rowsAfter: 4, damage: { key: "c/1/1" } }] });
    },
  );

  it("is a shard that goes away while it is looked at", async () => {
    const { s3 } = await crashed(8);
    s3.before = ({ method, key }) => {
      if (method === "get" && key === "c/3/0") s3.objects.delete(key);
    };
    expect(await recoverS3(s3)).toMatchObject({ arrays: [{ rowsAfter: 12, damage: { key: "c/3/0" } }] });
  });

  it("is a shard that is missing before rows that are there: a writer does not leave that", async () => {
    const { s3, expected } = await crashed(8);
    s3.objects.delete("c/3/1");
    const report = await recovered(s3, expected);
    expect(report).toMatchObject({ status: "damaged", arrays: [{ rowsAfter: 12, rowsLost: 12, shardsRemoved: 0 }] });
    expect(report.arrays[0].damage).toEqual({ key: "c/3/1", message: expect.stringContaining("c/4/0") });
    // Brought back, for instance from a version of the bucket, it settles the matter.
    const { s3: whole } = await crashed(8);
    put(s3, "c/3/1", whole.bytes("c/3/1")!);
    expect(await recovered(s3, expected)).toMatchObject({ status: "recovered", arrays: [{ rowsAfter: 24 }] });
  });

  it.each([
    ["behind the end that was announced", 8, 15, 15],
    ["behind a length that ends inside a row of shards", 15, undefined, 15],
  ])("is a shard %s", async (_, published, endsAt, rows) => {
    const { s3, expected } = await crashed(published, { endsAt });
    const report = await recovered(s3, expected);
    expect(report).toMatchObject({ status: "damaged", arrays: [{ rowsAfter: rows, shardsKept: 8 }] });
    expect(report.arrays[0].damage).toEqual({ key: "c/4/0", message: expect.stringContaining("ends at row 15") });
  });

  it("of metadata or of the marker changes nothing", async () => {
    for (const [key, bytes, code] of [
      ["zarr.json", Buffer.from('{"zarr_format": 3'), "STORE_CORRUPT"],
      ["zarr.json", Buffer.from('{"zarr_format": 4, "node_type": "array"}'), "STORE_UNSUPPORTED"],
      [MARKER_KEY, Buffer.from('{"format": 2}'), "STORE_UNSUPPORTED"],
      [MARKER_KEY, Buffer.from("no marker"), "STORE_UNSUPPORTED"],
    ] as const) {
      const { s3 } = await crashed(8);
      put(s3, key, bytes);
      await startUpload(s3, "c/6/0");
      const before = contentOf(s3);
      await expect(recoverS3(s3)).rejects.toMatchObject({ code });
      expect(contentOf(s3)).toEqual(before);
    }
  });

  it("an array without shards is none of Millrace's", async () => {
    const { s3 } = await crashed(8);
    const document = JSON.parse(Buffer.from(s3.bytes("zarr.json")!).toString());
    document.codecs = [{ name: "bytes", configuration: { endian: "little" } }];
    put(s3, "zarr.json", Buffer.from(JSON.stringify(document)));
    await expect(recoverS3(s3)).rejects.toMatchObject({ code: "STORE_UNSUPPORTED" });
  });
});

describe("a marker without a store", () => {
  it("goes, with the uploads, where the writer died before its first metadata", async () => {
    const s3 = new FakeS3();
    put(s3, MARKER_KEY, encodeMarker(MARKER));
    await startUpload(s3, "c/0/0");
    expect(await recoverS3(s3)).toMatchObject({
      status: "nothing-to-recover",
      writer: { started: MARKER.started },
      uploadsAborted: 1,
      objectsRemoved: 1,
      notes: [],
    });
    expect(contentOf(s3)).toEqual(contentOf(new FakeS3()));
  });

  it("stays where objects are left: of an interrupted overwrite, or where somebody removed zarr.json", async () => {
    const { s3 } = await crashed(8);
    s3.objects.delete("zarr.json");
    await startUpload(s3, "c/6/0");
    const before = s3.keys();
    const report = await recoverS3(s3);
    expect(report).toMatchObject({ status: "nothing-to-recover", uploadsAborted: 1, objectsRemoved: 0 });
    expect(report.notes).toEqual([expect.stringContaining("12 other objects (c/0/0 …)")]);
    expect(s3.keys()).toEqual(before);
  });

  it("says nothing about stores below it, whose writers may be alive", async () => {
    const s3 = new FakeS3();
    const inner = (await crashed(8)).s3;
    for (const [key, object] of inner.objects) s3.objects.set(`run2/${key}`, object);
    put(s3, MARKER_KEY, encodeMarker(MARKER));
    await startUpload(s3, "run2/c/6/0");
    await startUpload(s3, "c/6/0");
    expect(await recoverS3(s3)).toMatchObject({ status: "nothing-to-recover", uploadsAborted: 1, objectsRemoved: 0 });
    expect([...s3.uploads.values()].map(({ key }) => key)).toEqual(["run2/c/6/0"]);
  });
});

describe("a group", () => {
  async function group() {
    const s3 = new FakeS3();
    await crashed(8, { path: "a", s3 });
    // A length in the marker is the root's, where that is an array.
    await crashed(24, { path: "b/c", s3, endsAt: 11 });
    for (const path of ["", "b/"]) put(s3, `${path}zarr.json`, GROUP_METADATA);
    s3.objects.delete("a/c/3/0");
    for (const row of [4, 5]) for (const shard of [0, 1]) s3.objects.delete(`a/c/${row}/${shard}`);
    await startUpload(s3, "a/c/3/0");
    await startUpload(s3, "b/c/c/6/0");
    return s3;
  }

  it("has each of its arrays recovered", async () => {
    const s3 = await group();
    expect(await recoverS3(s3)).toMatchObject({
      status: "recovered",
      arrays: [
        { path: "a", rowsBefore: 8, rowsAfter: 12, rowsLost: 4, shardsKept: 6, shardsRemoved: 1 },
        { path: "b/c", rowsBefore: 24, rowsAfter: 24, rowsLost: 0, shardsKept: 12, shardsRemoved: 0 },
      ],
      uploadsAborted: 2,
      objectsRemoved: 2,
    });
    expect(s3.uploads.size).toBe(0);
  });

  it("leaves stores inside it alone that have markers of their own", async () => {
    const s3 = await group();
    put(s3, `b/c/${MARKER_KEY}`, encodeMarker(MARKER));
    const report = await recoverS3(s3);
    expect(report).toMatchObject({ status: "recovered", arrays: [{ path: "a" }], uploadsAborted: 1 });
    expect(report.notes).toEqual([expect.stringContaining("b/c is left alone")]);
    expect([...s3.uploads.values()].map(({ key }) => key)).toEqual(["b/c/c/6/0"]);
    expect(s3.keys()).toContain(`b/c/${MARKER_KEY}`);
  });
});

describe("a server or a writer in the way", () => {
  it("that cannot list uploads: the rest is recovered, and a note says so", async () => {
    const { s3, expected } = await crashed(8);
    s3.before = (call) => {
      if (call.method === "listUploads") throw s3Failure("S3_UNSUPPORTED", call);
    };
    const report = await recovered(s3, expected);
    expect(report).toMatchObject({ status: "recovered", uploadsAborted: 0, arrays: [{ rowsAfter: 24 }] });
    expect(report.notes).toEqual([expect.stringContaining("cannot list unfinished uploads")]);
  });

  it("looks again until no upload is left: a part that was on its way may bring one back", async () => {
    const { s3 } = await crashed(8);
    await startUpload(s3, "c/6/0");
    let again = 2;
    s3.after = async ({ method }) => {
      if (method === "abortUpload" && again-- > 0) await startUpload(s3, "c/6/0");
    };
    expect(await recoverS3(s3)).toMatchObject({ status: "recovered", uploadsAborted: 3 });
    expect(s3.uploads.size).toBe(0);
  });

  it("keeps a shard that the server makes whole at the last moment", async () => {
    const { s3, expected } = await crashed(8);
    const shard = s3.objects.get("c/5/1")!;
    s3.objects.delete("c/5/1");
    await startUpload(s3, "c/5/1");
    s3.before = ({ method, key }) => {
      if (method === "abortUpload") s3.objects.set(key, shard);
    };
    expect(await recovered(s3, expected)).toMatchObject({
      status: "recovered",
      arrays: [{ rowsAfter: 24, rowsLost: 0 }],
    });
  });

  it("counts an upload once that takes more than one abort", async () => {
    const { s3 } = await crashed(8);
    await startUpload(s3, "c/6/0");
    const [id, upload] = [...s3.uploads][0];
    let again = 2;
    s3.after = ({ method }) => {
      if (method === "abortUpload" && again-- > 0) s3.uploads.set(id, upload);
    };
    expect(await recoverS3(s3)).toMatchObject({ status: "recovered", uploadsAborted: 1 });
    expect(s3.uploads.size).toBe(0);
  });

  it("gives up before anything is published where uploads never end: the writer is alive", async () => {
    const { s3 } = await crashed(8);
    await startUpload(s3, "c/6/0");
    s3.after = async ({ method }) => {
      if (method === "abortUpload") await startUpload(s3, "c/6/0");
    };
    const before = s3.keys();
    await expect(recoverS3(s3)).rejects.toMatchObject({ code: "S3_CONFLICT", context: { uploadsAborted: 5 } });
    expect(s3.keys()).toEqual(before);
    expect(rowsOf(s3)).toBe(8);
  });

  it("that forbids something: the error says what, and nothing behind it has happened", async () => {
    for (const method of ["listUploads", "abortUpload", "list"] as const) {
      const { s3 } = await crashed(8);
      await startUpload(s3, "c/6/0");
      s3.before = (call) => {
        if (call.method === method) throw s3Failure("S3_ACCESS_DENIED", call);
      };
      await expect(recoverS3(s3)).rejects.toMatchObject({ code: "S3_ACCESS_DENIED", context: { operation: method } });
      expect(rowsOf(s3)).toBe(8);
      expect(s3.objects.has(MARKER_KEY)).toBe(true);
    }
  });

  it("that loses the answer to the new zarr.json: it is looked up", async () => {
    const { s3 } = await crashed(8);
    s3.after = (call) => {
      if (call.method === "putObject") throw s3Failure("S3_SERVER_ERROR", call);
    };
    expect(await recoverS3(s3)).toMatchObject({ status: "recovered", arrays: [{ rowsAfter: 24 }] });
    expect(rowsOf(s3)).toBe(24);
  });

  it("that publishes meanwhile: the new zarr.json is not written over it", async () => {
    const { s3 } = await crashed(8);
    s3.before = ({ method, key }) => {
      if (method === "get" && key === "c/5/0") put(s3, "zarr.json", withRows(s3.bytes("zarr.json")!, 12));
    };
    await expect(recoverS3(s3)).rejects.toMatchObject({ code: "S3_CONFLICT", context: { key: "zarr.json" } });
    expect(rowsOf(s3)).toBe(12);
  });

  it.each([
    ["has put a marker of its own", (s3: FakeS3) => put(s3, MARKER_KEY, encodeMarker({ ...MARKER, writeId: "other" }))],
    ["has closed", (s3: FakeS3) => s3.objects.delete(MARKER_KEY)],
  ])("that %s meanwhile: nothing is removed", async (_, change) => {
    const { s3 } = await crashed(8);
    s3.objects.delete("c/5/1");
    s3.before = ({ method }) => {
      if (method === "putObject") change(s3);
    };
    await expect(recoverS3(s3)).rejects.toMatchObject({ code: "S3_CONFLICT", context: { key: MARKER_KEY } });
    expect(s3.keys()).toContain("c/5/0");
  });
});
