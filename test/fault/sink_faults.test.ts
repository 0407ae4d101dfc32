import { expect, it } from "vitest";
import type { MillraceError } from "../../src/base/errors.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { faultySink, Gate, RecordingSink, type SinkFault, type SinkMethod } from "../helpers/faulty_sink.js";
import { inlineSpec, MapSink } from "../helpers/map_sink.js";
import { elementBytes } from "../helpers/stream_model.js";

/** A sink that goes wrong at any of its calls: one clear error, nobody waits for ever, nothing false is visible. */
const ROW_BYTES = 4 * 6;
const ROWS = 22;
const data = elementBytes(0, (ROWS * ROW_BYTES) / 2, 2);

function openOn(sink: RecordingSink, publishIntervalMs = 0) {
  return openWriter({
    sink: inlineSpec(sink),
    threads: "inline",
    batchEpochs: 1,
    depth: 2,
    publishIntervalMs,
    array: {
      dtype: "uint16",
      codec: { name: "none" },
      dimensions: [
        { name: "t", size: null, chunk: 2, shard: 4 },
        { name: "x", size: 12, chunk: 5, shard: 10 },
      ],
    },
  });
}

async function run(faults: readonly SinkFault[]) {
  const map = new MapSink();
  const recording = new RecordingSink(faultySink(map, faults));
  const codes: string[] = [];
  let reported = 0;
  const note = (error: unknown): void => {
    codes.push((error as MillraceError).code);
  };
  try {
    const writer = await openOn(recording);
    writer.on("error", () => reported++);
    const appends = [data.subarray(0, 200), data.subarray(200, 210), data.subarray(210)].map((part) =>
      writer.append(part).catch(note),
    );
    const flush = writer.flush().catch(note);
    await Promise.all([...appends, flush]);
    await writer.close().catch(note);
    if (codes.length > 0) {
      // The first failure is what every later call reports.
      await writer.append(data).catch(note);
      await writer.close().catch(note);
      expect(new Set(codes).size).toBe(1);
      expect(reported).toBe(1);
    }
  } catch (error) {
    note(error);
  }
  return { map, recording, codes };
}

/** What a reader sees is whole and right, as far as the published shape goes. */
async function checkVisible(map: MapSink): Promise<number> {
  if (!map.files.has("zarr.json")) {
    expect(map.files.size).toBe(0);
    return -1;
  }
  const array = await openArray(map.files);
  const rows = array.metadata.shape[0];
  const read = await array.readRegion();
  expect(Buffer.compare(read.data, data.subarray(0, rows * ROW_BYTES))).toBe(0);
  const report = await verifyStore(map.files);
  expect(report.defects).toEqual([]);
  return rows;
}

const methods: readonly SinkMethod[] = ["open", "openShard", "write", "seal", "putObject", "close"];
const cases = methods.flatMap((method) =>
  [1, 2, 3, 5, 8].flatMap((nth) =>
    (["fail", "short", "delay", "reorder"] as const).map((action): [string, SinkFault] => [
      `${action} at call ${nth} of ${method}`,
      { method, nth, action, ms: 3, code: "DISK_FULL" },
    ]),
  ),
);

it.each(cases)("%s", async (_, fault) => {
  const { map, recording, codes } = await run([fault]);
  expect(recording.violations).toEqual([]);
  const rows = await checkVisible(map);
  const calls = recording.events.filter((e) => e.method === fault.method && e.phase === "start").length;
  const mustFail = (fault.action === "fail" || fault.action === "short") && calls >= fault.nth;
  if (mustFail) expect(codes[0]).toBe("DISK_FULL");
  else {
    expect(codes).toEqual([]);
    expect(rows).toBe(ROWS);
  }
});

it("two failures at once report the first, and abandon that fails too is only a warning", async () => {
  const { map, codes } = await run([
    { method: "write", nth: 3, action: "fail", code: "DISK_FULL" },
    { method: "abandon", nth: 0, action: "fail", code: "PERMISSION_DENIED" },
    { method: "close", nth: 1, action: "fail", code: "PERMISSION_DENIED" },
  ]);
  expect(codes[0]).toBe("DISK_FULL");
  await checkVisible(map);
});

it.each(["abort", "close"] as const)("%s in mid-stream waits for a write that the sink holds", async (ending) => {
  const map = new MapSink();
  const gate = new Gate();
  const recording = new RecordingSink(
    faultySink(map, [{ method: "write", nth: 6, action: "hold", gate: gate.memory }]),
  );
  const writer = await openOn(recording);
  // Batches queue behind the held one until nothing is free: one kicked and undelivered, one filled, appends waiting.
  // Four writes are a row of shards, of four rows of data, which is published before.
  await writer.append(data.subarray(0, 4 * ROW_BYTES));
  await writer.flush();
  expect(writer.watermarks.published).toBe(4);
  const waiting = writer.append(data.subarray(4 * ROW_BYTES)).catch((error) => error);
  await gate.arrived();
  let ended = false;
  const end = writer[ending]().then(() => {
    ended = true;
  });
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(ended).toBe(false);
  expect(map.closed).toBe(false);
  gate.release();
  await end;
  await waiting;
  expect(map.closed).toBe(true);
  // The memory that the held write borrowed was not touched meanwhile: the recording sink compared it.
  expect(recording.violations).toEqual([]);
  const rows = await checkVisible(map);
  expect(ending === "close" ? [ROWS] : [4, 8]).toContain(rows);
});

it("a full disk gives up open shards first, so that the shape over sealed ones still finds room", async () => {
  const map = new MapSink();
  const faults: SinkFault[] = [{ method: "write", nth: 9, action: "fail", code: "DISK_FULL" }];
  const recording = new RecordingSink(faultySink(map, faults));
  const writer = await openOn(recording, 1_000_000);
  await expect(writer.append(data).then(() => writer.close())).rejects.toMatchObject({ code: "DISK_FULL" });
  await writer.close().catch(() => {});
  // Two shards a row and two writes a shard: eight writes are two rows of shards, four rows of data each.
  expect(await checkVisible(map)).toBe(8);
  const order = recording.events.filter(
    (e) => e.phase === "start" && (e.method === "abandon" || e.method === "putObject"),
  );
  expect(order.map((e) => e.method)).toEqual(["putObject", "abandon", "abandon", "putObject"]);
});
