import type { Writable } from "node:stream";
import cliProgress from "cli-progress";
import { nowNs } from "../base/clock.js";
import { formatBytes, formatCount, formatRate, formatRatio } from "./numbers.js";
import { describeStall, type Stall, StallLog, type StallSample, StallWatch } from "./stall.js";

export type ProgressMode = "auto" | "json" | "none";
export const PROGRESS_MODES: readonly ProgressMode[] = ["auto", "json", "none"];

/** What a running writer says about itself; taken anew for every refresh. */
export interface ProgressSample extends StallSample {
  /**
   * Raw over encoded bytes of what the encoder is done with, null before. `bytesIn` runs ahead of `bytesStored`, so not
   * their quotient.
   */
  readonly ratio: number | null;
  /** Staging slots that wait for the encoder, of how many: a full queue means that the producer is being held back. */
  readonly slotsBusy: number;
  readonly slots: number;
}

interface ProgressOptions {
  readonly mode: ProgressMode;
  readonly stderr: Writable & { readonly isTTY?: boolean };
  /** Rows that will come, or null when nobody knows. */
  readonly totalRows: number | null;
  readonly sample: () => ProgressSample;
}

/** Looks between the first and the closing line. */
const STALL_INTERVAL_MS = 1000;
/** Bar: often enough to look alive. JSON: one line a second, as documented. */
const BAR_INTERVAL_MS = 200;
const JSON_INTERVAL_MS = 1000;

/** Shows a run on stderr until it is stopped. Reading samples is all it does with the writer. */
interface Progress {
  /** Last refresh and, without a bar, one closing line. Idempotent. */
  stop(): void;
}

/**
 * `auto`: a bar on a terminal, else only the closing line, and one when the stream begins to stand still. `json`: one
 * JSON line a second and one at the end. `none`: nothing.
 */
export function startProgress(options: ProgressOptions): Progress {
  switch (options.mode) {
    case "none":
      return { stop: () => {} };
    case "json":
      return startJson(options);
    case "auto":
      return options.stderr.isTTY === true ? startBar(options) : startClosingLine(options);
  }
}

function startJson(options: ProgressOptions): Progress {
  const clock = new RunClock();
  const watch = new StallWatch();
  const line = () => {
    const sample = options.sample();
    options.stderr.write(`${JSON.stringify(progressLine(sample, clock.read(), watch.look(sample)))}\n`);
  };
  return onTimer(JSON_INTERVAL_MS, line, line);
}

function startClosingLine(options: ProgressOptions): Progress {
  const clock = new RunClock();
  const log = new StallLog((text) => options.stderr.write(`millrace: ${text}\n`));
  return onTimer(
    STALL_INTERVAL_MS,
    () => log.look(options.sample()),
    () => options.stderr.write(`${closingLine(options.sample(), clock.read().seconds)}\n`),
  );
}

function startBar(options: ProgressOptions): Progress {
  const clock = new RunClock();
  const watch = new StallWatch();
  const known = options.totalRows !== null;
  const bar = new cliProgress.SingleBar({
    stream: options.stderr as NodeJS.WriteStream,
    format:
      `${known ? "{bar} {percentage}% " : ""}{counted}{stall} · ` +
      "{rate} · ratio {ratio} · queue {queue} · {elapsed}",
    barsize: 24,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    hideCursor: true,
    // Ctrl-C belongs to the command, which closes the store.
    gracefulExit: false,
    // Refreshes are ours, so that the sample and the drawing are of one moment.
    noTTYOutput: false,
  });
  const payload = () => {
    const sample = options.sample();
    const { seconds, bytesPerSecond } = clock.read(sample.bytesIn);
    const stall = watch.look(sample);
    return {
      rows: sample.watermarks.accepted,
      counted: formatCount(sample.watermarks.accepted, "row"),
      rate: formatRate(bytesPerSecond, 1),
      ratio: sample.ratio?.toFixed(2) ?? "–",
      queue: `${sample.slotsBusy}/${sample.slots}`,
      elapsed: `${seconds.toFixed(0)} s`,
      stall: stall === null ? "" : ` · ${describeStall(stall)}`,
    };
  };
  bar.start(options.totalRows ?? 0, 0, payload());
  const refresh = () => {
    const now = payload();
    bar.update(now.rows, now);
  };
  return onTimer(BAR_INTERVAL_MS, refresh, () => {
    refresh();
    bar.stop();
  });
}

/**
 * The object of `--progress json`. `seconds` from the start; `bytesPerSecond` since the last line; `stall` null while
 * anything moves.
 */
export function progressLine(
  sample: ProgressSample,
  clock: { seconds: number; bytesPerSecond?: number },
  stall: Stall | null = null,
) {
  return {
    seconds: round(clock.seconds, 3),
    rows: sample.watermarks.accepted,
    bytesIn: sample.bytesIn,
    bytesStored: sample.bytesStored,
    gbPerSecond: clock.seconds > 0 ? round(sample.bytesIn / clock.seconds / 1e9, 4) : 0,
    ratio: sample.ratio === null ? null : round(sample.ratio, 3),
    queue: { busy: sample.slotsBusy, slots: sample.slots },
    watermarks: { ...sample.watermarks },
    stall: stall === null ? null : { ...stall, seconds: round(stall.seconds, 1) },
  };
}

export function closingLine(sample: ProgressSample, seconds: number): string {
  return (
    `${formatCount(sample.watermarks.accepted, "row")}, ${formatBytes(sample.bytesIn)} in ${seconds.toFixed(2)} s, ` +
    `${formatRate(sample.bytesIn, seconds)}, ratio ${formatRatio(sample.bytesIn, sample.bytesStored)}`
  );
}

/** Time since the start, and the rate since the last reading: what a person watching wants to see change. */
class RunClock {
  readonly #startNs = nowNs();
  #lastNs = this.#startNs;
  #lastBytes = 0;
  #rate = 0;

  read(bytesIn?: number): { seconds: number; bytesPerSecond: number } {
    const now = nowNs();
    if (bytesIn !== undefined && now > this.#lastNs) {
      const rate = ((bytesIn - this.#lastBytes) / (now - this.#lastNs)) * 1e9;
      // Batches land in jumps; half of the old value keeps the figure readable.
      this.#rate = this.#rate === 0 ? rate : (this.#rate + rate) / 2;
      this.#lastNs = now;
      this.#lastBytes = bytesIn;
    }
    return { seconds: (now - this.#startNs) / 1e9, bytesPerSecond: this.#rate };
  }
}

function onTimer(intervalMs: number, tick: () => void, last: () => void): Progress {
  const timer = setInterval(tick, intervalMs);
  timer.unref();
  return once(() => {
    clearInterval(timer);
    last();
  });
}

function once(action: () => void): Progress {
  let stopped = false;
  return {
    stop: () => {
      if (stopped) return;
      stopped = true;
      action();
    },
  };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
