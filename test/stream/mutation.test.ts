import { afterEach, beforeAll, expect, it, vi } from "vitest";
import type { OpenBackend } from "../../src/pipeline/engine.js";
import { ORDERING_RULE_NAMES, type OrderingRule } from "../../src/slots/ordering.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { LateBackend, LateSink } from "../helpers/late_pipeline.js";
import { compareRules, driveRules, RULE_ARRAY } from "../helpers/rule_stream.js";

/**
 * Mutation tests: each ordering rule is switched off in turn, and the same stream that passes with all rules must then fail.
 * EXIT_HANDSHAKE needs a process of its own: test/fault, test/gpu. FAILURE_STOPS_INTAKE needs a
 * failure: test/fault/failed_intake. EPOCHS_WHOLE needs a timer at the right moment: test/model. POOL_CONSUMED guards device memory, which the CPU backend has not: test/gpu.
 */
vi.mock("../../src/pipeline/open_backend.js", async (importOriginal) => {
  const { openBackend } = await importOriginal<{ openBackend: OpenBackend }>();
  const late: OpenBackend = async (...given) => new LateBackend(await openBackend(...given));
  return { openBackend: late };
});

const ELSEWHERE: readonly OrderingRule[] = ["EXIT_HANDSHAKE", "POOL_CONSUMED", "FAILURE_STOPS_INTAKE", "EPOCHS_WHOLE"];

afterEach(() => {
  delete process.env.MILLRACE_RULES_OFF;
});

/**
 * Throws when values, or shard bytes against `reference`, or what was published when, are wrong.
 */
async function stream(reference?: ReadonlyMap<string, Uint8Array>): Promise<Map<string, Uint8Array>> {
  const sink = new LateSink();
  const writer = await openWriter({
    sink: sink.spec(),
    threads: "inline",
    depth: 2,
    batchEpochs: 2,
    publishIntervalMs: 0,
    array: RULE_ARRAY,
  });
  await driveRules(writer, 40);
  await compareRules(sink.files, reference);
  const [complaint] = sink.journal.complaints;
  if (complaint !== undefined) throw new Error(complaint);
  if (sink.journal.files.size > 0) throw new Error("journals are left");
  for (const { rows, shards } of sink.published) {
    // Four shards a row of four frames.
    const needed = Math.ceil(rows / 4) * 4;
    const sealed = shards.filter((key) => key !== "zarr.json").length;
    if (sealed < needed) throw new Error(`${rows} rows were published over ${sealed} of ${needed} shards`);
  }
  return sink.files;
}

/** Files of a run with every rule on. */
let reference: Map<string, Uint8Array>;

beforeAll(async () => {
  reference = await stream();
});

it("passes with every rule on, with the same bytes", async () => {
  await stream(reference);
});

for (const rule of ORDERING_RULE_NAMES.filter((name) => !ELSEWHERE.includes(name))) {
  for (const debug of ["1", "0"]) {
    // Without debug checks the harm itself must show. Only the poison of a debug build makes an early release visible.
    if (debug === "0" && rule === "STOP_JOIN_BEFORE_RELEASE") continue;
    it(`fails with ${rule} off, ${debug === "1" ? "with" : "without"} debug checks`, async () => {
      process.env.MILLRACE_RULES_OFF = rule;
      const before = process.env.MILLRACE_DEBUG;
      process.env.MILLRACE_DEBUG = debug;
      try {
        await expect(stream(reference)).rejects.toThrow();
      } finally {
        process.env.MILLRACE_DEBUG = before;
      }
    });
  }
}
