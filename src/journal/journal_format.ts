import { assert } from "../base/assert.js";
import { isCount } from "../base/integers.js";
import { crc32c } from "../codec/crc32c.js";

/**
 * The bytes of a journal: what of one row of shards can be recovered. Pure, no I/O; docs/recovery.md has the reasons.
 *
 *     file   = frame*                                   append-only; the first frame that is torn or wrong ends it
 *     frame  = u32 payloadBytes | u32 crc32c(payload) | payload
 *     header = u32 1 | UTF-8 JSON                       the first frame, once
 *     commit = u32 2 | u32 firstEpoch | u32 epochCount | u32 records | u64 rowTo | record*
 *     record = u32 shard | u32 entry | u64 offset | u32 nbytes | u32 crc32c(encoded chunk)
 *     sealed = u32 3 | u32 0 | u64 rowTo                the last frame
 *
 * Little-endian. A payload is never empty: zeros where a file was made longer and its data never came must not read as
 * frames.
 */
export const JOURNAL_FORMAT = 1;

export const FRAME_HEAD_BYTES = 8;
export const COMMIT_HEAD_BYTES = 24;
export const RECORD_BYTES = 24;
export const SEALED_BYTES = 16;
export const FRAME_KIND = { header: 1, commit: 2, sealed: 3 } as const;

/**
 * What a journal belongs to; recovery compares it with the store. "row" = a row of shards, "epochs" are counted in it.
 */
export interface JournalHeader {
  /** The stream's, as in its marker. */
  readonly writeId: string;
  /** Path of the array; "" is the root. */
  readonly array: string;
  readonly row: number;
  readonly shardsPerRow: number;
  /** Index entries of a shard. */
  readonly chunksPerShard: number;
  readonly epochsPerShard: number;
  /** Rows of elements of an epoch. */
  readonly epochRows: number;
  /** What was promised about the commits; see {@link Durability} of the options. */
  readonly durability: "none" | "shard" | "batch";
}

/** One delivered chunk. */
export interface ChunkRecord {
  /** 0 … shardsPerRow − 1. */
  readonly shard: number;
  /** In the shard's index. */
  readonly entry: number;
  /** From the start of the shard. */
  readonly offset: number;
  readonly nbytes: number;
  /** CRC-32C of the encoded bytes. */
  readonly crc: number;
}

export function encodeHeader(header: JournalHeader): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify({ format: JOURNAL_FORMAT, ...header }));
  const frame = new Uint8Array(FRAME_HEAD_BYTES + 4 + text.byteLength);
  new DataView(frame.buffer).setUint32(FRAME_HEAD_BYTES, FRAME_KIND.header, true);
  frame.set(text, FRAME_HEAD_BYTES + 4);
  return withHead(frame);
}

/** The row is complete: every shard that holds a chunk is sealed. `rowTo` as in a commit. */
export function encodeSealed(rowTo: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + SEALED_BYTES);
  const view = new DataView(frame.buffer);
  view.setUint32(FRAME_HEAD_BYTES, FRAME_KIND.sealed, true);
  setWord(view, FRAME_HEAD_BYTES + 8, rowTo);
  return withHead(frame);
}

/** The frame of one commit while its records are entered. Its memory is taken once and used again for every commit. */
export class CommitFrame {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #recordsMax: number;
  #records = 0;

  /** @param recordsMax chunks of a batch */
  constructor(recordsMax: number) {
    this.#recordsMax = recordsMax;
    this.#bytes = new Uint8Array(commitFrameBytes(recordsMax));
    this.#view = new DataView(this.#bytes.buffer);
  }

  add({ shard, entry, offset, nbytes, crc }: ChunkRecord): void {
    assert(this.#records < this.#recordsMax, "a commit has room for its batch", { records: this.#records });
    const at = FRAME_HEAD_BYTES + COMMIT_HEAD_BYTES + this.#records++ * RECORD_BYTES;
    this.#view.setUint32(at, shard, true);
    this.#view.setUint32(at + 4, entry, true);
    setWord(this.#view, at + 8, offset);
    this.#view.setUint32(at + 16, nbytes, true);
    this.#view.setUint32(at + 20, crc, true);
  }

  /**
   * The frame with what was added; then it is empty again. A view of its own memory, valid until the next `add`.
   * @param firstEpoch counted in the row of shards
   * @param rowTo length of the append dimension if the array ended behind these epochs
   */
  finish(firstEpoch: number, epochCount: number, rowTo: number): Uint8Array {
    const view = this.#view;
    view.setUint32(FRAME_HEAD_BYTES, FRAME_KIND.commit, true);
    view.setUint32(FRAME_HEAD_BYTES + 4, firstEpoch, true);
    view.setUint32(FRAME_HEAD_BYTES + 8, epochCount, true);
    view.setUint32(FRAME_HEAD_BYTES + 12, this.#records, true);
    setWord(view, FRAME_HEAD_BYTES + 16, rowTo);
    const frame = this.#bytes.subarray(0, commitFrameBytes(this.#records));
    this.#records = 0;
    return withHead(frame);
  }
}

export function commitFrameBytes(records: number): number {
  return FRAME_HEAD_BYTES + COMMIT_HEAD_BYTES + records * RECORD_BYTES;
}

function withHead(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  view.setUint32(0, frame.byteLength - FRAME_HEAD_BYTES, true);
  view.setUint32(4, crc32c(frame.subarray(FRAME_HEAD_BYTES)), true);
  return frame;
}

function setWord(view: DataView, at: number, value: number): void {
  assert(isCount(value), "a word of a journal is a count", { value });
  const low = value % 2 ** 32;
  view.setUint32(at, low, true);
  view.setUint32(at + 4, (value - low) / 2 ** 32, true);
}
