import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { useClock } from "../../../src/base/clock.js";
import { closingLine, type ProgressSample, progressLine, startProgress } from "../../../src/cli/progress.js";

const sample = (rows: number): ProgressSample => ({
  bytesIn: rows * 1_000_000,
  bytesStored: rows * 400_000,
  ratio: rows === 0 ? null : 2.25,
  watermarks: { accepted: rows, encoded: rows - 1, delivered: rows - 2, durable: 0, published: 0 },
  waiting: [
    { owner: "engine", rule: "JOIN_BEFORE_REFILL", forNs: 1 },
    { owner: "delivery", rule: "OUTPUT_RELEASED", forNs: 2 },
  ],
  slotsBusy: 2,
  slots: 3,
});

let nowMs = 0;
let restoreClock: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  nowMs = 5000;
  restoreClock = useClock({
    nowNs: () => nowMs * 1e6,
    wallMs: () => 0,
    sleep: () => Promise.resolve(),
  });
});
afterEach(() => {
  restoreClock();
  vi.useRealTimers();
});

function advance(ms: number): void {
  nowMs += ms;
  vi.advanceTimersByTime(ms);
}

/** A stderr that remembers everything written to it. */
function terminal(isTTY: boolean): { stream: PassThrough & { isTTY: boolean }; text: () => string } {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 100 });
  const parts: string[] = [];
  stream.on("data", (part) => parts.push(String(part)));
  return { stream, text: () => parts.join("") };
}

describe("startProgress", () => {
  it("json: one line a second and one at the end", () => {
    const { stream, text } = terminal(true);
    let rows = 4;
    const progress = startProgress({ mode: "json", stderr: stream, totalRows: null, sample: () => sample(rows) });
    advance(1000);
    rows = 8;
    advance(1000);
    rows = 9;
    advance(500);
    progress.stop();
    progress.stop();
    advance(5000);
    const lines = text()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => [line.seconds, line.rows])).toEqual([
      [1, 4],
      [2, 8],
      [2.5, 9],
    ]);
    expect(lines[1]).toEqual({
      seconds: 2,
      rows: 8,
      bytesIn: 8_000_000,
      bytesStored: 3_200_000,
      gbPerSecond: 0.004,
      ratio: 2.25,
      queue: { busy: 2, slots: 3 },
      watermarks: { accepted: 8, encoded: 7, delivered: 6, durable: 0, published: 0 },
      stall: null,
    });
  });

  it("json: says of a stream that stands still since when and why, and no more once it moves", () => {
    const { stream, text } = terminal(false);
    let rows = 4;
    const progress = startProgress({ mode: "json", stderr: stream, totalRows: null, sample: () => sample(rows) });
    advance(1000);
    advance(1000);
    advance(1000);
    advance(1000);
    rows = 5;
    advance(1000);
    progress.stop();
    const stalls = text()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).stall);
    const sink = { waitingFor: "the sink", owner: "delivery", rule: "OUTPUT_RELEASED" };
    expect(stalls).toEqual([null, null, null, { seconds: 3, ...sink }, null, null]);
  });

  it("auto: only the closing line when stderr is no terminal", () => {
    const { stream, text } = terminal(false);
    const progress = startProgress({ mode: "auto", stderr: stream, totalRows: 10, sample: () => sample(10) });
    advance(2000);
    expect(text()).toBe("");
    progress.stop();
    progress.stop();
    expect(text()).toBe("10 rows, 10.0 MB in 2.00 s, 5.00 MB/s, ratio 2.50\n");
  });

  it("auto: one line when the stream begins to stand still and one when it goes on, without a terminal", () => {
    const { stream, text } = terminal(false);
    let rows = 4;
    const progress = startProgress({ mode: "auto", stderr: stream, totalRows: null, sample: () => sample(rows) });
    for (let i = 0; i < 9; i++) advance(1000);
    expect(text()).toBe("millrace: the stream stands still for 3 s: waiting for the sink (OUTPUT_RELEASED)\n");
    rows = 5;
    advance(1000);
    expect(text().split("\n")[1]).toBe("millrace: the stream goes on, after 8 s of waiting for the sink");
    progress.stop();
  });

  it("auto: a bar says it as well", () => {
    const { stream, text } = terminal(true);
    const progress = startProgress({ mode: "auto", stderr: stream, totalRows: 10, sample: () => sample(4) });
    for (let i = 0; i < 4; i++) advance(1000);
    expect(text()).toContain("4 rows · stands still for 3 s: waiting for the sink (OUTPUT_RELEASED) · ");
    progress.stop();
  });

  it("auto: a bar with rows, rate, ratio and queue on a terminal", () => {
    const { stream, text } = terminal(true);
    let rows = 2;
    const progress = startProgress({ mode: "auto", stderr: stream, totalRows: 10, sample: () => sample(rows) });
    rows = 5;
    advance(400);
    expect(text()).toContain("50%");
    rows = 10;
    progress.stop();
    expect(text()).toContain("100%");
    expect(text()).toMatch(/10 rows · [\d.]+ MB\/s · ratio 2\.25 · queue 2\/3/);
    const before = text();
    advance(5000);
    expect(text()).toBe(before);
  });

  it("auto: shows no percentage when nobody knows how much will come", () => {
    const { stream, text } = terminal(true);
    startProgress({ mode: "auto", stderr: stream, totalRows: null, sample: () => sample(3) }).stop();
    expect(text()).toContain("3 rows");
    expect(text()).not.toContain("%");
  });

  it("none: nothing", () => {
    const { stream, text } = terminal(true);
    const progress = startProgress({ mode: "none", stderr: stream, totalRows: 10, sample: () => sample(10) });
    advance(3000);
    progress.stop();
    expect(text()).toBe("");
  });
});

describe("lines", () => {
  it("have no ratio and no rate before there is something to divide by", () => {
    const empty = sample(0);
    expect(progressLine(empty, { seconds: 0 })).toMatchObject({ gbPerSecond: 0, ratio: null });
    expect(closingLine(empty, 0)).toBe("0 rows, 0 B in 0.00 s, –, ratio –");
  });
});
