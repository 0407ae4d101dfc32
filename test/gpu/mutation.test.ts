import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { OrderingRule } from "../../src/slots/ordering.js";
import { GPU_TIMEOUT_MS, noGpu, openGpuWriter } from "../helpers/gpu.js";
import { FaultyHost } from "../helpers/gpu_faults.js";
import { LateSink } from "../helpers/late_pipeline.js";
import { compareRules, driveRules, RULE_ARRAY } from "../helpers/rule_stream.js";

/**
 * Mutation tests of the rules that a GPU stream meets: with each switched off in turn, the stream that passes with all of them must
 * fail. A GPU has a second way to do so: it finds out, and the CPU does its work.
 */
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
    { sink: sink.spec(), depth: 3, batchEpochs: 2, publishIntervalMs: 0, array: RULE_ARRAY },
    { host },
  );
  let warned: Error | undefined;
  writer.on("warning", ({ message }) => {
    if (message.includes("GPU")) warned ??= new Error(message);
  });
  await driveRules(writer, 20, () => warned);
  const { cpu } = writer.metrics().chunksByRoute;
  if (cpu > 0) throw new Error(`${cpu} chunks came from the CPU`);
  await compareRules(sink.files, reference);
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
