import { describe, expect, it } from "vitest";
import { callsOf, cellsOf, type FaultScene, failedAt, tryFault, tryRecoveryFault } from "../helpers/fault_stream.js";

/**
 * Every kind of fault at every call of the file system, of a stream and of its recovery. Some minutes: MILLRACE_WIDE=1.
 */

const SCENES: readonly FaultScene[] = (["create", "resume"] as const).flatMap((mode) =>
  (["shard", "batch", "none"] as const).map((durability) => ({ mode, durability })),
);
const TIMEOUT_MS = 30 * 60_000;
/** Failures that are looked at before the test gives up. */
const FAILURES_MAX = 20;

/** Tries all, and tells of all that fail at once. Returns how many have struck. */
async function tryAll<T>(cells: readonly T[], attempt: (cell: T) => Promise<unknown>): Promise<number> {
  const failures: string[] = [];
  let struck = 0;
  for (const cell of cells) {
    try {
      if (await attempt(cell)) struck++;
    } catch (error) {
      failures.push(messagesOf(error));
      if (failures.length === FAILURES_MAX) break;
    }
  }
  expect(failures).toEqual([]);
  return struck;
}

function messagesOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} <- ${messagesOf(error.cause)}`;
}

describe.each(SCENES)("$mode, $durability", { timeout: TIMEOUT_MS }, (scene) => {
  it("loses nothing to any fault at any call of a stream", async () => {
    const calls = await callsOf(scene);
    const cells = cellsOf(calls);
    const struck = await tryAll(cells, (cell) => tryFault(scene, cell));
    console.log(`${scene.mode}, ${scene.durability}: ${struck} faults at ${calls.length} calls of the stream`);
    expect(struck).toBeGreaterThan(0.95 * cells.length);
  });

  it("loses nothing to any fault at any call of recovery", async () => {
    let struck = 0;
    let count = 0;
    for (const part of [0.3, 0.5, 0.7, 0.9]) {
      const { run, calls } = await failedAt(scene, part);
      count += calls.length;
      struck += await tryAll(cellsOf(calls), (cell) => tryRecoveryFault(run, cell));
    }
    console.log(`${scene.mode}, ${scene.durability}: ${struck} faults at ${count} calls of recovery`);
    expect(struck).toBeGreaterThan(count);
  });
});
