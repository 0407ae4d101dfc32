import { MillraceError } from "../base/errors.js";
import type { OutputLayout } from "../handoff/host_batch.js";
import { COUNTERS_BYTES } from "../metrics/counters.js";
import type { NativeAddon } from "../native/addon.js";
import { slotRingControlBytes } from "../slots/slot_ring.js";
import { wholeEpochsBytes } from "../slots/whole_epochs.js";

/**
 * All memory of one stream, allocated once, before the first byte is accepted. Shared buffers: every thread sees the
 * same bytes, and none of them is ever transferred. Plain data; it crosses threads by structured clone.
 */
export interface StreamMemory {
  readonly counters: SharedArrayBuffer;
  readonly stagingControl: SharedArrayBuffer;
  readonly outputControl: SharedArrayBuffer;
  /** Per staging slot: how many of its epochs are whole. */
  readonly wholeEpochs: SharedArrayBuffer;
  /** One view a slot; the first byte lies on a page. */
  readonly staging: readonly Uint8Array[];
  readonly output: readonly Uint8Array[];
  /** Encoded bytes of every chunk of an output slot, in slot order; 0 = the chunk is absent. */
  readonly sizes: readonly Uint32Array[];
  /** Where each encoded chunk begins in its output slot, bytes. Stable with the sizes. */
  readonly offsets: readonly Uint32Array[];
  /**
   * Per staging slot, for a GPU: the addon's region over mapped memory of the device, 0 = none, and bytes copied there
   * so far.
   */
  readonly mirrorRegions: Float64Array;
  readonly mirroredBytes: Float64Array;
  /** One word an output slot: the next chunk that an encode thread takes. */
  readonly cursors: Int32Array;
  readonly outputLayout: OutputLayout;
}

interface StreamMemorySizes {
  readonly stagingSlots: number;
  readonly stagingSlotBytes: number;
  readonly outputSlots: number;
  readonly outputLayout: OutputLayout;
}

/**
 * Memory of the plan, and nothing else. V8 takes buffers of this size straight from the operating system, zeroed and on
 * a page; pages cost no memory until they are touched, so `prefault` touches them before the stream begins: a camera's
 * first second would otherwise pay for every page.
 * @throws MillraceError OUT_OF_MEMORY when the system lacks that much memory, or cannot give it in one piece
 */
export function allocateStreamMemory(sizes: StreamMemorySizes): StreamMemory {
  try {
    return allocate(sizes);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const { stagingSlots, stagingSlotBytes, outputSlots } = sizes;
    const bytes = stagingSlots * stagingSlotBytes + outputSlots * sizes.outputLayout.slotBytes;
    throw new MillraceError(
      "OUT_OF_MEMORY",
      `the system did not give the stream's ${stagingSlots} staging slots of ${stagingSlotBytes} bytes and ` +
        `${outputSlots} output slots of ${sizes.outputLayout.slotBytes} bytes: ${cause.message}.`,
      {
        context: { bytes, stagingSlots, stagingSlotBytes, outputSlots, outputSlotBytes: sizes.outputLayout.slotBytes },
        hint: "Set memoryBudgetBytes, use smaller chunks along the append dimension, or raise the process's limits.",
        cause,
      },
    );
  }
}

function allocate(sizes: StreamMemorySizes): StreamMemory {
  const { outputLayout } = sizes;
  const chunks = outputLayout.chunksPerEpoch * outputLayout.epochsPerBatch;
  const views = (count: number, bytes: number): Uint8Array[] =>
    Array.from({ length: count }, () => new Uint8Array(new SharedArrayBuffer(bytes)));
  const tables = (): Uint32Array[] =>
    Array.from({ length: sizes.outputSlots }, () => new Uint32Array(new SharedArrayBuffer(4 * chunks)));
  return {
    counters: new SharedArrayBuffer(COUNTERS_BYTES),
    stagingControl: new SharedArrayBuffer(slotRingControlBytes(sizes.stagingSlots)),
    outputControl: new SharedArrayBuffer(slotRingControlBytes(sizes.outputSlots)),
    wholeEpochs: new SharedArrayBuffer(wholeEpochsBytes(sizes.stagingSlots, outputLayout.epochsPerBatch)),
    staging: views(sizes.stagingSlots, sizes.stagingSlotBytes),
    output: views(sizes.outputSlots, outputLayout.slotBytes),
    sizes: tables(),
    offsets: tables(),
    mirrorRegions: new Float64Array(new SharedArrayBuffer(8 * sizes.stagingSlots)),
    mirroredBytes: new Float64Array(new SharedArrayBuffer(8 * sizes.stagingSlots)),
    cursors: new Int32Array(new SharedArrayBuffer(4 * sizes.outputSlots)),
    outputLayout,
  };
}

/**
 * Gives the slots back to the system when nobody uses them any more. V8 does not count shared memory, so its collector
 * has no reason to hurry: without this, writers that were closed pile up to gigabytes.
 */
export function releaseStreamMemory(memory: StreamMemory, addon: NativeAddon | undefined): void {
  for (const view of [...memory.staging, ...memory.output]) addon?.releasePages(view);
}

/** Touches every page once. */
export function prefault(memory: StreamMemory): void {
  for (const view of memory.staging) for (let at = 0; at < view.byteLength; at += 4096) view[at] = 0;
}
