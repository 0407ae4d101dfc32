import { nowNs } from "../base/clock.js";
import { type CountedRule, ORDERING_COUNTED_RULES, WAIT_OWNERS, type WaitOwner } from "./counted_rules.js";
import type { Counters } from "./counters.js";
import type { LatencySnapshot } from "./latency.js";

/** Busy time of one stage. Times may be added up only within one owner; `count` 0 means not measured. */
export interface StageMetrics {
  /** checksum: of chunks, for the journal. sync: of shards that are still open, at durability "batch". */
  readonly name: "copy" | "encode" | "write" | "checksum" | "journal" | "sync" | "seal" | "publish";
  /** Whose time it is: the caller's thread, the encode threads together, or the delivery worker. */
  readonly owner: "producer" | "encoder" | "delivery";
  /** Busy time, nanoseconds; of encode threads added up. */
  readonly busyNs: number;
  /** How often the stage ran; 0: not measured. */
  readonly count: number;
  /** Bytes that went in. */
  readonly inBytes: number;
  /** Bytes that came out; 0 where none do. */
  readonly outBytes: number;
}

/** Time one owner waited under one ordering rule. */
export interface WaitMetrics {
  /** Name of the rule in docs/ordering.md. */
  readonly rule: string;
  /** Time waited, nanoseconds. */
  readonly ns: number;
  /** Number of waits. */
  readonly count: number;
}

/**
 * What one owner waits for at this moment. `docs/ordering.md` says for each rule who must act for the wait to end. An
 * owner that has nothing to do waits for the one before it: the engine under BATCH_FILLED, delivery under ENCODED. The
 * producer is the caller's thread: it is listed while a call of the writer waits, and only then.
 */
export interface CurrentWait {
  /** Who waits. */
  readonly owner: WaitOwner;
  /** Under which rule of docs/ordering.md. */
  readonly rule: CountedRule;
  /** How long so far. Of several waits under the rule, the oldest. */
  readonly forNs: number;
}

/**
 * What {@link ArrayWriter.metrics} returns. Counts since the writer opened; `schema` changes when a field changes
 * meaning.
 */
export interface MetricsSnapshot {
  /** Version of this form. */
  readonly schema: 1;
  /** Rows of the append dimension that are begun or whole, counted from the start of the array. */
  readonly rowsAccepted: number;
  /** Raw bytes accepted by this writer, skipped ones included. */
  readonly bytesIn: number;
  /** Bytes handed to the sink for shards, indexes included. */
  readonly bytesStored: number;
  /** Shards that are complete and visible. */
  readonly shardsSealed: number;
  /** Chunks encoded by the CPU and by a GPU. */
  readonly chunksByRoute: { readonly cpu: number; readonly gpu: number };
  /** Time that `append` took. */
  readonly appendNs: LatencySnapshot;
  /** Busy time of each stage. */
  readonly stages: readonly StageMetrics[];
  /** Waits that are over. */
  readonly waits: readonly WaitMetrics[];
  /** Waits that go on, by owner: producer, engine, delivery. In a stream that stands still they say why. */
  readonly waiting: readonly CurrentWait[];
  /** Bytes handed to the sink that it has not retired yet. */
  readonly sinkPendingBytes: number;
  /** The most of them so far. */
  readonly sinkPendingBytesPeak: number;
  /** Staging slots that there are. */
  readonly stagingSlots: number;
  /** Staging slots that are being filled or wait to be encoded. */
  readonly stagingSlotsBusy: number;
  /** The most of them so far. */
  readonly stagingSlotsBusyPeak: number;
  /** Output slots that there are. */
  readonly outputSlots: number;
  /** Output slots that are being filled or written. */
  readonly outputSlotsBusy: number;
}

export interface ProducerFigures {
  readonly rowsAccepted: number;
  readonly bytesIn: number;
  readonly appendNs: LatencySnapshot;
  /** Time and count of the timed copies only; see SAMPLE_EVERY. */
  readonly copyNs: number;
  readonly copyCount: number;
  readonly copyBytes: number;
  readonly stagingSlots: number;
  readonly stagingSlotsBusy: number;
  readonly stagingSlotsBusyPeak: number;
  readonly outputSlots: number;
  readonly outputSlotsBusy: number;
  /** Both threads are gone. One that was killed leaves behind what it waited for. */
  readonly ended: boolean;
}

export function takeSnapshot(counters: Counters, producer: ProducerFigures): MetricsSnapshot {
  const c = (name: Parameters<Counters["get"]>[0]): number => counters.get(name);
  return {
    schema: 1,
    rowsAccepted: producer.rowsAccepted,
    bytesIn: producer.bytesIn,
    bytesStored: c("bytesStored"),
    shardsSealed: c("shardsSealed"),
    chunksByRoute: { cpu: c("chunksCpu"), gpu: c("chunksGpu") },
    appendNs: producer.appendNs,
    stages: [
      {
        name: "copy",
        owner: "producer",
        busyNs: producer.copyNs,
        count: producer.copyCount,
        inBytes: producer.copyBytes,
        outBytes: producer.copyBytes,
      },
      {
        name: "encode",
        owner: "encoder",
        busyNs: c("encodeNs"),
        count: c("encodeCount"),
        inBytes: c("encodeInBytes"),
        outBytes: c("encodeOutBytes"),
      },
      {
        name: "write",
        owner: "delivery",
        busyNs: c("writeNs"),
        count: c("writeCount"),
        inBytes: c("writeBytes"),
        outBytes: c("writeBytes"),
      },
      {
        name: "checksum",
        owner: "delivery",
        busyNs: c("checksumNs"),
        count: c("writeCount"),
        inBytes: c("checksumBytes"),
        outBytes: 0,
      },
      {
        name: "journal",
        owner: "delivery",
        busyNs: c("journalNs"),
        count: c("journalCount"),
        inBytes: c("journalBytes"),
        outBytes: c("journalBytes"),
      },
      { name: "sync", owner: "delivery", busyNs: c("syncNs"), count: c("syncCount"), inBytes: 0, outBytes: 0 },
      {
        name: "seal",
        owner: "delivery",
        busyNs: c("sealNs"),
        count: c("sealCount"),
        inBytes: c("sealBytes"),
        outBytes: c("sealBytes"),
      },
      { name: "publish", owner: "delivery", busyNs: c("publishNs"), count: c("publishCount"), inBytes: 0, outBytes: 0 },
    ],
    waits: ORDERING_COUNTED_RULES.map((rule) => ({ rule, ...counters.wait(rule) })).filter((wait) => wait.count > 0),
    waiting: producer.ended ? [] : currentWaits(counters),
    sinkPendingBytes: c("sinkPendingBytes"),
    sinkPendingBytesPeak: c("sinkPendingBytesPeak"),
    stagingSlots: producer.stagingSlots,
    stagingSlotsBusy: producer.stagingSlotsBusy,
    stagingSlotsBusyPeak: producer.stagingSlotsBusyPeak,
    outputSlots: producer.outputSlots,
    outputSlotsBusy: producer.outputSlotsBusy,
  };
}

function currentWaits(counters: Counters): CurrentWait[] {
  const atNs = nowNs();
  return WAIT_OWNERS.flatMap((owner) =>
    ORDERING_COUNTED_RULES.flatMap((rule) => {
      const sinceNs = counters.waitingSince(owner, rule);
      // Another thread may have written a moment after this one read the clock.
      return sinceNs === 0 ? [] : [{ owner, rule, forNs: Math.max(0, atNs - sinceNs) }];
    }),
  );
}
