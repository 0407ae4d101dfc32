/**
 * kick → backend: a filled staging slot, or whole epochs of one. By value; the bytes stay in the staging slot, borrowed
 * by the backend until the kick's promise settles.
 */
export interface StagedBatch {
  readonly stagingIndex: number;
  readonly stagingGeneration: number;
  /** Where the batch begins in its slot: epochs of the slot that went before it, in batches of their own. */
  readonly stagingEpoch: number;
  /** Later epochs of the slot are still being filled, so only the memory of these may be touched. */
  readonly slotIsOpen: boolean;
  readonly outputIndex: number;
  readonly outputGeneration: number;
  /** First epoch of the batch and how many epochs hold rows. */
  readonly firstEpoch: number;
  readonly epochCount: number;
  /** Rows in the batch: epochCount · epochRows, less in a partial last epoch, which is padded with the fill value. */
  readonly rowFrom: number;
  readonly rowTo: number;
  /** Bit e set (byte e >> 3): epoch `firstEpoch + e` was skipped whole; its chunks are absent. Undefined: none was. */
  readonly skippedEpochs: Uint8Array | undefined;
}

/**
 * The contract of `cpu/` and `gpu/`. Thread: the engine's. Kicks are made in generation order, up to one per output
 * slot at a time, and may complete in any order: delivery puts them back in order (DELIVER_OLDEST_FIRST).
 */
export interface Backend {
  readonly kind: "cpu" | "gpu";
  /** Name of the adapter, or of the CPU path: "native", "typescript", "zstd-napi × 2". */
  readonly adapter: string;
  /**
   * Encodes every chunk of the batch into the output slot. Resolves when staging has been read and the output is stable
   * (STAGING_FREE and ENCODED together). Rejects with CODEC_FAILED and leaves both slots untouched afterwards.
   */
  kick(batch: StagedBatch): Promise<void>;
  /**
   * The stream was aborted: nobody wants what is kicked. A backend that waits for somebody who may never answer rejects
   * those kicks now; the rule about both slots stays. What ends by itself needs none of this.
   */
  hurry?(): void;
  /**
   * Joins everything kicked, then ends threads and releases memory. Idempotent. Called with kicks pending it waits for
   * them.
   */
  close(): Promise<void>;
}
