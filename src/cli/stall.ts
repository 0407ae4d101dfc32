import { nowNs } from "../base/clock.js";
import type { MetricsSnapshot, Watermarks } from "../index.js";

type CurrentWait = MetricsSnapshot["waiting"][number];

/** How long nothing has to move until it is said. A slow disk pauses for a second or two. */
const STALL_SECONDS = 3;

/** What of a running writer says whether it moves. */
export interface StallSample {
  readonly bytesIn: number;
  readonly bytesStored: number;
  readonly watermarks: Watermarks;
  readonly waiting: readonly CurrentWait[];
}

/** A stream that stands still, and on whom it waits. */
export interface Stall {
  /** Since anything moved. */
  readonly seconds: number;
  /** "the sink", "the encoder", "input", "threads to end"; "a busy thread" where nobody waits. */
  readonly waitingFor: string;
  /** Who waits, and under which rule; null for a busy thread. */
  readonly owner: CurrentWait["owner"] | null;
  readonly rule: CurrentWait["rule"] | null;
}

/**
 * Of the waits of a stream that stands still, the one the others hang on, from the end of the pipeline to its
 * beginning: a stage with somebody outside to wait for is to blame, one that waits for its neighbour is not.
 */
const CULPRITS: readonly [owner: CurrentWait["owner"], rules: readonly CurrentWait["rule"][], waitingFor: string][] = [
  [
    "delivery",
    [
      "OUTPUT_RELEASED",
      "JOURNAL_AFTER_DATA",
      "DURABLE_AFTER_COMMIT",
      "PUBLISH_AFTER_DURABLE",
      "JOURNAL_UNTIL_PUBLISHED",
      "STOP_JOIN_BEFORE_RELEASE",
    ],
    "the sink",
  ],
  ["engine", ["ENCODED", "POOL_CONSUMED"], "the encoder"],
  ["engine", ["BATCH_FILLED"], "input"],
  ["engine", ["STOP_JOIN_BEFORE_RELEASE"], "the encoder"],
  ["producer", ["STOP_JOIN_BEFORE_RELEASE"], "threads to end"],
];

export function culpritOf(waiting: readonly CurrentWait[]): Omit<Stall, "seconds"> {
  for (const [owner, rules, waitingFor] of CULPRITS) {
    const wait = waiting.find((w) => w.owner === owner && rules.includes(w.rule));
    if (wait !== undefined) return { waitingFor, owner, rule: wait.rule };
  }
  return { waitingFor: "a busy thread", owner: null, rule: null };
}

/** "stands still for 12 s: waiting for the sink (OUTPUT_RELEASED)" */
export function describeStall({ seconds, waitingFor, rule }: Stall): string {
  return `stands still for ${Math.floor(seconds)} s: waiting for ${waitingFor}${rule === null ? "" : ` (${rule})`}`;
}

/** Looks at a stream now and then, and says when it has not moved for {@link STALL_SECONDS}. */
export class StallWatch {
  #seen = "";
  #movedNs = nowNs();

  look({ bytesIn, bytesStored, watermarks, waiting }: StallSample): Stall | null {
    const seen = [bytesIn, bytesStored, ...Object.values(watermarks)].join(" ");
    const atNs = nowNs();
    if (seen !== this.#seen) {
      this.#seen = seen;
      this.#movedNs = atNs;
    }
    const seconds = (atNs - this.#movedNs) / 1e9;
    return seconds < STALL_SECONDS ? null : { seconds, ...culpritOf(waiting) };
  }
}

/**
 * Says on `say` when a stream begins to stand still, and when it goes on; for output that is a log. Waiting for input
 * is not said: a camera may be slow, and a pipe silent for hours.
 */
export class StallLog {
  readonly #watch = new StallWatch();
  readonly #say: (line: string) => void;
  #said: Stall | undefined;

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  look(sample: StallSample): void {
    const stall = this.#watch.look(sample);
    if (stall !== null && stall.waitingFor !== "input") {
      if (this.#said === undefined || this.#said.waitingFor !== stall.waitingFor)
        this.#say(`the stream ${describeStall(stall)}`);
      this.#said = stall;
    } else if (this.#said !== undefined) {
      this.#say(
        `the stream goes on, after ${Math.floor(this.#said.seconds)} s of waiting for ${this.#said.waitingFor}`,
      );
      this.#said = undefined;
    }
  }
}
