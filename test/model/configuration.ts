import type { Sink } from "../../src/handoff/sink.js";
import type { WriterOptions } from "../../src/options.js";
import { type CheckedOptions, checkWriterOptions, type Machine } from "../../src/options_check.js";
import type { MemoryPlan } from "../../src/plan/memory_plan.js";
import { planStream } from "../../src/writer/estimate_memory.js";
import type { Shape } from "./content.js";

/** One call of the program. A lane makes its calls one after the other; lanes do not wait for each other. */
export type Call =
  | { readonly call: "append"; readonly rows: number; readonly await?: boolean }
  | { readonly call: "tryAppend"; readonly rows: number }
  /** A reservation, and its commit as the call after the next one of this lane. */
  | { readonly call: "reserve"; readonly rows: number }
  | { readonly call: "commit" }
  | { readonly call: "skip"; readonly rows: number; readonly await?: boolean }
  | { readonly call: "flush"; readonly await?: boolean }
  | { readonly call: "close"; readonly await?: boolean }
  | { readonly call: "abort"; readonly await?: boolean }
  /**
   * `process.exit`: the producer's thread does nothing more, and the process leaves when the exit handshake lets it.
   */
  | { readonly call: "exit" };

/** What may go wrong besides, at any moment, as often as `faultsMax` says. */
export type Fault = "sink" | "backend" | "engine lost" | "delivery lost";

export interface Configuration extends Shape {
  readonly depth: number;
  readonly batchEpochs?: number;
  readonly lanes: readonly (readonly Call[])[];
  readonly faults?: readonly Fault[];
  readonly faultsMax?: number;
  readonly maxPendingBytes?: number;
  /** A timer, which may go off at any moment at which whole epochs wait. Undefined: none. */
  readonly maxBatchAgeMs?: number;
  /** The sink keeps a journal, and this is what is synced. Undefined: it keeps none. */
  readonly durability?: "none" | "shard" | "batch";
  /** 0: publish at once. Else a timer, which may go off at any moment. */
  readonly publishIntervalMs?: number;
  /** Also explores how a stream opens; else that goes one way. */
  readonly opening?: boolean;
  readonly debug?: boolean;
  /** A rule that is switched off. */
  readonly off?: string;
  /**
   * Keys tell apart in which order a thread was told things of different origin. Far more states; no argument needed.
   */
  readonly exactKeys?: boolean;
}

export const MACHINE: Machine = { cores: 2, memoryBytes: 2 ** 30, addon: false };

export function optionsOf(c: Configuration, instance?: Sink): WriterOptions {
  return {
    sink: {
      kind: "controlled",
      location: "controlled",
      options: {},
      memoryBytes: () => 0,
      journal: c.durability !== undefined,
      instance,
    },
    durability: c.durability,
    threads: "inline",
    depth: c.depth,
    batchEpochs: c.batchEpochs ?? 1,
    publishIntervalMs: c.publishIntervalMs ?? 0,
    maxPendingBytes: c.maxPendingBytes,
    maxBatchAgeMs: c.maxBatchAgeMs ?? 0,
    array: {
      dtype: "uint8",
      codec: { name: "none" },
      dimensions: [
        { name: "t", size: null, chunk: c.epochRows, shard: c.epochRows * c.epochsPerShard },
        { name: "x", size: c.shardsPerRow, chunk: 1, shard: 1 },
      ],
    },
  };
}

/** Plain data that every world of a configuration shares. */
const plans = new WeakMap<Configuration, { checked: CheckedOptions; plan: MemoryPlan }>();

export function planOf(c: Configuration): { checked: CheckedOptions; plan: MemoryPlan } {
  let planned = plans.get(c);
  if (planned === undefined) {
    const options = optionsOf(c);
    const checked = checkWriterOptions(options, MACHINE);
    planned = { checked, plan: planStream(checked, options.sink, false) };
    plans.set(c, planned);
  }
  return planned;
}
