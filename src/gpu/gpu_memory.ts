/** Slots as this backend sees them. */
export interface GpuMemory {
  readonly staging: readonly Uint8Array[];
  readonly output: readonly Uint8Array[];
  readonly sizes: readonly Uint32Array[];
  readonly offsets: readonly Uint32Array[];
  /**
   * Per staging slot: the addon's region over the device's mapped memory; 0 while there is none. See staging/mirror.
   */
  readonly mirrorRegions: Float64Array;
  /** Per staging slot: bytes that the producer has copied there. */
  readonly mirroredBytes: Float64Array;
}
