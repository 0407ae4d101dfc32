import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { WriterOptions } from "../../src/options.js";
import { memorySink } from "../../src/sinks/specs.js";
import { verifyStore } from "../../src/store/verify.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { elementBytes, type StreamCase, streamCases } from "../helpers/stream_model.js";

type Files = ReadonlyMap<string, Uint8Array>;

/** What one writer does: rows that are appended, or skipped. */
interface Stretch {
  readonly rows: number;
  readonly skipped: boolean;
}

/** Streams stretches of a longer stream; rows before them are there already. */
async function stream(
  sink: WriterOptions["sink"],
  c: Pick<StreamCase, "array" | "batchEpochs" | "depth">,
  mode: WriterOptions["mode"],
  stretches: readonly Stretch[],
  options: Partial<WriterOptions> = {},
): Promise<void> {
  const { array, batchEpochs, depth } = c;
  const common = { threads: "inline", backend: "cpu", publishIntervalMs: 0 } as const;
  const writer = await openWriter({ sink, ...common, array, batchEpochs, depth, mode, ...options });
  let row = writer.watermarks.accepted;
  const { rowBytes, itemBytes } = writer.geometry;
  for (const { rows, skipped } of stretches) {
    if (skipped) await writer.skip(rows);
    else await writer.append(elementBytes((row * rowBytes) / itemBytes, (rows * rowBytes) / itemBytes, itemBytes));
    row += rows;
  }
  await writer.close();
  expect(writer.watermarks).toEqual({ accepted: row, encoded: row, delivered: row, durable: row, published: row });
}

function expectSame(actual: Files, expected: Files): void {
  expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [key, bytes] of expected) expect(Buffer.compare(actual.get(key)!, bytes), key).toBe(0);
}

/** Cuts a list of stretches behind `rows` rows; the stretch that is met is split. */
function cut(stretches: readonly Stretch[], rows: number): [Stretch[], Stretch[]] {
  const before: Stretch[] = [];
  const after: Stretch[] = [];
  let left = rows;
  for (const { rows: count, skipped } of stretches) {
    const now = Math.min(count, left);
    left -= now;
    if (now > 0) before.push({ rows: now, skipped });
    if (count > now) after.push({ rows: count - now, skipped });
  }
  return [before, after];
}

const stretches = fc.array(fc.record({ rows: fc.integer({ min: 0, max: 20 }), skipped: fc.boolean() }), {
  minLength: 1,
  maxLength: 6,
});

/** The stretches as far as they fit a bounded array. */
function fitting(all: readonly Stretch[], size: number | null): Stretch[] {
  return size === null ? [...all] : cut(all, size)[0];
}

describe("a stream that is cut and resumed", () => {
  it("leaves the same files as one that is not, wherever the cuts fall", async () => {
    await fc.assert(
      fc.asyncProperty(
        streamCases(),
        stretches,
        fc.array(fc.nat(120), { minLength: 1, maxLength: 4 }),
        async (c, wanted, cuts) => {
          const all = fitting(wanted, c.array.dimensions[0].size);
          const whole = memorySink();
          await stream(whole, c, "create", all);
          const parts = memorySink();
          let rest = all;
          let mode: WriterOptions["mode"] = "create";
          for (const rows of cuts) {
            const [now, later] = cut(rest, rows % (rest.reduce((sum, s) => sum + s.rows, 0) + 1));
            await stream(parts, c, mode, now);
            mode = "resume";
            rest = later;
          }
          await stream(parts, c, mode, rest);
          expectSame(parts.files, whole.files);
          expect((await verifyStore(parts.files)).defects).toEqual([]);
        },
      ),
      { numRuns: 150 },
    );
  }, 180_000);
});
