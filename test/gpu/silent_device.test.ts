import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { memorySink } from "../../src/sinks/specs.js";
import { openArray } from "../../src/store/array_reader.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { noGpu, openGpuWriter } from "../helpers/gpu.js";
import { FaultyHost, type GpuStep } from "../helpers/gpu_faults.js";
import { elementBytes } from "../helpers/stream_model.js";

/**
 * A device that does not answer, and is not lost either: the stream stands still and says where, nothing but an abort
 * ends it, and that one ends. The device is real, its silence is injected.
 */
const FRAME_BYTES = 24 * 40 * 2;
const frames = (from: number, to: number): Uint8Array =>
  elementBytes((from * FRAME_BYTES) / 2, ((to - from) * FRAME_BYTES) / 2, 2);

async function open(host: FaultyHost) {
  const sink = memorySink();
  const writer = await openGpuWriter(
    {
      sink,
      depth: 3,
      batchEpochs: 2,
      publishIntervalMs: 0,
      array: {
        dtype: "uint16",
        codec: "none",
        dimensions: [
          { name: "t", size: null, chunk: 2, shard: 4 },
          { name: "y", size: 24, chunk: 10, shard: 20 },
          { name: "x", size: 40, chunk: 16, shard: 32 },
        ],
      },
    },
    { host },
  );
  const warnings: string[] = [];
  writer.on("warning", ({ message }) => warnings.push(message));
  return { sink, writer, warnings };
}

/**
 * Until the engine waits for the device, the producer for the engine, and delivery for a batch: for none of them the
 * sink is to blame.
 */
async function standsStill(writer: ArrayWriter): Promise<void> {
  for (;;) {
    const { waiting } = writer.metrics();
    const has = (owner: string, rule: string) => waiting.some((wait) => wait.owner === owner && wait.rule === rule);
    const delivery = waiting.filter(({ owner }) => owner === "delivery").map(({ rule }) => rule);
    const idle = delivery.every((rule) => rule === "ENCODED" || rule === "DELIVER_OLDEST_FIRST");
    if (has("engine", "ENCODED") && has("producer", "STAGING_FREE") && delivery.length > 0 && idle) return;
    await turn();
  }
}

const never = (): Promise<never> => new Promise(() => {});
const SILENT: readonly GpuStep[] = ["map readback", "map upload"];

describe.skipIf(noGpu)("a device that does not answer", () => {
  it.each(SILENT)("[device-map] to %s: append waits, metrics say for what, and abort ends", async (step) => {
    const host = new FaultyHost();
    const { sink, writer, warnings } = await open(host);
    await writer.append(frames(0, 4));
    await writer.flush();
    host.at(step, 1, never);
    const waiting = writer.append(frames(4, 40));
    waiting.catch(() => {});
    await standsStill(writer);
    await writer.abort(new Error("enough"));
    await expect(waiting).rejects.toMatchObject({ code: "WRITER_ABORTED", cause: { message: "enough" } });
    expect(writer.metrics().waiting).toEqual([]);
    expect(warnings.filter((message) => message.includes("GPU"))).toEqual([]);
    expect(Buffer.compare((await (await openArray(sink.files)).readRegion()).data, frames(0, 4))).toBe(0);
    // The next stream finds a device.
    const next = await open(host);
    await next.writer.append(frames(0, 9));
    await next.writer.close();
    expect(next.writer.metrics().chunksByRoute.cpu).toBe(0);
  });

  it.each(SILENT)("to %s: an abort ends a close that waits", async (step) => {
    const host = new FaultyHost();
    const { writer } = await open(host);
    host.at(step, 1, never);
    await writer.append(frames(0, 4));
    const closing = writer.close();
    closing.catch(() => {});
    while (!writer.metrics().waiting.some(({ owner, rule }) => owner === "engine" && rule === "ENCODED")) await turn();
    await writer.abort();
    await expect(closing).rejects.toMatchObject({ code: "WRITER_ABORTED" });
  });

  it.each(SILENT)("to %s, and is lost then: the CPU goes on with every row", async (step) => {
    const host = new FaultyHost();
    const { sink, writer, warnings } = await open(host);
    host.at(step, 2, never);
    const appended = writer.append(frames(0, 40));
    await standsStill(writer);
    host.device.loseQuietly();
    await appended;
    await writer.close();
    expect(warnings.filter((message) => message.includes("nothing was lost")).length).toBe(1);
    expect(writer.metrics().chunksByRoute.cpu).toBeGreaterThan(0);
    expect(Buffer.compare((await (await openArray(sink.files)).readRegion()).data, frames(0, 40))).toBe(0);
  });
});
