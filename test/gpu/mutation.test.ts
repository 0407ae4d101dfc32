import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { OrderingRule } from "../../src/slots/ordering.js";
import { openArray } from "../../src/store/array_reader.js";
import { GPU_TIMEOUT_MS, noGpu, openGpuWriter } from "../helpers/gpu.js";
import { FaultyHost } from "../helpers/gpu_faults.js";
import { LateSink } from "../helpers/late_pipeline.js";
import { elementBytes } from "../helpers/stream_model.js";

/**
 * Mutation tests of the rules that a GPU stream meets: with each switched off in turn, the stream that passes with all of them must
 * fail. A GPU has a second way to do so: it finds out, and the CPU does its work.
 */
const FRAME_BYTES = 24 * 40 * 2;
const FRAMES = 26;

const RULES: readonly OrderingRule[] = [
  "POOL_CONSUMED",
  "STAGING_FREE",
  "STAGING_COPIED",
  "BATCH_FILLED",
  "JOIN_BEFORE_REFILL",
  "ENCODED",
];

afterEach(() => {
  delete process.env.MILLRACE_RULES_OFF;
});

/** Throws when values, or files against `reference`, are wrong, or when not every chunk came from the GPU without a warning. */
async function stream(reference?: ReadonlyMap<string, Uint8Array>): Promise<Map<string, Uint8Array>> {
  // Longer than a software device takes for a batch.
  const sink = new LateSink(60);
  const writer = await openGpuWriter(
    {
      sink: sink.spec(),
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
  let failure: unknown;
  writer.on("error", (error) => {
    failure ??= error;
  });
  writer.on("warning", ({ message }) => {
    if (message.includes("GPU")) failure ??= new Error(message);
  });
  const expected = elementBytes(0, (FRAMES * FRAME_BYTES) / 2, 2);
  const frames = (from: number, to: number): Uint8Array => expected.subarray(from * FRAME_BYTES, to * FRAME_BYTES);
  try {
    await writer.append(frames(0, 3));
    await new Promise((resolve) => setTimeout(resolve, 20)); // a slot stands half full for a while
    const room = writer.reserve(FRAME_BYTES);
    await writer.flush().catch((error) => {
      if (error.code !== "RESERVE_STATE") throw error;
    });
    if (room === null) throw new Error("no slot was free");
    room.set(frames(3, 4));
    writer.commit(FRAME_BYTES);
    await writer.append(frames(4, FRAMES));
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  if (failure !== undefined) throw failure;
  const { cpu } = writer.metrics().chunksByRoute;
  if (cpu > 0) throw new Error(`${cpu} chunks came from the CPU`);
  const array = await openArray(sink.files);
  const { data } = await array.readRegion([0, 0, 0], [FRAMES, 24, 40]);
  if (Buffer.compare(data, expected) !== 0) throw new Error("values differ");
  for (const [key, bytes] of reference ?? []) {
    if (Buffer.compare(bytes, sink.files.get(key) as Uint8Array) !== 0) throw new Error(`bytes of ${key} differ`);
  }
  return sink.files;
}

let host: FaultyHost;
/** Files of a run with every rule on. */
let reference: Map<string, Uint8Array>;

describe.skipIf(noGpu)("a stream on a GPU", { timeout: GPU_TIMEOUT_MS }, () => {
  beforeAll(async () => {
    host = new FaultyHost();
    reference = await stream();
  }, GPU_TIMEOUT_MS);

  it("passes with every rule on, with the same bytes", async () => {
    await stream(reference);
  });

  describe.each(["1", "0"])("with debug checks %s", (debug) => {
    it.each(RULES)("fails with %s off", async (rule) => {
      process.env.MILLRACE_RULES_OFF = rule;
      const before = process.env.MILLRACE_DEBUG;
      process.env.MILLRACE_DEBUG = debug;
      try {
        await expect(stream(reference)).rejects.toThrow();
      } finally {
        process.env.MILLRACE_DEBUG = before;
      }
    });
  });
});
