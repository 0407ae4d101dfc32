/** Rows of shards that are skipped whole, between rows that are not: no slot and no journal holds them. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fileSink, memorySink, moduleSink, openArray, openWriter, type SinkSpec } from "../../dist/index.js";
import type { ArrayOptions, Durability } from "../../src/options.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { checkRecoveredFolder, crashFolder, type FolderStream } from "../helpers/folder_crashes.js";
import { coordinateRows } from "../helpers/outcome.js";
import { contentOfFolder } from "../helpers/resume_stream.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";

const ROW_BYTES = 14;
const FILL = 9;
/** Two shards side by side, two epochs of two rows deep: four rows of the array are a row of shards. */
const ARRAY: ArrayOptions = {
  dtype: "uint16",
  codec: "none",
  fillValue: FILL,
  dimensions: [
    { name: "t", size: null, chunk: 2, shard: 4 },
    { name: "y", size: 7, chunk: 2, shard: 4 },
  ],
};

const rows = coordinateRows(ROW_BYTES);
const blank = (count: number): Uint8Array => {
  const elements = new Uint16Array((count * ROW_BYTES) / 2).fill(FILL);
  return new Uint8Array(elements.buffer);
};

afterEach(() => {
  delete process.env.MILLRACE_RULES_OFF;
});

describe.each<Durability>(["none", "shard", "batch"])("durability %s", (durability) => {
  const stream: FolderStream = { array: ARRAY, durability, batchEpochs: 1, depth: 2 };

  async function feed(writer: ArrayWriter): Promise<Uint8Array> {
    const content: Uint8Array[] = [];
    let at = 0;
    const append = async (count: number): Promise<void> => {
      content.push(rows(at, at + count));
      at += count;
      await writer.append(content.at(-1) as Uint8Array);
    };
    const skip = async (count: number): Promise<void> => {
      content.push(blank(count));
      at += count;
      await writer.skip(count);
    };
    await append(4);
    await skip(20);
    await append(3);
    // The rest of a row of shards, whole ones, and the beginning of another.
    await skip(1 + 16 + 2);
    await append(5);
    // At the end, too.
    await skip(1 + 24);
    return Buffer.concat(content);
  }

  it("loses no durable row, wherever the process crashes", async () => {
    const crashed = await crashFolder(stream, feed);
    expect(crashed.images.length).toBeGreaterThan(50);
    for (const image of crashed.images) await checkRecoveredFolder(image, crashed);
  });

  it("promises rows that recovery does not find, with SKIP_PUBLISHED off", async () => {
    process.env.MILLRACE_RULES_OFF = "SKIP_PUBLISHED";
    // A disk on which metadata takes longer than anything else.
    const slow: FolderStream = {
      ...stream,
      delay: async (call) => {
        if (!JSON.stringify(call).includes("zarr.json")) return;
        for (let i = 0; i < 40; i++) await new Promise((resolve) => setImmediate(resolve));
      },
    };
    const crashed = await crashFolder(slow, feed);
    const wrong: unknown[] = [];
    for (const image of crashed.images) await checkRecoveredFolder(image, crashed).catch((error) => wrong.push(error));
    expect(wrong.length).toBeGreaterThan(0);
  });
});

describe.each(["inline", "workers"] as const)("threads: %s", (threads) => {
  async function filesOf(skips: readonly number[], batchEpochs = 1): Promise<Map<string, string>> {
    const sink = memorySink();
    const writer = await openWriter({ sink, array: ARRAY, threads, batchEpochs, publishIntervalMs: 0 });
    await writer.append(rows(0, 6));
    for (const count of skips) await writer.skip(count);
    await writer.flush();
    await writer.append(rows(6, 9));
    await writer.skip(40);
    await writer.close();
    return new Map([...sink.files].map(([key, bytes]) => [key, Buffer.from(bytes).toString("hex")]));
  }

  it("stores the same bytes, however the rows were skipped", async () => {
    const oneByOne = await filesOf(new Array(2 + 32 + 1).fill(1));
    expect(oneByOne.size).toBeGreaterThan(4);
    expect(await filesOf([2 + 32 + 1])).toEqual(oneByOne);
    expect(await filesOf([2, 16, 16, 1], 2)).toEqual(oneByOne);
  });

  it("takes ten million rows at once, in a few calls of the sink", async () => {
    const sink = memorySink();
    const writer = await openWriter({ sink, array: ARRAY, threads });
    const seen: number[] = [];
    writer.on("progress", ({ accepted, encoded, delivered, durable, published }) => {
      expect([accepted, encoded, delivered, durable, published]).toEqual(
        [accepted, encoded, delivered, durable, published].sort((a, b) => b - a),
      );
      seen.push(published);
    });
    await writer.append(rows(0, 4));
    await writer.skip(10_000_000);
    await writer.append(rows(4, 8));
    await writer.close();
    expect(writer.watermarks.published).toBe(10_000_008);
    expect(seen.at(-1)).toBe(10_000_008);
    expect([...sink.files.keys()].sort()).toEqual(["c/0/0", "c/0/1", "c/2500001/0", "c/2500001/1", "zarr.json"]);
    expect(writer.metrics().stages.find(({ name }) => name === "publish")?.count).toBeLessThan(6);
  });
});

describe.each<Durability>(["none", "shard", "batch"])("a folder, durability %s", (durability) => {
  let folder: string;
  beforeEach(async () => {
    folder = await makeTempFolder();
  });
  afterEach(() => removeFolder(folder));

  const below = (location: string) => fileSink(location);
  /** The same as a program's own sink, its calls held to the contract. */
  const ofOwn = (location: string) =>
    moduleSink(new URL("../helpers/faulty_sink_module.js", import.meta.url), {
      inner: { kind: "file", options: {}, location },
      record: true,
    });

  /** Rows to skip behind those that are appended; the stream is closed and resumed before each part but the first. */
  async function filesOf(
    name: string,
    makeSink: (location: string) => SinkSpec,
    parts: readonly (readonly number[])[],
  ): Promise<Map<string, string>> {
    const location = `${folder}/${name}`;
    let at = 0;
    for (const [i, skips] of parts.entries()) {
      const writer = await openWriter({
        sink: makeSink(location),
        array: ARRAY,
        mode: i === 0 ? "create" : "resume",
        durability,
        batchEpochs: 1,
      });
      if (i === 0) await writer.append(rows(0, 6));
      at += i === 0 ? 6 : 0;
      for (const count of skips) {
        await writer.skip(count);
        at += count;
        await writer.flush();
        const { accepted, encoded, delivered, durable, published } = writer.watermarks;
        expect([accepted, encoded, delivered]).toEqual([at, at - (at % 2), at - (at % 2)]);
        expect(durable).toBeGreaterThanOrEqual(published);
        expect(published).toBe(at - (at % 4));
      }
      if (i === parts.length - 1) {
        await writer.append(rows(6, 9));
        at += 3;
      }
      await writer.close();
      expect(Object.values(writer.watermarks)).toEqual(new Array(5).fill(at));
    }
    const { data } = await (await openArray(location)).readRegion();
    expect(Buffer.compare(data, Buffer.concat([rows(0, 6), blank(at - 9), rows(6, 9)]))).toBe(0);
    return new Map(
      [...(await contentOfFolder(location))].map(([key, bytes]) => [key, Buffer.from(bytes).toString("hex")]),
    );
  }

  it("gets the same bytes in one skip and in many, from a module's sink too, resumed or not", async () => {
    const oneByOne = await filesOf("steps", below, [new Array(2 + 40 + 1).fill(1)]);
    expect(oneByOne.size).toBe(1 + 3 * 2);
    expect(await filesOf("whole", below, [[2 + 40 + 1]])).toEqual(oneByOne);
    expect(await filesOf("flushed", below, [[2, 16, 24, 1]])).toEqual(oneByOne);
    // Resumed inside a row of shards, on one behind rows that passed all slots by, and inside an epoch.
    expect(await filesOf("resumed", below, [[], [2 + 16], [24 + 1], []])).toEqual(oneByOne);
    expect(await filesOf("module", ofOwn, [[2 + 40 + 1]])).toEqual(oneByOne);
  });
});

it("an abort ends a stream that skips", async () => {
  const sink = memorySink();
  const writer = await openWriter({ sink, array: ARRAY });
  writer.on("error", () => {});
  for (let i = 0; i < 1000; i++) void writer.skip(64).catch(() => {});
  await writer.abort();
  expect(writer.watermarks.published % 4).toBe(0);
});

it("refuses more rows than can be counted, and goes on", async () => {
  const writer = await openWriter({ sink: memorySink(), array: ARRAY, threads: "inline" });
  await writer.append(rows(0, 4));
  await expect(writer.skip(Number.MAX_SAFE_INTEGER)).rejects.toMatchObject({
    code: "INVALID_DATA",
    context: { rowsMax: Math.floor((Number.MAX_SAFE_INTEGER - 4 * ROW_BYTES) / ROW_BYTES) },
  });
  await writer.skip(1e12);
  await writer.close();
  expect(writer.watermarks.published).toBe(1e12 + 4);
});
