import { assert } from "./assert.js";

/** Every limit of Millrace in one place; their relations are asserted when this module loads. */

/** Dimensions of an array. NumPy and zarr-python stop at 64; the kernels' parameter blocks hold 32. */
export const RANK_MAX = 32;
/** Chunks are addressed with 32-bit offsets in the encoder and the kernels. */
export const CHUNK_BYTES_MAX = 2 ** 31 - 1 - 65536;
/** Chunks of one shard; the index of a shard is 16 bytes a chunk and is held in memory while the shard is open. */
export const CHUNKS_PER_SHARD_MAX = 2 ** 24;
/** Staging slots, output slots: at least two, so that one fills while another drains. */
export const PIPELINE_DEPTH_MIN = 1;
export const PIPELINE_DEPTH_DEFAULT = 3;
export const PIPELINE_DEPTH_MAX = 16;
/** Raw bytes of a batch that K is chosen for. Larger batches amortize hand-over, smaller ones stay in cache. */
export const BATCH_BYTES_TARGET = 16 * 2 ** 20;
/** The same where a GPU encodes: it wants a thousand blocks or more at once. */
export const GPU_BATCH_BYTES_TARGET = 64 * 2 ** 20;
/**
 * zstd blocks of a GPU's batch. Each takes some 9 KiB of device memory whatever its size, so small chunks ask for
 * smaller batches.
 */
export const GPU_BATCH_BLOCKS_MAX = 8192;
/** Both, for an adapter that is software: it takes a second a megabyte, so a larger batch only makes waiting lumpy. */
export const SOFTWARE_BATCH_BYTES_TARGET = 2 * 2 ** 20;
export const SOFTWARE_BATCH_BLOCKS_MAX = 256;
/** Batches on a GPU at once: one is copied or read back while another is encoded. */
export const GPU_SLOTS = 2;
/** Epochs of a batch. */
export const BATCH_EPOCHS_MAX = 65536;
/**
 * Memory and file offsets of direct I/O; the largest page size of common file systems and CPUs is 64 KiB, 4 KiB is
 * usual.
 */
export const PAGE_BYTES = 4096;
/** Copy helpers beside the caller: more than three saturate no memory bus better (chucky measured the same). */
export const COPY_HELPERS_MAX = 3;
/** Threads of the encode pool. */
export const ENCODE_THREADS_MAX = 256;
/** Shard files held open at once by the file sink; beyond it the least recently used is closed and reopened. */
export const OPEN_SHARD_FILES_MAX = 512;
/** Dimensions of an array that is only read. */
export const READ_RANK_MAX = 64;
/** Codecs of one chain in a zarr.json; each may need a chunk's memory. Real chains have two or three. */
export const CODECS_MAX = 8;
/**
 * Levels that a zarr.json may nest: JSON.stringify and others recurse. Attributes that Millrace writes nest 100 at
 * most.
 */
export const METADATA_DEPTH_MAX = 256;
/**
 * Values in a zarr.json. Parsed, a value takes up to some 60 bytes: a few megabytes of "[[],[]…" must not become
 * gigabytes.
 */
export const METADATA_VALUES_MAX = 2 ** 22;

assert(PIPELINE_DEPTH_MIN >= 1, "a pipeline has a slot");
assert(PIPELINE_DEPTH_DEFAULT <= PIPELINE_DEPTH_MAX, "default depth is legal");
assert(BATCH_BYTES_TARGET <= CHUNK_BYTES_MAX, "a batch target can be one chunk");
assert(RANK_MAX <= READ_RANK_MAX, "what is written can be read");
assert(PAGE_BYTES % 512 === 0, "pages are whole sectors");
