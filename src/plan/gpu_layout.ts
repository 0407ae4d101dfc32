import { MillraceError } from "../base/errors.js";
import { alignUp, ceilDiv } from "../base/integers.js";
import { type CodecSpec, codecBound } from "../codec/codec.js";
import { BLOCK_BYTES_MAX } from "../codec/encoder/bounds.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";

/** Of `gpu/kernels/common.wgsl`: threads of a workgroup, and bytes of a block that each looks after. */
const KERNEL_THREADS = 256;
const SPAN_BYTES = 128;
const BLOCK_DESCRIPTOR_WORDS = 192;
/** What one workgroup of the period kernel looks at where codec zstd makes one frame of a chunk. */
const PERIOD_PART_BYTES = 65536;
/** Words of a table of states in front of its cells: probabilities, then where each symbol's cells start. */
const STATE_HEADER_WORDS = 128;
/** Words in front of the tables of sizes and offsets in an output buffer: total, generation, two spare. */
export const OUTPUT_TOTAL_WORDS = 4;
/** Vector loads may look past the end of what is used. */
const SLACK_BYTES = 64;
/** Of `gpu/tables.ts`: words in front of the dimensions, and of a chunk's row beside its extents. */
export const TABLES_FIXED_WORDS = 776;
export const CHUNK_ROW_WORDS = 3;

/**
 * Bytes of the largest buffer that the kernels address. Places in buffers are u32 byte offsets, of which some are
 * rounded up before they are compared: to 1,024 bytes in the gather, to 64 KiB in the search for a period.
 *
 * Nothing else that the kernels count in a u32 is nearer to its end. Products of a block's, a chunk's or an epoch's
 * number are words or bytes of a buffer. Bits are counted inside a block. Workgroups are at most one for 16 bytes of
 * `planes`, which makes 65,535 rows of 4,096, as many as every device runs.
 */
export const KERNEL_BUFFER_BYTES_MAX = 2 ** 32 - 65536;

/**
 * Where everything lies in the device's buffers for batches of one array; the numbers that the kernels are given. A
 * function of geometry, codec and K alone, made without a device. Word counts are of 4 bytes.
 */
export interface GpuLayout {
  readonly itemBytes: number;
  /** 0 none, 1 blosc, 2 zstd, as in common.wgsl. */
  readonly codec: number;
  readonly chunkBytes: number;
  readonly chunkElements: number;
  /** Bytes of a chunk as separated planes; a multiple of 16. */
  readonly chunkStride: number;
  readonly chunksPerEpoch: number;
  /** Chunks of a full batch. */
  readonly taskCountMax: number;
  readonly epochsPerBatch: number;
  readonly framesPerChunk: number;
  /** zstd blocks of a chunk; for codec none, pieces of 32 KiB. */
  readonly blocksPerChunk: number;
  readonly gatherGroups: number;
  readonly periodGroups: number;
  /** Regions of the buffer `work`, in words. */
  readonly periodsAt: number;
  readonly framesAt: number;
  readonly chunksAt: number;
  readonly masksAt: number;
  readonly maskWords: number;
  readonly prefixesAt: number;
  readonly prefixWords: number;
  readonly codesAt: number;
  readonly sequencesAt: number;
  readonly sequenceWords: number;
  readonly statesAt: number;
  readonly stateWords: number;
  readonly cellsMax: number;
  /** Words of a block in the buffer `payload`. */
  readonly payloadWords: number;
  /** Encoded chunks in the output buffer, behind the tables; bytes. */
  readonly dataAt: number;
  /** Most bytes that the encoded chunks of a batch take. */
  readonly dataBytesMax: number;
  readonly buffers: GpuBufferBytes;
}

/**
 * Bytes of each buffer. `input`, `output` and `readback` exist once a GPU slot, `upload` once a staging slot, the rest
 * once.
 */
interface GpuBufferBytes {
  readonly upload: number;
  readonly input: number;
  /** At most: dimensions that lie behind each other take less. */
  readonly tables: number;
  readonly planes: number;
  readonly work: number;
  readonly blocks: number;
  readonly payload: number;
  readonly output: number;
  readonly readback: number;
}

/** @throws never; whether a device can hold it is for {@link gpuLimitsNeeded} and the device's limits to say */
export function gpuLayout(g: ArrayGeometry, codec: CodecSpec, epochsPerBatch: number): GpuLayout {
  const codecNumber = { none: 0, blosc: 1, zstd: 2 }[codec.name];
  const { itemBytes, chunkBytes } = g;
  const chunkElements = chunkBytes / itemBytes;
  const encodes = codecNumber !== 0;
  const shuffled = codec.name === "blosc" && itemBytes > 1;
  const taskCountMax = epochsPerBatch * g.chunksPerEpoch;

  let framesPerChunk = 1;
  let blocksPerChunk = ceilDiv(chunkBytes, BLOCK_BYTES_MAX);
  let chunkStride = alignUp(chunkBytes, 16);
  if (shuffled) {
    framesPerChunk = ceilDiv(chunkElements, BLOCK_BYTES_MAX);
    blocksPerChunk = framesPerChunk * itemBytes;
    const last = chunkElements - (framesPerChunk - 1) * BLOCK_BYTES_MAX;
    chunkStride = (framesPerChunk - 1) * BLOCK_BYTES_MAX * itemBytes + alignUp(last, 16) * itemBytes;
  } else if (codec.name === "blosc") {
    framesPerChunk = ceilDiv(chunkBytes, 2 * BLOCK_BYTES_MAX);
  }
  const blockBytesMax = Math.min(BLOCK_BYTES_MAX, shuffled ? chunkElements : chunkBytes);
  const blocks = encodes ? taskCountMax * blocksPerChunk : 0;

  const maskWords = ceilDiv(blockBytesMax, 32);
  const prefixWords = ceilDiv(blockBytesMax, SPAN_BYTES);
  // A run is three bytes at least, and a literal stands before each.
  const sequencesMax = Math.floor(blockBytesMax / 4) + 1;
  const cellsMax = 2 ** Math.min(9, Math.max(6, 31 - Math.clz32(sequencesMax) - 2));
  const stateWords = 2 * (STATE_HEADER_WORDS + cellsMax) + cellsMax;
  let words = 0;
  const region = (count: number): number => {
    const at = words;
    words += count;
    return at;
  };
  const periodsAt = region(encodes ? 4 * taskCountMax * framesPerChunk : 0);
  const framesAt = region(encodes ? taskCountMax * framesPerChunk : 0);
  const chunksAt = region(encodes ? 2 * taskCountMax : 0);
  const masksAt = region(blocks * maskWords);
  const prefixesAt = region(2 * blocks * prefixWords);
  const codesAt = region(256 * blocks);
  const sequencesAt = region(blocks * sequencesMax);
  const statesAt = region(blocks * stateWords);
  // Literals and sequences of a block that stays compressed: fewer bytes than its content together, either rounded up
  // to words. Literals that stay raw have a header of three bytes, and the first word of the sequences is written
  // before it is known whether they fit.
  const payloadWords = ceilDiv(blockBytesMax, 4) + 2;

  const dataAt = alignUp(4 * (OUTPUT_TOTAL_WORDS + 2 * taskCountMax), 256);
  const dataBytesMax = taskCountMax * codecBound(codec, chunkBytes);
  const inputBytes = alignUp(epochsPerBatch * g.epochBytes, 4);
  const outputBytes = dataAt + alignUp(dataBytesMax, 4);
  return Object.freeze({
    itemBytes,
    codec: codecNumber,
    chunkBytes,
    chunkElements,
    chunkStride,
    chunksPerEpoch: g.chunksPerEpoch,
    taskCountMax,
    epochsPerBatch,
    framesPerChunk,
    blocksPerChunk,
    gatherGroups: ceilDiv(ceilDiv(shuffled ? chunkElements : chunkBytes, 4), KERNEL_THREADS),
    periodGroups: codec.name === "zstd" ? ceilDiv(chunkBytes, PERIOD_PART_BYTES) : framesPerChunk,
    periodsAt,
    framesAt,
    chunksAt,
    masksAt,
    maskWords,
    prefixesAt,
    prefixWords,
    codesAt,
    sequencesAt,
    sequenceWords: sequencesMax,
    statesAt,
    stateWords,
    cellsMax,
    payloadWords,
    dataAt,
    dataBytesMax,
    buffers: Object.freeze({
      upload: inputBytes,
      input: inputBytes + SLACK_BYTES,
      tables: 4 * (TABLES_FIXED_WORDS + 2 * g.rank + g.chunksPerEpoch * (CHUNK_ROW_WORDS + g.rank) + epochsPerBatch),
      planes: taskCountMax * chunkStride + SLACK_BYTES,
      work: 4 * words + SLACK_BYTES,
      blocks: 4 * BLOCK_DESCRIPTOR_WORDS * blocks + SLACK_BYTES,
      payload: 4 * blocks * payloadWords + SLACK_BYTES,
      output: outputBytes + SLACK_BYTES,
      readback: outputBytes,
    }),
  });
}

/** Limits of a device that this layout needs, by the names of WebGPU's `GPUSupportedLimits`. */
export interface GpuLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
}

export function gpuLimitsNeeded(layout: GpuLayout): GpuLimits {
  const { upload, readback, ...bound } = layout.buffers;
  const largestBound = Math.max(...Object.values(bound));
  return {
    maxBufferSize: Math.max(largestBound, upload, readback),
    maxStorageBufferBindingSize: largestBound,
  };
}

/** What is too large, in the words of a message. */
interface ExceededLimit {
  /** Undefined: the kernels', whatever the device. */
  readonly limit: keyof GpuLimits | undefined;
  readonly needed: number;
  readonly granted: number;
}

/** The first limit, of the kernels or of a device, that needs pass; undefined when they keep to all. */
export function exceededLimit(needed: GpuLimits, granted: GpuLimits): ExceededLimit | undefined {
  const { maxStorageBufferBindingSize: bound } = needed;
  if (bound > KERNEL_BUFFER_BYTES_MAX) return { limit: undefined, needed: bound, granted: KERNEL_BUFFER_BYTES_MAX };
  for (const limit of ["maxBufferSize", "maxStorageBufferBindingSize"] as const) {
    if (needed[limit] > granted[limit]) return { limit, needed: needed[limit], granted: granted[limit] };
  }
  return undefined;
}

/** @param adapter name of the GPU */
export function limitTooSmall({ limit, needed, granted }: ExceededLimit, adapter: string): MillraceError {
  const what =
    limit === undefined
      ? `a batch needs a buffer of ${needed} bytes on the GPU, but the kernels address ${granted}.`
      : `a batch needs ${limit} ${needed}, but ${adapter} has ${granted}.`;
  return new MillraceError("BACKEND_UNAVAILABLE", what, {
    context: { adapter, limit: limit ?? "KERNEL_BUFFER_BYTES_MAX", needed, granted },
    hint: "Leave batchEpochs out, make chunk of the append dimension smaller, or use backend cpu.",
  });
}

/** Bytes on the device, and in host memory that the device reads or writes, for so many slots. */
export function gpuMemory(
  layout: GpuLayout,
  stagingSlots: number,
  gpuSlots: number,
): { readonly deviceBytes: number; readonly hostBytes: number } {
  const { upload, input, tables, planes, work, blocks, payload, output, readback } = layout.buffers;
  return {
    deviceBytes: gpuSlots * (input + output) + tables + planes + work + blocks + payload,
    hostBytes: stagingSlots * upload + gpuSlots * readback,
  };
}
