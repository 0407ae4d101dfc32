import { describe, expect, it } from "vitest";
import type { Durability } from "../../src/options.js";
import { FileSink } from "../../src/sinks/file.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { expectContent, ROOT, recoverOn, rowsOf } from "../helpers/folder_crashes.js";
import { inlineSpec } from "../helpers/map_sink.js";
import { type FsCallAbout, RecordingFs } from "../helpers/recording_fs.js";
import { elementBytes } from "../helpers/stream_model.js";

const ROW_BYTES = 12;
const ROWS = 20;
const data = elementBytes(0, (ROWS * ROW_BYTES) / 2, 2);

/** Streams rows until something fails. Returns what the writer had promised by then, and its warnings. */
async function stream(fs: RecordingFs, durability: Durability, fails: (call: FsCallAbout) => boolean, code = "EIO") {
  const warnings: string[] = [];
  let durable = 0;
  fs.before = (call) => {
    if (fails(call)) throw Object.assign(new Error(`${code}: injected`), { code });
  };
  const writer = await openWriter({
    sink: inlineSpec(new FileSink({ root: ROOT, fs })),
    threads: "inline",
    backend: "cpu",
    durability,
    batchEpochs: 1,
    publishIntervalMs: 0,
    array: {
      dtype: "uint16",
      codec: "none",
      dimensions: [
        { name: "t", size: null, chunk: 2, shard: 4 },
        { name: "y", size: 6, chunk: 2, shard: 4 },
      ],
    },
  });
  writer.on("warning", ({ message }) => warnings.push(message));
  let error: unknown;
  try {
    await writer.append(data);
    await writer.close();
  } catch (failure) {
    error = failure;
    await writer.abort();
  }
  durable = writer.watermarks.durable;
  expect(fs.openHandles).toBe(0);
  fs.before = () => {};
  return { error, durable, warnings };
}

/** The nth call of a method on a path, from 1. */
function nth(n: number, method: string, path: RegExp): (call: FsCallAbout) => boolean {
  let count = 0;
  return (call) => call.method === method && path.test(call.path) && ++count === n;
}

describe.each<Durability>(["none", "shard", "batch"])("with durability %s", (durability) => {
  it.each<[string, () => (call: FsCallAbout) => boolean]>([
    ["a journal cannot be made", () => nth(3, "open", /journal/)],
    ["a journal cannot be appended to", () => nth(5, "file.writev", /journal/)],
    ["a journal cannot be closed", () => nth(2, "file.close", /journal/)],
    ["a shard cannot be written", () => nth(5, "file.writev", /c\/\d\/1\.partial/)],
  ])("where %s, the stream fails, and every row that was durable is recovered", async (_, fails) => {
    const fs = new RecordingFs();
    const { error, durable } = await stream(fs, durability, fails());
    expect(error).toMatchObject({ code: "SINK_FAILED", context: { errno: "EIO" } });
    // The marker says that the writer has ended: nobody needs to insist.
    expect(await recoverOn(fs, { force: false })).toMatchObject({ status: "recovered" });
    expect(rowsOf(fs)).toBeGreaterThanOrEqual(durable);
    await expectContent(fs.files(ROOT), data.subarray(0, rowsOf(fs) * ROW_BYTES));
  });
});

it.each([
  ["a shard", /\.partial$/],
  ["a journal", /journal/],
])(
  "a failed sync of %s at durability batch is final: its rows do not count, and nothing is synced there again",
  async (_, path) => {
    const fs = new RecordingFs();
    const fails = nth(4, "file.datasync", path);
    let failed: string | undefined;
    let again = 0;
    const { error, durable } = await stream(fs, "batch", (call) => {
      if (call.path === failed && ["file.datasync", "file.writev"].includes(call.method)) again++;
      if (!fails(call)) return false;
      failed = call.path;
      return true;
    });
    expect(error).toMatchObject({ code: "SINK_FAILED" });
    expect(again).toBe(0);
    expect(durable).toBeGreaterThan(0);
    expect(durable).toBeLessThan(ROWS);
    expect(durable % 2).toBe(0);
    await recoverOn(fs);
    expect(rowsOf(fs)).toBeGreaterThanOrEqual(durable);
  },
);

it("on a full disk at durability batch keeps the shards that hold promised rows", async () => {
  const fs = new RecordingFs();
  let full = false;
  let partials = 0;
  const { error, durable } = await stream(
    fs,
    "batch",
    (call) => {
      if (call.path.endsWith("c/1/0.partial") && call.method === "file.writev" && ++partials === 2) full = true;
      return full && ["file.writev", "open"].includes(call.method);
    },
    "ENOSPC",
  );
  expect(error).toMatchObject({ code: "DISK_FULL" });
  expect(durable).toBe(6);
  await recoverOn(fs);
  expect(rowsOf(fs)).toBe(6);
  await expectContent(fs.files(ROOT), data.subarray(0, 6 * ROW_BYTES));
});

it("a journal that cannot be removed is a warning, and goes in the end", async () => {
  const fs = new RecordingFs();
  const { error, warnings, durable } = await stream(fs, "shard", nth(1, "unlink", /journal/));
  expect(error).toBeUndefined();
  expect(durable).toBe(ROWS);
  expect(warnings).toEqual([expect.stringContaining("could not remove journal")]);
  expect([...fs.files(ROOT).keys()].filter((key) => key.includes("millrace"))).toEqual([]);
});

it("a store that cannot be begun leaves nothing to recover", async () => {
  for (const path of [/writer\.json$/, /zarr\.json\.tmp$/]) {
    const fs = new RecordingFs();
    await expect(stream(fs, "shard", nth(1, "file.writev", path))).rejects.toMatchObject({ code: "SINK_FAILED" });
    expect([...fs.files(ROOT).keys()]).toEqual([]);
    expect(fs.openHandles).toBe(0);
  }
});

it("durability batch is refused where the sink itself turns out to have no journal", async () => {
  const sink = { kind: "module", location: "nowhere", options: {}, memoryBytes: () => 0 };
  const { Delivery } = await import("../../src/pipeline/delivery.js");
  const { allocateStreamMemory } = await import("../../src/pipeline/stream_memory.js");
  const { describeGeometry } = await import("../../src/geometry/array_geometry.js");
  const { MapSink } = await import("../helpers/map_sink.js");
  const { fillValue } = await import("../../src/zarr/fill_value.js");
  const outputLayout = { slotBytes: 4096, chunkStrideBytes: 4096, chunksPerEpoch: 1, epochsPerBatch: 1 };
  const memory = allocateStreamMemory({ stagingSlots: 1, stagingSlotBytes: 4096, outputSlots: 1, outputLayout });
  const opened = Delivery.open(
    {
      geometry: describeGeometry("uint8", [{ name: "t", size: null, chunk: 4096 }]),
      memory,
      ordering: { debug: true, off: [] },
      sink,
      mode: "create",
      durability: "batch",
      publishIntervalMs: 0,
      metadata: { codecs: [], fill: fillValue("uint8", 0), attributes: {} },
      chunkBytesMax: 4096,
      resume: undefined,
    },
    new MapSink(),
    { toProducer: () => {}, toEngine: () => {} },
  );
  await expect(opened).rejects.toMatchObject({ code: "INVALID_OPTION", context: { option: "durability" } });
});
