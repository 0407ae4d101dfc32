import { useClock } from "../../src/base/clock.js";
import type { Configuration } from "./configuration.js";
import type { Control } from "./control.js";

const FROZEN_CLOCK = { nowNs: () => 0, wallMs: () => 0, sleep: () => Promise.reject(new Error("nothing sleeps")) };

/** Puts clock, timers and environment variables under control; returns what puts the old ones back. */
export function putUp(control: Control, { off, debug }: Configuration): () => void {
  const undo = [
    setVariable("MILLRACE_RULES_OFF", off),
    setVariable("MILLRACE_DEBUG", debug === false ? "0" : "1"),
    useClock(FROZEN_CLOCK),
  ];
  const { setTimeout, clearTimeout } = globalThis;
  const timer = (run: () => void, ms = 0): unknown => ({ id: control.setTimer(run, ms), unref() {} });
  globalThis.setTimeout = timer as unknown as typeof setTimeout;
  globalThis.clearTimeout = ((given?: { id: number }) => {
    if (given !== undefined) control.clearTimer(given.id);
  }) as unknown as typeof clearTimeout;
  // A stack takes longer to write down than what it is about.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  return () => {
    Error.stackTraceLimit = stackTraceLimit;
    globalThis.setTimeout = setTimeout;
    globalThis.clearTimeout = clearTimeout;
    for (const back of undo.reverse()) back();
  };
}

function setVariable(name: string, value: string | undefined): () => void {
  const before = process.env[name];
  set(name, value);
  return () => set(name, before);
}

function set(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
