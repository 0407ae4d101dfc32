/**
 * drain → delivery: one encoded batch in host memory, on lease until the delivery worker retires its writes.
 * By value unless said otherwise; the encoded bytes themselves stay in the output slot (shared memory).
 */
export interface HostBatch {
  /** Which output slot holds the bytes, and its generation. Borrowed by delivery until it posts the release. */
  readonly slotIndex: number;
  readonly generation: number;
  /** First epoch of the batch, counted from the start of the array, and how many follow. */
  readonly firstEpoch: number;
  readonly epochCount: number;
  /**
   * Rows of the append dimension that the batch covers, [from, to). `to` is not epoch-aligned only in the last batch.
   */
  readonly rowFrom: number;
  readonly rowTo: number;
}

/**
 * Layout of an output slot, fixed at plan time. The slot's table of offsets says where each chunk begins. The CPU
 * backend puts chunk c of epoch e (c in shard order, see geometry/epoch_table) at
 * `chunkStrideBytes * (epoch-in-batch * chunksPerEpoch + c)`, so that threads encode without talking; the GPU backend
 * packs them, one run a shard. Delivery joins neighbours into one segment where no gap lies between them.
 */
export interface OutputLayout {
  /** Bytes of an output slot. */
  readonly slotBytes: number;
  /** Bytes from one chunk to the next on the CPU: room for the largest encoded chunk. */
  readonly chunkStrideBytes: number;
  /** Chunks of an epoch. */
  readonly chunksPerEpoch: number;
  /** Epochs of a batch (K). */
  readonly epochsPerBatch: number;
}
