/**
 * For files of tests that share a process: what a file changes for the whole of it, and does not put back, would be met
 * by another one, in an order that nobody chose.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { nowNs } from "../../src/base/clock.js";

/** Not "exit": src has hooks of its own there, one for all streams and devices of a process. */
const EVENTS = ["uncaughtException", "unhandledRejection", "SIGINT", "SIGTERM", "SIGHUP", "warning"] as const;

const traces = () => ({
  environment: { ...process.env },
  folder: process.cwd(),
  listeners: EVENTS.map((event) => `${event} ${process.listenerCount(event)}`),
});

let before: ReturnType<typeof traces>;
beforeAll(() => {
  before = traces();
});

afterAll(() => {
  expect(traces()).toEqual(before);
  const from = Number(process.hrtime.bigint());
  const now = nowNs();
  expect(now >= from && now <= Number(process.hrtime.bigint()), "the clock is the system's again").toBe(true);
});
