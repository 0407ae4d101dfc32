import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { OrderingRule } from "../../src/slots/ordering.js";
import { noGpu, openGpuWriter } from "../helpers/gpu.js";
import { FaultyHost } from "../helpers/gpu_faults.js";
import { LateSink } from "../helpers/late_pipeline.js";
import { compareRules, driveRules, RULE_ARRAY } from "../helpers/rule_stream.js";

/**
 * Mutation tests of the rules that a GPU stream meets: with each switched off in turn, the stream that passes with all
 * of them must fail. A GPU has a second way to do so: it finds out, and the CPU does its work.
 */
const BYTES = /^(values|bytes of .*) differ$/;
const HARM = {
  // Two batches at once in one chunk memory: wrong bytes, or a device that refuses to.
  POOL_CONSUMED: /differ$|^the GPU .* failed and the CPU goes on with the same bytes/,
  STAGING_FREE: BYTES,
  STAGING_COPIED: BYTES,
  // Kicked while the producer is in it: its state is no longer the one that the producer left.
  BATCH_FILLED: /^STAGING_COPIED: slot \d is [A-Z]+ in generation \d+, expected FILLING|^values differ$/,
  JOIN_BEFORE_REFILL: BYTES,
  ENCODED: BYTES,
} as const satisfies Partial<Record<OrderingRule, RegExp>>;
const RULES = Object.keys(HARM) as (keyof typeof HARM)[];

afterEach(() => {
  delete process.env.MILLRACE_RULES_OFF;
});

const DEPTH = 3;
/** Two epochs of two frames. */
const BATCH_ROWS = 4;
const BATCHES = 20;
/** With the rule on, no write gets to see its slot refilled, so it waits this long. */
const LATE_MS = 60;
/** With it off, until it sees that, however busy the machine is. */
const LATE_MS_MAX = 20_000;

/**
 * Throws when values, or files against `reference`, are wrong, or when not every chunk came from the GPU without a
 * warning.
 */
async function stream(
  reference?: ReadonlyMap<string, Uint8Array>,
  lateMs = LATE_MS,
  sealMs = LATE_MS,
): Promise<Map<string, Uint8Array>> {
  const sink = new LateSink(lateMs, sealMs);
  const writer = await openGpuWriter(
    { sink: sink.spec(), depth: DEPTH, batchEpochs: 2, publishIntervalMs: 0, array: RULE_ARRAY },
    { host },
  );
  // Until the slot that a write reads may hold a later batch. The last batches have none behind them.
  sink.lateEnough = () => {
    const refilled = writer.watermarks.encoded + DEPTH * BATCH_ROWS;
    return () => writer.watermarks.encoded >= Math.min(refilled, writer.watermarks.accepted - BATCH_ROWS);
  };
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
let isDeviceLate = false;

/** Every batch comes back late, until the test is over. */
function lateDevice(): void {
  isDeviceLate = true;
  for (let batch = 1; batch <= BATCHES; batch++) {
    host.at("map readback", batch, async (call) => {
      if (isDeviceLate) await new Promise((resolve) => setTimeout(resolve, LATE_MS));
      return call();
    });
  }
}

/** Files of a run with every rule on. */
let reference: Map<string, Uint8Array>;

describe.skipIf(noGpu)("a stream on a GPU", () => {
  beforeAll(async () => {
    host = new FaultyHost();
    reference = await stream();
  });

  it("passes with every rule on, with the same bytes", async () => {
    await stream(reference);
    try {
      lateDevice();
      await stream(reference, 0, 0);
    } finally {
      isDeviceLate = false;
    }
  });

  describe.each(["1", "0"])("with debug checks %s", (debug) => {
    it.each(RULES)("does harm with %s off", async (rule) => {
      process.env.MILLRACE_RULES_OFF = rule;
      const before = process.env.MILLRACE_DEBUG;
      process.env.MILLRACE_DEBUG = debug;
      try {
        const run = (): Promise<unknown> => {
          if (rule === "JOIN_BEFORE_REFILL") return stream(reference, LATE_MS_MAX);
          if (rule !== "ENCODED") return stream(reference);
          // While a late sink or journal takes its time, a batch that delivery did not wait for becomes ready. Here the
          // device is the late one.
          lateDevice();
          return stream(reference, 0, 0);
        };
        await expect(run()).rejects.toThrow(HARM[rule]);
      } finally {
        isDeviceLate = false;
        process.env.MILLRACE_DEBUG = before;
      }
    });
  });
});
