import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WINDOW_RULE, Window } from "../../../src/bench/window.js";
import { FakeClock } from "../../helpers/fake_clock.js";

let clock: FakeClock;
let restore: () => void;
beforeEach(() => {
  clock = new FakeClock();
  restore = clock.install();
});
afterEach(() => restore());

/** Accepts a batch every `ms` until the window says stop; then drains for `drainMs`. */
async function run(options: ConstructorParameters<typeof Window>[0], ms: number, drainMs: number) {
  const window = new Window(options);
  do {
    await clock.advance(ms);
  } while (window.batchAccepted());
  await clock.advance(drainMs);
  return window.close();
}

describe("Window", () => {
  it("ends at the first batch boundary after its time, and counts the drain", async () => {
    const result = await run({ batchBytes: 1000, seconds: 1 }, 300, 50);
    // Boundaries at 300, 600, 900 and 1200 ms; the last is the first one past a second.
    expect(result).toEqual({ bytes: 4000, batches: 4, ns: 1250e6, drainNs: 50e6 });
  });

  it("ends after a number of batches, however long they take", async () => {
    const result = await run({ batchBytes: 10, seconds: 0.001, batches: 7 }, 100, 0);
    expect(result).toEqual({ bytes: 70, batches: 7, ns: 700e6, drainNs: 0 });
  });

  it.each([1, WINDOW_RULE.measuredBatchesMin - 1])("gives no figure for %i batches", async (batches) => {
    await expect(run({ batchBytes: 10, seconds: 1, batches }, 1000, 0)).rejects.toMatchObject({
      code: "INSUFFICIENT_COVERAGE",
      context: { batches },
    });
  });

  it("gives a figure for the least number of batches", async () => {
    const batches = WINDOW_RULE.measuredBatchesMin;
    await expect(run({ batchBytes: 10, seconds: 1, batches }, 1000, 0)).resolves.toMatchObject({ batches });
  });

  it("gives no figure for a window that is too short, however many batches it holds", async () => {
    await expect(run({ batchBytes: 10, seconds: 0.1 }, 2, 0)).rejects.toMatchObject({ code: "INSUFFICIENT_COVERAGE" });
  });

  it("proposes a time in which the run would have covered enough", async () => {
    const failed = run({ batchBytes: 10, seconds: 1 }, 2000, 0);
    await expect(failed).rejects.toThrow("Use --seconds 12.");
    await expect(run({ batchBytes: 10, seconds: 12 }, 2000, 0)).resolves.toMatchObject({ batches: 6 });
  });

  it("proposes a number of batches where that was asked for", async () => {
    const failed = run({ batchBytes: 10, seconds: 1, batches: 40 }, 4, 0);
    await expect(failed).rejects.toThrow("Use --batches 94.");
    await expect(run({ batchBytes: 10, seconds: 1, batches: 94 }, 4, 0)).resolves.toMatchObject({ batches: 94 });
  });
});
