import { MillraceError } from "../base/errors.js";
import type { CountedRule } from "../metrics/counted_rules.js";
import type { OpenWait } from "../metrics/owner_waits.js";

/**
 * Every ordering rule of the pipeline, in one table: each wait for somebody who must have finished is named here. Marks
 * that only time something are no rules, and neither is SINK_PENDING_BYTES (metrics/counted_rules.ts): it bounds the
 * bytes that the sink holds, and without it memory grows but no byte is wrong. `docs/ordering.md` draws the same table
 * for readers.
 *
 * producer → consumer: who must have finished → who waits for it.
 */
export const ORDERING_RULES = {
  STAGING_COPIED: {
    producer: "copy helpers, reservations",
    consumer: "producer",
    guards: "all slices of a copy are joined, and no reservation is open, before a slot is sealed or unmapped",
    perSlot: true,
  },
  STAGING_FREE: {
    producer: "backend",
    consumer: "producer",
    guards: "the backend has read a staging slot before it is refilled",
    perSlot: true,
  },
  BATCH_FILLED: {
    producer: "producer",
    consumer: "schedule",
    guards: "nothing is kicked before its last byte is in",
    perSlot: true,
  },
  EPOCHS_WHOLE: {
    producer: "producer",
    consumer: "schedule",
    guards: "of a slot that is still being filled only epochs are kicked that hold their last byte",
    perSlot: true,
  },
  POOL_CONSUMED: {
    producer: "encoder",
    consumer: "encoder",
    guards:
      "chunk memory on a device is read by the encoder before it is cleared or refilled (GPU; the CPU gathers " +
      "from staging)",
    perSlot: true,
  },
  ENCODED: {
    producer: "backend",
    consumer: "delivery",
    guards: "sizes and bytes of an output slot are stable before delivery reads them",
    perSlot: true,
  },
  JOIN_BEFORE_REFILL: {
    producer: "delivery",
    consumer: "schedule",
    guards: "the delivery job of an output slot is joined before that slot is encoded into again",
    perSlot: true,
  },
  DELIVER_OLDEST_FIRST: {
    producer: "delivery",
    consumer: "delivery",
    guards: "jobs run strictly in generation order: shard bytes and metadata depend on it",
    perSlot: false,
  },
  OUTPUT_RELEASED: {
    producer: "sink",
    consumer: "delivery",
    guards: "the sink has retired every write from a slot, failed ones too, before the slot returns",
    perSlot: true,
  },
  JOURNAL_AFTER_DATA: {
    producer: "sink",
    consumer: "delivery",
    guards: "a commit enters the journal when every write of its epochs has settled, and names them all",
    perSlot: false,
  },
  DURABLE_AFTER_COMMIT: {
    producer: "sink",
    consumer: "delivery",
    guards:
      "rows count as durable when the journal has what makes them so, and at durability batch their bytes are synced",
    perSlot: false,
  },
  PUBLISH_AFTER_DURABLE: {
    producer: "sink",
    consumer: "delivery",
    guards: "a published shape only covers sealed shards, durable ones where durability was asked for",
    perSlot: false,
  },
  SKIP_PUBLISHED: {
    producer: "sink",
    consumer: "delivery",
    guards: "the published shape covers rows of shards that were skipped whole before a later row is begun",
    perSlot: false,
  },
  JOURNAL_UNTIL_PUBLISHED: {
    producer: "delivery",
    consumer: "delivery",
    guards: "the journal of a row of shards stays until the published shape covers the row",
    perSlot: false,
  },
  EXIT_HANDSHAKE: {
    producer: "engine",
    consumer: "process exit",
    guards: "the process does not leave while the engine has work in native threads or on a device",
    perSlot: false,
  },
  STOP_JOIN_BEFORE_RELEASE: {
    producer: "delivery, backend",
    consumer: "teardown",
    guards: "delivery is run out and joined, then the backend, before slot memory is released",
    perSlot: false,
  },
  FAILURE_STOPS_INTAKE: {
    producer: "engine, delivery",
    consumer: "producer",
    guards: "nothing is accepted once a thread has failed, also while its error is still on the way",
    perSlot: false,
  },
} as const satisfies Record<string, { producer: string; consumer: string; guards: string; perSlot: boolean }>;

export type OrderingRule = keyof typeof ORDERING_RULES;

export const ORDERING_RULE_NAMES = Object.keys(ORDERING_RULES) as OrderingRule[];

export interface OrderingOptions {
  /** Check slot states at every step and poison memory on release. Costs a pass over memory. */
  readonly debug: boolean;
  /** Rules whose waits return at once. Mutation tests only: they show that a test fails without the rule. */
  readonly off: readonly OrderingRule[];
}

/** Who waits under which rule, and how long. Read by metrics; never orders anything. */
interface WaitMeter {
  begin(rule: CountedRule): OpenWait;
  /** `counted`: the time goes into the sum of the rule. */
  end(wait: OpenWait, counted: boolean): void;
}

/** Plain data from the environment, passed to the other threads so that all of them agree. */
export function orderingFromEnvironment(): OrderingOptions {
  const env = (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env ?? {};
  const off = (env.MILLRACE_RULES_OFF ?? "").split(",").filter((name) => name !== "");
  for (const name of off) {
    if (!(name in ORDERING_RULES)) {
      throw new MillraceError("INVALID_OPTION", `MILLRACE_RULES_OFF names "${name}", which is no ordering rule.`, {
        hint: `Rules: ${ORDERING_RULE_NAMES.join(", ")}.`,
      });
    }
  }
  return { debug: env.MILLRACE_DEBUG === "1", off: off as OrderingRule[] };
}

/** The one gate that every wait of a thread passes through. One instance per thread and writer. */
export class Ordering {
  readonly debug: boolean;
  readonly #off: ReadonlySet<OrderingRule>;
  readonly #meter: WaitMeter | undefined;

  constructor(options: OrderingOptions, meter?: WaitMeter) {
    this.debug = options.debug;
    this.#off = new Set(options.off);
    this.#meter = meter;
  }

  /** False only in a mutation test that switched `rule` off. */
  enforced(rule: OrderingRule): boolean {
    return !this.#off.has(rule);
  }

  /**
   * Waits for `settled` under `rule`. A promise that is ready costs one turn of the microtask queue and counts as no
   * wait. With the rule off it returns `otherwise` at once and leaves the promise to whoever made it.
   */
  async waitFor<T>(rule: OrderingRule, settled: Promise<T>, otherwise: T): Promise<T> {
    if (!this.enforced(rule)) {
      settled.catch(() => {});
      return otherwise;
    }
    return this.#metered(rule, settled, true);
  }

  /**
   * Shows `settled` as a wait under `rule` while it lasts. For what is no edge of the table by itself: an owner without
   * work, a wait that holds others inside it. It adds nothing to the sums, and it waits whether the rule is on or off.
   */
  observed<T>(rule: CountedRule, settled: Promise<T>): Promise<T> {
    return this.#metered(rule, settled, false);
  }

  /**
   * A wait of several steps, shown from here until the returned function is called. It is counted then, once, as a
   * whole.
   */
  startWait(rule: CountedRule): () => void {
    return this.#begin(rule, true);
  }

  /** The same, for a wait that somebody else counts. */
  observe(rule: CountedRule): () => void {
    return this.#begin(rule, false);
  }

  #begin(rule: CountedRule, counted: boolean): () => void {
    const meter = this.#meter;
    if (meter === undefined) return () => {};
    const wait = meter.begin(rule);
    return () => meter.end(wait, counted);
  }

  async #metered<T>(rule: CountedRule, settled: Promise<T>, counted: boolean): Promise<T> {
    const end = this.#begin(rule, counted);
    try {
      return await settled;
    } finally {
      end();
    }
  }

  /** In debug builds: `condition` must hold, or the rule is broken. */
  check(rule: OrderingRule, condition: boolean, message: string, context: Record<string, number | string> = {}): void {
    if (this.debug && !condition && this.enforced(rule)) {
      throw new MillraceError("ORDERING_VIOLATION", `${rule}: ${message}.`, { context: { rule, ...context } });
    }
  }
}

/** Fills released memory so that a stale read shows as 0xDD instead of plausible old data. Debug builds only. */
export function poison(bytes: Uint8Array): void {
  bytes.fill(0xdd);
}
