import type { WireError } from "../base/errors.js";
import type { JsonObject } from "../base/json.js";
import type { CodecSpec } from "../codec/codec.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import type { HostBatch } from "../handoff/host_batch.js";
import type { Durability, OpenMode } from "../handoff/sink.js";
import type { OrderingOptions } from "../slots/ordering.js";
import type { CodecMetadata } from "../zarr/array_metadata.js";
import type { FillValue } from "../zarr/fill_value.js";
import type { StreamMemory } from "./stream_memory.js";

/**
 * What the threads say to each other. One port between each pair, so messages of a pair stay in order; nothing is said
 * more than a few times a batch.
 */

/** producer → engine */
export type ToEngine =
  /** A staging slot was acquired and is being filled. */
  | {
      readonly type: "opened";
      readonly index: number;
      readonly generation: number;
      readonly firstEpoch: number;
      readonly rowFrom: number;
    }
  /** The open slot has got a whole epoch, which may now wait for the slot to be full: its age counts from here. */
  | { readonly type: "waiting"; readonly generation: number }
  /** That slot holds its last byte. */
  | {
      readonly type: "filled";
      readonly generation: number;
      readonly epochCount: number;
      readonly rowTo: number;
      readonly skippedEpochs: Uint8Array | undefined;
    }
  /** Whole rows of shards, rows [from, to) of the array, were skipped: no slot holds them. */
  | { readonly type: "skipped"; readonly rowFrom: number; readonly rowTo: number }
  | { readonly type: "flush"; readonly id: number }
  /** Run out everything, then stop. `rows`: final length of the append dimension. */
  | { readonly type: "close"; readonly rows: number }
  /** Stop kicking at once; what is kicked is joined. `hurry`: nobody wants what is on its way. */
  | { readonly type: "abort"; readonly hurry: boolean };

/** engine → producer */
export type FromEngine =
  | { readonly type: "ready"; readonly adapter: string; readonly backend: "cpu" | "gpu" }
  | { readonly type: "stagingFree"; readonly generation: number }
  | { readonly type: "failed"; readonly error: WireError }
  | { readonly type: "warning"; readonly message: string }
  | { readonly type: "stopped" };

/** engine → delivery */
export type ToDelivery =
  | { readonly type: "batch"; readonly batch: HostBatch }
  /** Behind that generation, rows of shards up to this row of the array were skipped. */
  | { readonly type: "skipped"; readonly rowTo: number; readonly afterGeneration: number }
  | { readonly type: "flush"; readonly id: number; readonly afterGeneration: number }
  | { readonly type: "close"; readonly rows: number; readonly afterGeneration: number }
  /** Write nothing more; batches still come, and are only joined. `hurry`: writes and seals on their way may fail. */
  | { readonly type: "abort"; readonly hurry: boolean }
  /** The last word after an abort: give up open shards and close the sink. */
  | { readonly type: "stop"; readonly afterGeneration: number };

/** delivery → engine */
export type FromDelivery =
  | { readonly type: "joined"; readonly generation: number }
  /** The sink is closed; no slot is touched any more. */
  | { readonly type: "stopped" };

/** delivery → producer */
export type DeliveryNews =
  | { readonly type: "ready" }
  | { readonly type: "flushed"; readonly id: number }
  | { readonly type: "failed"; readonly error: WireError }
  | { readonly type: "warning"; readonly message: string }
  /** A shard is complete and visible under `key`. */
  | {
      readonly type: "shard";
      readonly key: string;
      readonly bytes: number;
      readonly rowFrom: number;
      readonly rowTo: number;
    }
  | { readonly type: "published"; readonly rows: number }
  | { readonly type: "stopped" };

/** What an engine is started with. Plain data. */
export interface EngineInit {
  readonly geometry: ArrayGeometry;
  readonly codec: CodecSpec;
  /** One element of padding, little-endian. */
  readonly fill: Uint8Array;
  readonly memory: StreamMemory;
  readonly ordering: OrderingOptions;
  /** Where the first batch begins: a whole number of epochs; 0 but for a stream that was resumed. */
  readonly firstRow: number;
  readonly encodeThreads: number;
  readonly maxPendingBytes: number;
  /** How long a whole epoch waits for its batch to be full, ms; 0: for ever. */
  readonly maxBatchAgeMs: number;
  /** Undefined: the CPU encodes. */
  readonly gpu: GpuRequest | undefined;
  /** True on the caller's thread: chunks are encoded one after another, no further thread is started. */
  readonly inline: boolean;
}

export interface GpuRequest {
  /** Batches on the device at once. */
  readonly slots: number;
  readonly allowSoftwareAdapter: boolean;
  /** Whether the stream fails without a GPU, or the CPU takes over. */
  readonly required: boolean;
}

/** What a delivery worker is started with. Plain data, but for ports inside the sink's options. */
export interface DeliveryInit {
  readonly geometry: ArrayGeometry;
  readonly memory: StreamMemory;
  readonly ordering: OrderingOptions;
  readonly sink: {
    readonly kind: string;
    readonly location: string;
    readonly options: Readonly<Record<string, unknown>>;
  };
  readonly mode: OpenMode;
  /** What mode "resume" goes on from. */
  readonly resume: ResumeFrom | undefined;
  /**
   * "none": nothing is synced; else seals and metadata are, with "batch" also every batch before it counts as durable.
   */
  readonly durability: Durability;
  readonly publishIntervalMs: number;
  readonly metadata: MetadataInit;
  /** Largest encoded chunk, from the codec's bound. */
  readonly chunkBytesMax: number;
}

/** A store that an earlier writer has closed. */
export interface ResumeFrom {
  /** Length of the append dimension. */
  readonly rows: number;
  /** Its zarr.json: what is published from here on is this with another length. */
  readonly metadata: Uint8Array;
}

/** What zarr.json says besides the shape. */
export interface MetadataInit {
  readonly codecs: readonly CodecMetadata[];
  readonly fill: FillValue;
  readonly attributes: JsonObject;
}
