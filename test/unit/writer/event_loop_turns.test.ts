import { afterEach, beforeEach, expect, it } from "vitest";
import { useClock } from "../../../src/base/clock.js";
import { turnOfEventLoop } from "../../../src/base/event_loop.js";
import { discardSink } from "../../../src/sinks/specs.js";
import { EventLoopTurns } from "../../../src/writer/event_loop_turns.js";
import { openWriter } from "../../../src/writer/open_writer.js";
import { FakeClock } from "../../helpers/fake_clock.js";

const clock = new FakeClock();
let back: () => void;
beforeEach(() => {
  back = clock.install();
});
afterEach(() => back());

it("waits for the loop when 20 ms have passed without a turn, and only then", async () => {
  const turns = new EventLoopTurns();
  await turns.look(1);
  await turnOfEventLoop();
  // The loop has turned since the first look, however long ago that was.
  let heard = false;
  setImmediate(() => {
    heard = true;
  });
  let atOnce = false;
  void turns.look(30e6).then(() => {
    atOnce = true;
  });
  void turns.look(49e6);
  await Promise.resolve();
  expect(atOnce).toBe(true);
  expect(heard).toBe(false);
  await turns.look(50e6);
  await turns.look(51e6);
  expect(heard).toBe(true);
});

it("looks at the clock where it was read anyway, or after 4 MiB", async () => {
  const turns = new EventLoopTurns();
  void turns.look(1);
  await clock.advance(1000);
  void turns.after(0, 1000e6);
  await clock.advance(0);
  let heard = false;
  setImmediate(() => {
    heard = true;
  });
  void turns.look();
  let readings = 0;
  const nowNs = (): number => {
    readings++;
    return 2000e6;
  };
  const undo = useClock({ nowNs, wallMs: () => 0, sleep: async () => {} });
  try {
    void turns.after(4 * 2 ** 20 - 1, 0);
    expect(readings).toBe(0);
    const waits = turns.after(1, 0);
    expect(readings).toBe(1);
    await waits;
    expect(heard).toBe(true);
  } finally {
    undo();
  }
});

it.each(["append", "skip"] as const)("hears the event loop in a loop of %s over memory that is ready", async (call) => {
  const writer = await openWriter({
    sink: discardSink(),
    threads: "inline",
    backend: "cpu",
    batchEpochs: 1,
    array: { dtype: "uint8", codec: "none", dimensions: [{ name: "t", size: null, chunk: 100_000 }] },
  });
  let heard = false;
  setImmediate(() => {
    heard = true;
  });
  // Every reading of the clock is a millisecond later. The slot is never full, so no call has to wait for one.
  let ms = 0;
  const undo = useClock({ nowNs: () => ms++ * 1e6, wallMs: () => 0, sleep: async () => {} });
  try {
    for (let i = 0; i < 1000; i++) await (call === "append" ? writer.append(Uint8Array.of(i)) : writer.skip(1));
    expect(heard).toBe(true);
  } finally {
    undo();
    await writer.abort();
  }
});
