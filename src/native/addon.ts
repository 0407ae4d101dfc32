/**
 * What the native addon exports, function by function. `binding.ts` loads it; nothing else touches a `.node` file.
 *
 * Every function checks argument count and types and throws a plain Error with a `code` starting with "NATIVE_" on
 * misuse (programmer errors; the layers above turn what a user can cause into MillraceErrors). Views may lie over
 * ArrayBuffer or SharedArrayBuffer; a detached view throws. Pointers are captured last, after anything that can run
 * JavaScript.
 */
export interface NativeAddon {
  /** Version of this interface; the loader refuses another one. */
  readonly abiVersion: number;
  /**
   * What was picked at run time: "sse4.2", "armv8" or "portable" for crc32c; "avx2", "portable" … for gather; "avx512",
   * "avx2" or "portable" for the block encoder (MILLRACE_SIMD asks for a lower one).
   */
  readonly features: { readonly crc32c: string; readonly gather: string; readonly encoder: string };
  /** Version of the block encoder's specification, docs/encoder.md. */
  readonly encoderVersion: number;

  /** CRC-32C (Castagnoli, RFC 3720 appendix B.4). `seed` continues an earlier result. Any thread. */
  crc32c(data: Uint8Array, seed?: number): number;

  /**
   * Enters memory into the process-wide table and keeps it alive. Returns an id (≥ 1, never reused), which is also the
   * generation: a stale id is refused. Bytes must stay where they are until `regionRemove` (SharedArrayBuffer does).
   */
  regionAdd(bytes: Uint8Array): number;
  /**
   * Removes a region; throws NATIVE_REGION_BUSY while an encode job or a copy uses it. Only on the thread that added
   * it.
   */
  regionRemove(id: number): void;
  regionBytes(id: number): number;
  /** Address modulo `alignment` of a view's first byte: where to start for page-aligned slots. */
  addressModulo(bytes: Uint8Array, alignment: number): number;
  /**
   * Gives the whole pages under a view back to the system and returns how many bytes that were; they read as zero
   * afterwards. 0 where the system cannot. For memory whose content is not needed any more and that the collector may
   * free late.
   */
  releasePages(bytes: Uint8Array): number;

  /**
   * Starts `helpers` copy threads (process-wide, counted: each start needs a stop). Returns how many run; 0 when none
   * could start, then copies are serial.
   */
  copyStart(helpers: number): number;
  copyStop(): void;
  /**
   * Copies src[srcOffset, +length) to region[dstOffset, +length); offsets and length in bytes whatever the view's type.
   * From 512 KiB on the range may be cut into static slices, one per helper and one for the caller, all joined before
   * it returns (STAGING_COPIED); the addon times both ways and keeps to the faster one. Any thread; concurrent callers
   * copy serially. `src` may lie over the region itself (as memmove). Float16Array is not known to Node-API: hand in
   * its bytes.
   */
  copy(regionId: number, dstOffset: number, src: NodeJS.ArrayBufferView, srcOffset: number, length: number): void;

  /** Prepares a strided gather; see {@link GatherDescription}. The handle is garbage collected. */
  gatherCreate(description: GatherDescription): GatherHandle;
  /**
   * Gathers one chunk: src at `srcOffset` bytes, `extents` valid elements per dimension, into dst at `dstOffset`. Any
   * thread.
   */
  gather(
    handle: GatherHandle,
    src: Uint8Array,
    srcOffset: number,
    extents: Uint32Array,
    dst: Uint8Array,
    dstOffset: number,
  ): void;

  /**
   * Encodes one chunk with a codec of {@link NATIVE_CODECS} other than none, on the calling thread; returns the bytes
   * written to the front of `dst`. Nothing outside `dst` is written; behind the result its content is undefined. Throws
   * NATIVE_ARGUMENT for an empty chunk or one that is not whole elements, NATIVE_CODEC_FAILED when `dst` is too small.
   */
  encodeChunk(codec: number, itemBytes: number, src: Uint8Array, dst: Uint8Array): number;
  /** Memory that encoding chunks of `chunkBytes` takes in each thread besides the chunk, bytes. */
  encoderScratchBytes(codec: number, itemBytes: number, chunkBytes: number): number;

  /**
   * A pool of `threads` native threads that encode chunks; ends with `encodePoolClose` or with the thread that made it.
   */
  encodePoolCreate(threads: number): EncodePoolHandle;
  /**
   * Queues a batch; jobs run in order, chunks of one job in parallel, and a thread that finds its job's queue empty
   * goes on with the next job. `done(error, busyNs)` is called on the creating thread. `jobs` is read before the call
   * returns.
   */
  encodePoolSubmit(pool: EncodePoolHandle, job: EncodeJob, done: (error: Error | null, busyNs: number) => void): void;
  /** Runs out what is queued, joins the threads, then calls `done` (after the last job's). */
  encodePoolClose(pool: EncodePoolHandle, done: () => void): void;

  /**
   * Opens `path` for appending with O_DIRECT, exclusively created. Throws NATIVE_DIRECT_UNSUPPORTED where there is
   * none.
   */
  directOpen(path: string): DirectFileHandle;
  /**
   * Appends the views in order, through an aligned bounce buffer where memory or file offset are not page aligned; the
   * sub-page tail stays in the handle. libuv pool; one call at a time for a file (NATIVE_DIRECT_BUSY). Errors have the
   * shape of node:fs errors and stick. The views' memory must not be detached before `done`.
   */
  directAppend(
    file: DirectFileHandle,
    views: readonly Uint8Array[],
    done: (error: NodeJS.ErrnoException | null) => void,
  ): void;
  /** Writes the tail, cuts the file to its true length, syncs data if asked, closes. libuv pool. */
  directFinish(file: DirectFileHandle, sync: boolean, done: (error: NodeJS.ErrnoException | null) => void): void;
  /** Closes without writing the tail; during an append, right after it. Never throws for a handle of the right kind. */
  directAbandon(file: DirectFileHandle): void;
}

/** Version of {@link NativeAddon} that this source was written against. */
export const NATIVE_ABI_VERSION = 3;

/** Numbers of the codecs that the addon encodes. */
export const NATIVE_CODECS = { none: 0, blosc: 1, zstd: 2 } as const;

/**
 * A box of elements cut out of a C-order array and laid down as a full C-order chunk. Element (i0 … in-1) of the chunk
 * comes from src + Σ ik · srcStrides[k] where every ik < extents[k], and is `fill` elsewhere.
 */
export interface GatherDescription {
  /** Bytes per element: 1, 2, 4 or 8. */
  readonly itemBytes: number;
  /** Chunk shape in elements, slowest first; rank 1 … 32. */
  readonly chunkShape: Uint32Array;
  /** Source strides in bytes, slowest first; the last is itemBytes. */
  readonly srcStrides: Float64Array;
  /** One element of padding, itemBytes long. */
  readonly fill: Uint8Array;
}

/** One batch for the encode pool. */
export interface EncodeJob {
  readonly gather: GatherHandle;
  /** Region ids of the staging and the output slot. */
  readonly srcRegion: number;
  readonly dstRegion: number;
  readonly chunkCount: number;
  /** Byte offset of each chunk's first element in the source region. */
  readonly srcOffsets: Float64Array;
  /** Byte offset of each chunk in the destination region. */
  readonly dstOffsets: Float64Array;
  /** rank values a chunk: valid elements per dimension. */
  readonly extents: Uint32Array;
  /** Room for each encoded chunk at its dstOffset. */
  readonly dstCapacityBytes: number;
  /** Region (uint32 a chunk) that receives encoded sizes, 0-based from byte `sizesOffset`. */
  readonly sizesRegion: number;
  readonly sizesOffset: number;
  /** One of {@link NATIVE_CODECS}. */
  readonly codec: number;
}

export type GatherHandle = { readonly __brand: "gather" };
export type EncodePoolHandle = { readonly __brand: "encodePool" };
export type DirectFileHandle = { readonly __brand: "directFile" };
