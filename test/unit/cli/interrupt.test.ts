import { PassThrough } from "node:stream";
import { afterEach, expect, it, vi } from "vitest";

/** The handlers that a platform's signals get, without any signal being sent. */
async function interruptsOn(platform: NodeJS.Platform) {
  vi.resetModules();
  vi.stubGlobal("process", Object.create(process, { platform: { value: platform } }));
  const { Interrupts } = await import("../../../src/cli/interrupt.js");
  const before = new Map(SIGNALS.map((signal) => [signal, process.listenerCount(signal)]));
  const interrupts = new Interrupts(new PassThrough());
  const taken = () => SIGNALS.filter((signal) => process.listenerCount(signal) > before.get(signal)!);
  return { interrupts, taken };
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"] as const;
afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

it.each([
  ["linux", ["SIGINT", "SIGTERM", "SIGHUP"]],
  ["darwin", ["SIGINT", "SIGTERM", "SIGHUP"]],
  ["win32", ["SIGINT", "SIGHUP", "SIGBREAK"]],
] as const)(
  "on %s takes %s, whichever comes first or second, and gives them back before the third",
  async (platform, signals) => {
    for (const first of signals) {
      for (const second of signals) {
        const { interrupts, taken } = await interruptsOn(platform);
        expect(taken()).toEqual(signals);
        process.emit(first, first);
        expect([interrupts.closing.aborted, interrupts.aborting.aborted]).toEqual([true, false]);
        expect(taken()).toEqual(signals);
        process.emit(second, second);
        expect(interrupts.aborting.aborted).toBe(true);
        expect(taken()).toEqual([]);
        interrupts[Symbol.dispose]();
      }
    }
  },
);
