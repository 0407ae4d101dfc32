import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fillPattern } from "../../src/base/fill_pattern.js";
import { crc32c } from "../../src/codec/crc32c.js";
import { readJournal } from "../../src/journal/read_journal.js";
import { encodeMarker, MARKER_KEY } from "../../src/journal/writer_marker.js";
import type { ArrayOptions, WriterOptions } from "../../src/options.js";
import { storedArrayOptions } from "../../src/resume/stored_options.js";
import { discardSink, fileSink, memorySink, moduleSink, throttledSink } from "../../src/sinks/specs.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { fillValue } from "../../src/zarr/fill_value.js";
import { inlineSpec, MapSink } from "../helpers/map_sink.js";
import { failureOf } from "../helpers/outcome.js";
import {
  appended,
  contentOfFolder,
  cut,
  differing,
  rowBytes,
  type Stretch,
  skipped,
  streamOn,
  totalRows,
} from "../helpers/resume_stream.js";
import { streamCases } from "../helpers/stream_model.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { spread, times } from "../helpers/wide.js";
import { testCodecs } from "../helpers/zstd.js";

let folder: string;
let root: string;
beforeEach(async () => {
  folder = await makeTempFolder();
  root = join(folder, "run.zarr");
});
afterEach(() => removeFolder(folder));

/** Epochs of four rows, rows of shards of twelve, two shards side by side with ragged edges. */
const array = (over: Partial<ArrayOptions> = {}, rows: number | null = null): ArrayOptions => ({
  dtype: "uint16",
  codec: "blosc",
  dimensions: [
    { name: "t", size: rows, chunk: 4, shard: 12 },
    { name: "y", size: 7, chunk: 2, shard: 4 },
    { name: "x", size: 5, chunk: 3, shard: 6 },
  ],
  ...over,
});

const stretches = fc.array(fc.record({ rows: fc.integer({ min: 0, max: 20 }), skipped: fc.boolean() }), {
  minLength: 1,
  maxLength: 6,
});

describe("a stream that is cut and resumed", () => {
  it("leaves the same files as one that is not, wherever the cuts fall", async () => {
    await fc.assert(
      fc.asyncProperty(
        streamCases(),
        stretches,
        fc.array(fc.nat(120), { minLength: 1, maxLength: 4 }),
        async (c, wanted, cuts) => {
          const { array, batchEpochs, depth } = c;
          const { size } = array.dimensions[0];
          const all = size === null ? wanted : cut(wanted, size)[0];
          const whole = memorySink();
          await streamOn({ sink: whole, array, batchEpochs, depth }, all);
          const parts = memorySink();
          let left: readonly Stretch[] = all;
          let mode: WriterOptions["mode"] = "create";
          for (let part = 0; part <= cuts.length; part++) {
            const rows = part === cuts.length ? totalRows(left) : cuts[part] % (totalRows(left) + 1);
            const [now, later] = cut(left, rows);
            const writer = await streamOn({ sink: parts, array, batchEpochs, depth, mode }, now);
            const rowsNow = totalRows(all) - totalRows(later);
            expect(Object.values(writer.watermarks)).toEqual(new Array(5).fill(rowsNow));
            expect(writer.metrics().bytesIn).toBe(rows * writer.geometry.rowBytes);
            left = later;
            mode = "resume";
          }
          expect(differing(parts.files, whole.files)).toEqual([]);
          expect((await verifyStore(parts.files)).defects).toEqual([]);
        },
      ),
      { numRuns: times(30, 150) },
    );
  });

  // Shard rows end at 12, 24; epochs every 4.
  const seams = [0, 1, 3, 4, 5, 8, 11, 12, 13, 16, 22, 24, 25];

  it.each([...new Set([...testCodecs, "zstd"])])("leaves the same files in a folder, codec %s", async (codec) => {
    const whole = join(folder, "whole.zarr");
    const options = { array: array({ codec, fillValue: 9 }), batchEpochs: 2 };
    await streamOn({ sink: fileSink(whole), ...options }, [appended(29)]);
    const expected = await contentOfFolder(whole);
    for (const seam of spread(seams, 7)) {
      const sink = fileSink(join(folder, `${seam}.zarr`));
      await streamOn({ sink, ...options }, [appended(seam)]);
      await streamOn({ sink, ...options, mode: "resume" }, [appended(29 - seam)]);
      expect(differing(await contentOfFolder(sink.location), expected), `cut at ${seam}`).toEqual([]);
    }
  });

  it.each(["none", "batch"] as const)("leaves the same files at durability %s", async (durability) => {
    const whole = fileSink(join(folder, "whole.zarr"));
    await streamOn({ sink: whole, array: array() }, [appended(31)]);
    const options = { sink: fileSink(root), array: array(), durability, batchEpochs: 1 };
    await streamOn(options, [appended(17)]);
    await streamOn({ ...options, mode: "resume" }, [appended(2)]);
    await streamOn({ ...options, mode: "resume" }, [appended(12)]);
    expect(differing(await contentOfFolder(root), await contentOfFolder(whole.location))).toEqual([]);
  });

  it("enters what it copies into the row's journal, as the bytes of the new shards have it", async () => {
    const sink = fileSink(root);
    await streamOn({ sink, array: array() }, [appended(23)]);
    const writer = await openWriter({
      sink,
      array: array(),
      threads: "inline",
      backend: "cpu",
      mode: "resume",
      batchEpochs: 1,
    });
    const content = await contentOfFolder(root);
    const journal = readJournal(content.get(".millrace/journal.1")!);
    // Rows 12 to 20 are two whole epochs, rows 20 to 23 are encoded again.
    expect(journal).toMatchObject({ header: { row: 1 }, epochCount: 2, sealedRowTo: undefined });
    expect(journal.commits.map(({ rowTo }) => rowTo)).toEqual([16, 20]);
    const keys = ["c/1/0/0", "c/1/1/0"];
    let records = 0;
    for (const { recordCount, record } of journal.commits) {
      for (let i = 0; i < recordCount; i++) {
        const { shard, offset, nbytes, crc } = record(i);
        const chunk = content.get(`${keys[shard]}.partial`)!.subarray(offset, offset + nbytes);
        expect([chunk.length, crc32c(chunk)]).toEqual([nbytes, crc]);
        records++;
      }
    }
    // 4 × 2 chunks an epoch.
    expect(records).toBe(2 * 8);
    for (const key of keys) {
      const partial = content.get(`${key}.partial`)!;
      expect(Buffer.compare(partial, content.get(key)!.subarray(0, partial.length))).toBe(0);
    }
    await writer.close();
    expect([...(await contentOfFolder(root)).keys()].filter((key) => key.startsWith("."))).toEqual([]);
  });

  it("keeps a skipped epoch unstored, when it was begun by one writer and ended by another", async () => {
    const parts = memorySink();
    const options = { sink: parts, array: array() };
    await streamOn(options, [appended(4), skipped(3)]);
    expect([...parts.files.keys()]).toContain("c/0/0/0");
    await streamOn({ ...options, mode: "resume" }, [skipped(1), appended(4)]);
    const whole = memorySink();
    await streamOn({ sink: whole, array: array() }, [appended(4), skipped(4), appended(4)]);
    expect(differing(parts.files, whole.files)).toEqual([]);
  });

  it("fills up an epoch that was begun by skipping", async () => {
    const parts = memorySink();
    const options = { array: array({ fillValue: 513 }) };
    await streamOn({ sink: parts, ...options }, [skipped(2)]);
    expect([...parts.files.keys()]).toEqual(["zarr.json"]);
    await streamOn({ sink: parts, ...options, mode: "resume" }, [appended(1), skipped(1)]);
    const whole = memorySink();
    await streamOn({ sink: whole, ...options }, [skipped(2), appended(1), skipped(1)]);
    expect(differing(parts.files, whole.files)).toEqual([]);
    const { data } = await (await openArray(parts.files)).readRegion([0, 0, 0], [2, 7, 5]);
    const expected = new Uint8Array(2 * 7 * 5 * 2);
    fillPattern(expected, fillValue("uint16", 513).bytes);
    expect(data).toEqual(expected);
  });

  it("changes no byte when nothing is appended", async () => {
    const sink = memorySink();
    await streamOn({ sink, array: array() }, [appended(14)]);
    const before = new Map(sink.files);
    await streamOn({ sink, array: array(), mode: "resume" }, []);
    expect(differing(sink.files, before)).toEqual([]);
  });

  it("takes flushes, reservations and appends of any size at the seam", async () => {
    const whole = memorySink();
    await streamOn({ sink: whole, array: array() }, [appended(30)]);
    const sink = memorySink();
    const options = { sink, array: array(), threads: "inline", backend: "cpu", batchEpochs: 1, depth: 1 } as const;
    await streamOn(options, [appended(14)]);
    const writer = await openWriter({ ...options, mode: "resume" });
    await writer.flush();
    const data = rowBytes(writer, 14, 30);
    const room = writer.reserve(writer.geometry.rowBytes)!;
    // The rest of the slot behind the two rows that came back.
    expect(room.byteLength).toBe(writer.geometry.rowBytes);
    room.set(data.subarray(0, 6));
    writer.commit(6);
    expect(writer.tryAppend(data.subarray(6, 10))).toBe(4);
    await writer.flush();
    for (let at = 10; at < data.byteLength; at += 38) await writer.append(data.subarray(at, at + 38));
    await writer.close();
    expect(differing(sink.files, whole.files)).toEqual([]);
  });

  it("counts watermarks and rows from the array's start, and bytes from its own", async () => {
    const sink = memorySink();
    await streamOn({ sink, array: array() }, [appended(14)]);
    const writer = await openWriter({ sink, array: array(), threads: "inline", backend: "cpu", mode: "resume" });
    const five = (rows: number) => ({ accepted: rows, encoded: rows, delivered: rows, durable: rows, published: rows });
    expect(writer.watermarks).toEqual(five(14));
    expect(writer.metrics()).toMatchObject({ rowsAccepted: 14, bytesIn: 0, bytesStored: 0 });
    await writer.append(rowBytes(writer, 14, 15));
    expect(writer.watermarks).toEqual({ ...five(14), accepted: 15 });
    expect(writer.metrics()).toMatchObject({ rowsAccepted: 15, bytesIn: writer.geometry.rowBytes });
    await writer.close();
    expect(writer.watermarks).toEqual(five(15));
  });
});

describe("a bounded array", () => {
  it.each([10, 12])("of %i rows that is full opens, takes nothing more and is left alone", async (rows) => {
    const sink = memorySink();
    await streamOn({ sink, array: array({}, rows) }, [appended(rows)]);
    const before = new Map(sink.files);
    const writer = await openWriter({ sink, array: array({}, rows), threads: "inline", mode: "resume" });
    expect(writer.watermarks.accepted).toBe(rows);
    const error = await failureOf(writer.append(new Uint8Array(writer.geometry.rowBytes)));
    expect([error.code, error.context.bytesNotAccepted]).toEqual(["WRITE_PAST_END", writer.geometry.rowBytes]);
    expect((await failureOf(writer.skip(1))).code).toBe("WRITE_PAST_END");
    await writer.close();
    expect(differing(sink.files, before)).toEqual([]);
    expect([...sink.files].every(([key, bytes]) => before.get(key) === bytes)).toBe(true);
  });

  it("that is not full takes the rest, and no more", async () => {
    const sink = memorySink();
    await streamOn({ sink, array: array({}, 10) }, [appended(7)]);
    const writer = await openWriter({ sink, array: array({}, 10), threads: "inline", mode: "resume" });
    const error = await failureOf(writer.append(rowBytes(writer, 7, 11)));
    expect([error.code, error.context.bytesAccepted]).toEqual(["WRITE_PAST_END", 3 * writer.geometry.rowBytes]);
    await writer.close();
    const whole = memorySink();
    await streamOn({ sink: whole, array: array({}, 10) }, [appended(10)]);
    expect(differing(sink.files, whole.files)).toEqual([]);
  });

  it("may become longer, since a store does not say how long it was to be", async () => {
    const sink = memorySink();
    await streamOn({ sink, array: array({}, 10) }, [appended(10)]);
    await streamOn({ sink, array: array({}, 20), mode: "resume" }, [appended(10)]);
    const whole = memorySink();
    await streamOn({ sink: whole, array: array() }, [appended(20)]);
    expect(differing(sink.files, whole.files)).toEqual([]);
  });
});

describe("what is left out", () => {
  it("is taken from the store: codec, fill value, attributes", async () => {
    const given = array({ codec: "zstd", fillValue: 77, attributes: { sample: "A3" } });
    const whole = memorySink();
    await streamOn({ sink: whole, array: given }, [appended(5), skipped(9)]);
    const sink = memorySink();
    await streamOn({ sink, array: given }, [appended(5)]);
    const { dtype, dimensions } = given;
    await streamOn({ sink, array: { dtype, dimensions }, mode: "resume" }, [skipped(9)]);
    expect(differing(sink.files, whole.files)).toEqual([]);
  });

  it("is all in storedArrayOptions, units and scales too", async () => {
    const dimensions = [
      { name: "t", type: "time", size: null, chunk: 4, shard: 8, unit: "second", scale: 0.5 },
      { name: "x", type: "space", size: 9, chunk: 4 },
    ] as const;
    const given: ArrayOptions = {
      dtype: "float32",
      codec: "none",
      fillValue: "NaN",
      dimensions,
      attributes: { a: [1] },
    };
    const sink = memorySink();
    await streamOn({ sink, array: given }, [appended(5)]);
    const stored = await storedArrayOptions(sink.files);
    expect(stored).toEqual({
      ...given,
      codec: { name: "none" },
      dimensions: [dimensions[0], { ...dimensions[1], shard: 4 }],
    });
    await streamOn({ sink, array: stored, mode: "resume" }, [appended(1)]);
    expect((await openArray(sink.files)).metadata.shape).toEqual([6, 9]);
  });

  it.each<[ArrayOptions["dtype"], ArrayOptions["fillValue"]]>([
    ["uint64", 2n ** 64n - 1n],
    ["int64", -(2n ** 63n)],
    ["int8", -5],
    ["float64", "-Infinity"],
    ["float32", "0x7fc00001"],
    ["float16", 1.5],
  ])("keeps a fill value of %s exact", async (dtype, fill) => {
    const sink = memorySink();
    await streamOn({ sink, array: array({ dtype, fillValue: fill }) }, [appended(1)]);
    const metadata = sink.files.get("zarr.json")!;
    const stored = await storedArrayOptions(sink.files);
    expect(fillValue(dtype, stored.fillValue)).toEqual(fillValue(dtype, fill));
    await streamOn({ sink, array: array({ dtype }), mode: "resume" }, [appended(1)]);
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
    expect(text(sink.files.get("zarr.json")!)).toBe(text(metadata).replace("[1,", "[2,"));
  });

  it("keeps members that other programs have put into zarr.json", async () => {
    const sink = memorySink();
    await streamOn({ sink, array: array() }, [appended(2)]);
    const document = JSON.parse(Buffer.from(sink.files.get("zarr.json")!).toString());
    document.attributes.note = "looked at";
    document.extra = { must_understand: false };
    sink.files.set("zarr.json", new TextEncoder().encode(JSON.stringify(document)));
    await streamOn({ sink, array: array(), mode: "resume" }, [appended(2)]);
    const after = JSON.parse(Buffer.from(sink.files.get("zarr.json")!).toString());
    expect(after).toEqual({ ...document, shape: [4, 7, 5] });
  });
});

describe("a store that is not of the array", () => {
  const base = array({ attributes: { sample: "A3" } });
  const dimension = (i: number, over: object): ArrayOptions => ({
    ...base,
    dimensions: base.dimensions.map((d, k) => (k === i ? { ...d, ...over } : d)),
  });
  const cases: [string, ArrayOptions, [string, string, string][]][] = [
    ["dtype", { ...base, dtype: "int16" }, [["dtype", "uint16", "int16"]]],
    ["rank", { ...base, dimensions: base.dimensions.slice(0, 2) }, [["rank", "3", "2"]]],
    ["name", dimension(1, { name: "row" }), [["names", "t, y, x", "t, row, x"]]],
    ["inner size", dimension(2, { size: 6 }), [["size of x", "5", "6"]]],
    ["length below the rows", dimension(0, { size: 13 }), [["size of t", "14", "13"]]],
    ["chunk", dimension(1, { chunk: 4 }), [["chunk", "4 × 2 × 3", "4 × 4 × 3"]]],
    ["shard", dimension(0, { shard: 8 }), [["shard", "12 × 4 × 6", "8 × 4 × 6"]]],
    ["codec", { ...base, codec: "none" }, [["codec", "blosc", "none"]]],
    ["codec level", { ...base, codec: "zstd:3" }, [["codec", "blosc", "zstd:3"]]],
    ["fill value", { ...base, fillValue: 1 }, [["fillValue", "0", "1"]]],
    ["unit", dimension(1, { unit: "micrometer" }), [["unit of y", "none", '"micrometer"']]],
    ["scale", dimension(0, { scale: 2 }), [["scale of t", "none", "2"]]],
    ["type", dimension(0, { type: "time" }), [["type of t", "none", '"time"']]],
    ["attributes", { ...base, attributes: { sample: "B1" } }, [["attributes", '{"sample":"A3"}', '{"sample":"B1"}']]],
    [
      "several",
      { ...base, dtype: "uint8", codec: "zstd", fillValue: 3 },
      [
        ["dtype", "uint16", "uint8"],
        ["codec", "blosc", "zstd"],
      ],
    ],
  ];

  it.each(cases)("in its %s is refused with the difference, and left alone", async (_, other, differences) => {
    const sink = fileSink(root);
    await streamOn({ sink, array: base }, [appended(14)]);
    const before = await contentOfFolder(root);
    const error = await failureOf(openWriter({ sink, array: other, mode: "resume", threads: "inline" }));
    expect(error.code).toBe("RESUME_MISMATCH");
    const { fields, stored, given, location } = error.context as Record<string, string[]>;
    expect(location).toBe(root);
    expect(fields.map((field, i) => [field, stored[i], given[i]])).toEqual(differences);
    for (const [field, there, asked] of differences) {
      expect(error.message).toContain(`${field} is ${there} in the store, not ${asked}`);
    }
    expect(differing(await contentOfFolder(root), before)).toEqual([]);
  });

  /** zarr.json of a store of ours, changed as other software would have written it. */
  // biome-ignore lint/suspicious/noExplicitAny: any JSON
  async function foreign(change: (document: any) => void) {
    const sink = memorySink();
    await streamOn({ sink, array: array() }, [appended(14)]);
    const document = JSON.parse(Buffer.from(sink.files.get("zarr.json")!).toString());
    change(document);
    sink.files.set("zarr.json", new TextEncoder().encode(JSON.stringify(document)));
    return sink;
  }
  // biome-ignore lint/suspicious/noExplicitAny: any JSON
  const foreigners: [string, string, string, (document: any) => void][] = [
    ["another encoder", "encoderVersion", "none", (d) => delete d.attributes.millrace],
    ["a newer encoder", "encoderVersion", "2", (d) => (d.attributes.millrace.encoderVersion = 2)],
    [
      "another compressor inside blosc",
      "codec",
      "lz4",
      (d) => (d.codecs[0].configuration.codecs[1].configuration.cname = "lz4"),
    ],
    [
      "gzip",
      "codec",
      "gzip",
      (d) => (d.codecs[0].configuration.codecs[1] = { name: "gzip", configuration: { level: 5 } }),
    ],
    [
      "indexes at the start",
      "shard index",
      "at the start",
      (d) => (d.codecs[0].configuration.index_location = "start"),
    ],
    ["other chunk keys", "chunk keys", "v2", (d) => (d.chunk_key_encoding = { name: "v2" })],
    ["no shards", "shard", "none", (d) => (d.codecs = d.codecs[0].configuration.codecs)],
  ];
  it.each(foreigners)(
    "because other software wrote it, with %s, is refused with the reason",
    async (_, field, text, change) => {
      const sink = await foreign(change);
      const before = new Map(sink.files);
      const error = await failureOf(openWriter({ sink, array: array(), mode: "resume", threads: "inline" }));
      expect(error.code).toBe("RESUME_MISMATCH");
      const { fields, stored } = error.context as Record<string, string[]>;
      expect(fields).toContain(field);
      expect(stored[fields.indexOf(field)]).toContain(text);
      expect(differing(sink.files, before)).toEqual([]);
    },
  );

  it("because it cannot be read at all is refused as any reader would", async () => {
    const transposed = await foreign((d) => {
      d.storage_transformers = [{ name: "x" }];
    });
    const open = (sink: WriterOptions["sink"]) =>
      openWriter({ sink, array: array(), mode: "resume", threads: "inline" });
    expect((await failureOf(open(transposed))).code).toBe("STORE_UNSUPPORTED");
    transposed.files.set("zarr.json", new TextEncoder().encode("{"));
    expect((await failureOf(open(transposed))).code).toBe("STORE_CORRUPT");
    transposed.files.set("zarr.json", new TextEncoder().encode('{"zarr_format":3,"node_type":"group"}'));
    const group = await failureOf(open(transposed));
    expect([group.code, group.context.stored]).toEqual(["RESUME_MISMATCH", ["a group"]]);
  });

  it("by a damaged shard where it goes on is refused, and left alone", async () => {
    const sink = fileSink(root);
    await streamOn({ sink, array: array() }, [appended(17)]);
    const path = join(root, "c/1/1/0");
    const bytes = (await contentOfFolder(root)).get("c/1/1/0")!;
    for (const [at, code] of [
      [bytes.length - 3, "STORE_CORRUPT"],
      [bytes.length - 40, "STORE_CORRUPT"],
    ] as const) {
      const damaged = bytes.slice();
      damaged[at] ^= 1;
      await writeFile(path, damaged);
      const error = await failureOf(openWriter({ sink, array: array(), mode: "resume", threads: "inline" }));
      expect(error.code).toBe(code);
      expect(error.message).toContain("c/1/1/0");
    }
  });
});

describe("a place that cannot be resumed", () => {
  const open = (sink: WriterOptions["sink"], over: Partial<WriterOptions> = {}) =>
    openWriter({ sink, array: array(), mode: "resume", threads: "inline", ...over });

  it("because nothing is there says so", async () => {
    for (const sink of [fileSink(root), memorySink()]) {
      const error = await failureOf(open(sink));
      expect([error.code, error.hint]).toEqual(["STORE_NOT_FOUND", expect.stringContaining("create")]);
    }
    await mkdir(root);
    expect((await failureOf(open(fileSink(root)))).code).toBe("STORE_NOT_FOUND");
  });

  it("because a writer is at work, or has crashed, says so and what to do", async () => {
    await streamOn({ sink: fileSink(root), array: array() }, [appended(5)]);
    await mkdir(join(root, ".millrace"));
    await writeFile(join(root, MARKER_KEY), encodeMarker({ writeId: "w", started: "2026-01-01T00:00:00Z" }));
    const before = await contentOfFolder(root);
    const error = await failureOf(open(fileSink(root)));
    expect([error.code, error.hint]).toEqual(["STORE_NOT_CLOSED", expect.stringContaining("millrace recover")]);
    expect(differing(await contentOfFolder(root), before)).toEqual([]);
  });

  it("because the last writer of a memory sink has not closed it", async () => {
    const sink = memorySink();
    const writer = await openWriter({ sink, array: array(), threads: "inline", backend: "cpu", batchEpochs: 1 });
    await writer.append(rowBytes(writer, 0, 7));
    await writer.flush();
    await writer.abort();
    expect((await failureOf(open(sink))).code).toBe("STORE_NOT_CLOSED");
  });

  it("because its kind of sink cannot be read", async () => {
    const module = moduleSink("file:///absent.js");
    for (const sink of [discardSink(), inlineSpec(new MapSink()), throttledSink(memorySink()), module]) {
      const error = await failureOf(open(sink, { threads: "inline" }));
      expect([error.code, error.context.option]).toEqual(["INVALID_OPTION", "mode"]);
    }
  });

  it("works through a throttled sink", async () => {
    const sink = throttledSink(fileSink(root), { latencyMs: 1 });
    await streamOn({ sink, array: array() }, [appended(7)]);
    await streamOn({ sink, array: array(), mode: "resume" }, [appended(7)]);
    expect((await verifyStore(root)).defects).toEqual([]);
    expect((await openArray(root)).metadata.shape[0]).toBe(14);
  });
});
