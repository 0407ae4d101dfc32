import { afterEach, beforeAll, expect, it, vi } from "vitest";
import type { OpenBackend } from "../../src/pipeline/engine.js";
import { ORDERING_RULE_NAMES, type OrderingRule } from "../../src/slots/ordering.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { LateBackend, LateSink } from "../helpers/late_pipeline.js";
import { compareRules, driveRules, RULE_ARRAY } from "../helpers/rule_stream.js";

/**
 * Mutation tests: each ordering rule is switched off in turn, and the same stream that passes with all rules must then
 * fail. EXIT_HANDSHAKE needs a process of its own: test/fault, test/gpu. FAILURE_STOPS_INTAKE needs a failure:
 * test/fault/failed_intake. EPOCHS_WHOLE needs a timer at the right moment: test/model. SKIP_PUBLISHED needs rows of
 * shards that are skipped whole: test/fault/skipped_rows. POOL_CONSUMED guards device memory: test/gpu.
 */
vi.mock("../../src/pipeline/open_backend.js", async (importOriginal) => {
  const { openBackend } = await importOriginal<{ openBackend: OpenBackend }>();
  const late: OpenBackend = async (...given) => new LateBackend(await openBackend(...given));
  return { openBackend: late };
});

const ELSEWHERE = [
  "EXIT_HANDSHAKE",
  "POOL_CONSUMED",
  "FAILURE_STOPS_INTAKE",
  "EPOCHS_WHOLE",
  "SKIP_PUBLISHED",
] as const satisfies OrderingRule[];
type Rule = Exclude<OrderingRule, (typeof ELSEWHERE)[number]>;

afterEach(() => {
  delete process.env.MILLRACE_RULES_OFF;
});

/** Wrong bytes, in values or against a run with every rule on. */
const BYTES = /^(values|bytes of .*) differ$/;

/** What each rule guards, as it shows when nothing guards it. */
const HARM: Readonly<Record<Rule, RegExp>> = {
  STAGING_COPIED: BYTES,
  STAGING_FREE: BYTES,
  // Kicked while the producer is in it: its state is no longer the one that the producer left.
  BATCH_FILLED: /^STAGING_COPIED: slot \d is [A-Z]+ in generation \d+, expected FILLING|^values differ$/,
  ENCODED: BYTES,
  JOIN_BEFORE_REFILL: BYTES,
  // Two jobs at once on one row of shards: it is entered twice, left while it is in use, or not whole.
  DELIVER_OLDEST_FIRST:
    /^assertion failed: a (chunk is delivered once|commit has room for its batch)|^could not append to late: |differ$/,
  OUTPUT_RELEASED: /^(delivery failed|could not append to late): |^assertion failed: a chunk is delivered once|differ$/,
  JOURNAL_AFTER_DATA: /^a commit (of row \d+ names bytes that are not there|names \d+ chunks)$/,
  DURABLE_AFTER_COMMIT: /^\d+ rows were published before row \d+ was sealed$/,
  PUBLISH_AFTER_DURABLE: /^\d+ rows were published over \d+ of \d+ shards$/,
  JOURNAL_UNTIL_PUBLISHED: /^journal\.\d+ was removed at \d+ rows$/,
  STOP_JOIN_BEFORE_RELEASE: BYTES,
};

interface Outcome {
  /**
   * All that went wrong: the stream's failure, values, shard bytes against `reference`, the journal, what was published
   * when.
   */
  readonly wrong: readonly string[];
  readonly files: ReadonlyMap<string, Uint8Array>;
}

async function stream(reference?: ReadonlyMap<string, Uint8Array>): Promise<Outcome> {
  const sink = new LateSink();
  const writer = await openWriter({
    sink: sink.spec(),
    threads: "inline",
    depth: 2,
    batchEpochs: 2,
    publishIntervalMs: 0,
    array: RULE_ARRAY,
  });
  const wrong: string[] = [];
  try {
    await driveRules(writer, 40);
    await compareRules(sink.files, reference);
  } catch (error) {
    wrong.push((error as Error).message);
  }
  wrong.push(...sink.journal.complaints);
  if (wrong.length === 0 && sink.journal.files.size > 0) wrong.push("journals are left");
  for (const { rows, shards } of sink.published) {
    // Four shards a row of four frames.
    const needed = Math.ceil(rows / 4) * 4;
    const sealed = shards.filter((key) => key !== "zarr.json").length;
    if (sealed < needed) wrong.push(`${rows} rows were published over ${sealed} of ${needed} shards`);
  }
  return { wrong, files: sink.files };
}

/** Files of a run with every rule on. */
let reference: ReadonlyMap<string, Uint8Array>;

beforeAll(async () => {
  const { wrong, files } = await stream();
  expect(wrong).toEqual([]);
  reference = files;
});

it("passes with every rule on, with the same bytes", async () => {
  expect((await stream(reference)).wrong).toEqual([]);
});

it("has every rule", () => {
  expect([...Object.keys(HARM), ...ELSEWHERE].sort()).toEqual([...ORDERING_RULE_NAMES].sort());
});

for (const [rule, harm] of Object.entries(HARM)) {
  for (const debug of ["1", "0"]) {
    // Without debug checks the harm itself must show. Only the poison of a debug build makes an early release visible.
    if (debug === "0" && rule === "STOP_JOIN_BEFORE_RELEASE") continue;
    it(`does harm with ${rule} off, ${debug === "1" ? "with" : "without"} debug checks`, async () => {
      process.env.MILLRACE_RULES_OFF = rule;
      const before = process.env.MILLRACE_DEBUG;
      process.env.MILLRACE_DEBUG = debug;
      try {
        expect((await stream(reference)).wrong).toContainEqual(expect.stringMatching(harm));
      } finally {
        process.env.MILLRACE_DEBUG = before;
      }
    });
  }
}
