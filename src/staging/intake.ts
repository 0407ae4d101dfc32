import { assert } from "../base/assert.js";
import { MillraceError } from "../base/errors.js";
import { fillPattern } from "../base/fill_pattern.js";
import type { Ordering } from "../slots/ordering.js";
import type { Slot, SlotRing } from "../slots/slot_ring.js";
import type { WholeEpochs } from "../slots/whole_epochs.js";
import type { Copier } from "./copier.js";
import type { Mirror } from "./mirror.js";

/** A slot holds the epochs of one batch, row after row, exactly as the caller sends them. Sizes in bytes. */
interface IntakeInit {
  readonly ring: SlotRing;
  /** Memory of the slots. */
  readonly slots: readonly Uint8Array[];
  readonly copier: Copier;
  /** Where a GPU encodes and the addon is there. */
  readonly mirror?: Mirror;
  /** Where whole epochs of the open slot are counted; undefined: they wait until the slot is full. */
  readonly wholeEpochs?: WholeEpochs;
  readonly order: Ordering;
  readonly rowBytes: number;
  readonly epochRows: number;
  readonly epochsPerBatch: number;
  readonly epochsPerShard: number;
  /** Bytes of the whole array, when its append dimension is bounded; else Infinity. */
  readonly totalBytesMax: number;
  /**
   * Rows that the array has already, default 0. Those behind the last whole epoch come back by {@link Intake.restore}.
   */
  readonly firstRow?: number;
  /** One element of the fill value. */
  readonly fill: Uint8Array;
  onOpened(slot: Slot, firstEpoch: number): void;
  /** The open slot has got a whole epoch, and the engine did not know of any. */
  onWaiting?(slot: Slot): void;
  onFilled(slot: Slot, epochCount: number, rowTo: number, skippedEpochs: Uint8Array | undefined): void;
  /** Whole rows of shards are left at the fill value: no slot holds them. Rows of the array, [from, to). */
  onSkipped(rowFrom: number, rowTo: number): void;
}

/**
 * How long a range of whole rows of shards must be to pass the slots by: so many batches, or so many rows of shards,
 * each of which would have a journal. It ends the batch that is open, and costs a refresh of the metadata: a program
 * that skips a little and appends a little is better off with slots.
 */
const BATCHES_PASSED_BY_MIN = 4;
const SHARD_ROWS_PASSED_BY_MIN = 16;

/**
 * The producer's side of staging: puts bytes, skips and reservations into the current slot and hands it over when it is
 * full. Nothing here waits: what does not fit now is left to the caller, who tries again when a slot is free.
 * Producer's thread.
 */
export class Intake {
  readonly #init: IntakeInit;
  readonly #epochBytes: number;
  readonly #slotBytes: number;
  #slot: Slot | undefined;
  /** Bytes used of the current slot. */
  #position = 0;
  #firstEpoch = 0;
  /** Where the epoch ends that is being filled, in the slot. */
  #epochEnd = 0;
  #nextEpoch: number;
  /** From the start of the array. */
  #totalBytes: number;
  /** Rows of the current epoch that were skipped; when they are all of them, its chunks are absent. */
  #skippedRows = 0;
  readonly #firstRow: number;
  #skippedEpochs: Uint8Array | undefined;
  #reserved = 0;
  /** Tail that flush took out of the only slot of a depth1 ring. */
  #carry: Uint8Array | undefined;

  constructor(init: IntakeInit) {
    this.#init = init;
    this.#epochBytes = init.rowBytes * init.epochRows;
    this.#slotBytes = this.#epochBytes * init.epochsPerBatch;
    this.#firstRow = init.firstRow ?? 0;
    this.#nextEpoch = Math.floor(this.#firstRow / init.epochRows);
    const isFull = this.#firstRow * init.rowBytes === init.totalBytesMax;
    this.#totalBytes = isFull ? init.totalBytesMax : this.#nextEpoch * this.#epochBytes;
  }

  /** Bytes from the start of the array, skipped ones included. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Bytes accepted by this writer, skipped ones included. */
  get acceptedBytes(): number {
    return Math.max(0, this.#totalBytes - this.#firstRow * this.#init.rowBytes);
  }

  /** Bytes of the rows that are to be restored: those of an epoch that an earlier writer began. */
  get bytesToRestore(): number {
    return Math.max(0, this.#firstRow * this.#init.rowBytes - this.#totalBytes);
  }

  /** Memory for them, before anything else is put: written at any pace, then given to {@link restore}. */
  reserveRestored(): Uint8Array {
    const memory = this.reserve(this.bytesToRestore);
    assert(memory?.byteLength === this.bytesToRestore, "the first slot is free and holds an epoch");
    return memory;
  }

  /**
   * `skipped`: no chunk of them is stored, so they count as skipped; when the rest of the epoch is skipped too, none
   * will be.
   */
  restore(skipped: boolean): void {
    const bytes = this.bytesToRestore;
    this.commit(bytes);
    if (skipped) this.#skippedRows = bytes / this.#init.rowBytes;
  }

  /** Bytes until the end of a bounded array. */
  get bytesLeft(): number {
    return this.#init.totalBytesMax - this.#totalBytes;
  }

  get reservedBytes(): number {
    return this.#reserved;
  }

  /**
   * STAGING_COPIED: no slot leaves while somebody may still write into it. Copies are joined before they return, so
   * only a reservation can be open.
   * @throws MillraceError RESERVE_STATE
   */
  checkCopied(): void {
    if (this.#reserved > 0 && this.#init.order.enforced("STAGING_COPIED")) {
      throw new MillraceError("RESERVE_STATE", `${this.#reserved} bytes are reserved and not committed.`, {
        context: { reservedBytes: this.#reserved },
        hint: "Call commit(byteLength), or commit(0) to give the reservation back.",
      });
    }
  }

  /** Copies from `src` until it ends or no slot is free. Returns how many bytes. `src` must fit the array. */
  put(src: Uint8Array, from: number): number {
    let at = from;
    while (at < src.byteLength) {
      if (!this.#ensureSlot()) break;
      const length = Math.min(src.byteLength - at, this.#slotBytes - this.#position);
      this.#init.copier.copy((this.#slot as Slot).index, this.#position, src, at, length);
      this.#advance(length);
      at += length;
    }
    return at - from;
  }

  /** Leaves up to `rows` rows at the fill value until no slot is free. Returns how many. Only between rows. */
  skip(rows: number): number {
    const { rowBytes, epochRows } = this.#init;
    assert(this.#totalBytes % rowBytes === 0, "skip starts at a row");
    let done = 0;
    while (done < rows) {
      const passedBy = this.#passBy(rows - done);
      done += passedBy;
      if (passedBy > 0) continue;
      if (!this.#ensureSlot()) break;
      const slot = this.#slot as Slot;
      const rowInEpoch = (this.#position % this.#epochBytes) / rowBytes;
      const count = Math.min(rows - done, epochRows - rowInEpoch);
      // An epoch skipped in one go is never read, so its memory may keep what it held.
      if (count < epochRows) {
        const from = this.#position;
        fillPattern(this.#init.slots[slot.index].subarray(from, from + count * rowBytes), this.#init.fill);
      }
      this.#skippedRows += count;
      this.#advance(count * rowBytes);
      done += count;
    }
    return done;
  }

  /** Skips whole rows of shards without a slot, where enough of them are next. Returns how many rows of the array. */
  #passBy(rows: number): number {
    const { rowBytes, epochRows, epochsPerBatch, epochsPerShard, onSkipped } = this.#init;
    const shardRows = epochRows * epochsPerShard;
    const count = Math.floor(rows / shardRows);
    const from = this.#totalBytes / rowBytes;
    const isLong =
      count >= SHARD_ROWS_PASSED_BY_MIN || count * epochsPerShard >= BATCHES_PASSED_BY_MIN * epochsPerBatch;
    if (!isLong || from % shardRows !== 0) return 0;
    assert(this.#carry === undefined && this.bytesToRestore === 0, "an epoch begins here");
    if (this.#slot !== undefined) this.#handOver(this.#position / this.#epochBytes);
    this.#nextEpoch += count * epochsPerShard;
    this.#totalBytes += count * shardRows * rowBytes;
    onSkipped(from, from + count * shardRows);
    return count * shardRows;
  }

  /** Memory for up to `bytes` bytes, all in one slot; null when none is free. The caller writes, then commits. */
  reserve(bytes: number): Uint8Array | null {
    if (!this.#ensureSlot()) return null;
    const length = Math.min(bytes, this.#slotBytes - this.#position, this.bytesLeft);
    this.#reserved = length;
    const slot = this.#slot as Slot;
    return this.#init.slots[slot.index].subarray(this.#position, this.#position + length);
  }

  commit(bytes: number): void {
    this.#reserved = 0;
    if (bytes > 0) this.#advance(bytes);
  }

  /**
   * Hands over the complete epochs of the current slot and keeps the rest in a fresh one. False: that needs a slot and
   * none is free; try again.
   */
  split(): boolean {
    const slot = this.#slot;
    if (slot === undefined) return true;
    this.checkCopied();
    const complete = Math.floor(this.#position / this.#epochBytes);
    const tailBytes = this.#position - complete * this.#epochBytes;
    if (complete === 0) return true;
    if (tailBytes === 0) {
      this.#handOver(complete);
      return true;
    }
    const { ring, slots } = this.#init;
    const from = slots[slot.index].subarray(this.#position - tailBytes, this.#position);
    if (ring.depth === 1) {
      this.#carry = from.slice();
      this.#position -= tailBytes;
      this.#handOver(complete);
      return true;
    }
    const next = ring.tryAcquire();
    if (next === null) return false;
    slots[next.index].set(from);
    this.#position -= tailBytes;
    this.#handOver(complete);
    this.#begin(next, tailBytes);
    return true;
  }

  /** Hands over what is left, a partial epoch included. Returns bytes of an incomplete last row, which are left out. */
  finish(): number {
    const { rowBytes } = this.#init;
    if (this.#carry !== undefined && !this.#ensureSlot()) return -1;
    const leftOver = this.#totalBytes % rowBytes;
    this.#totalBytes -= leftOver;
    if (this.#slot === undefined) return leftOver;
    this.checkCopied();
    this.#position -= leftOver;
    if (this.#position === 0) {
      this.#abandonSlot();
      return leftOver;
    }
    const tailRows = (this.#position % this.#epochBytes) / rowBytes;
    if (tailRows > 0 && tailRows === this.#skippedRows) this.#markSkipped();
    this.#handOver(Math.ceil(this.#position / this.#epochBytes));
    return leftOver;
  }

  #ensureSlot(): boolean {
    if (this.#slot !== undefined) return true;
    const slot = this.#init.ring.tryAcquire();
    if (slot === null) return false;
    const carry = this.#carry;
    this.#carry = undefined;
    if (carry !== undefined) this.#init.slots[slot.index].set(carry);
    this.#begin(slot, carry?.byteLength ?? 0);
    return true;
  }

  #begin(slot: Slot, position: number): void {
    this.#slot = slot;
    this.#position = position;
    this.#epochEnd = this.#epochBytes;
    this.#firstEpoch = this.#nextEpoch;
    this.#init.mirror?.begin(slot.index);
    this.#init.wholeEpochs?.begin(slot.index);
    this.#skippedEpochs = undefined;
    this.#init.onOpened(slot, this.#firstEpoch);
  }

  #advance(bytes: number): void {
    const before = this.#position;
    this.#position += bytes;
    this.#totalBytes += bytes;
    this.#init.mirror?.upTo((this.#slot as Slot).index, this.#position, false);
    if (this.#skippedRows > 0) {
      const epochBefore = Math.floor(before / this.#epochBytes);
      if (Math.floor(this.#position / this.#epochBytes) !== epochBefore) {
        if (this.#skippedRows === this.#init.epochRows) this.#markSkipped(epochBefore);
        this.#skippedRows = 0;
      }
    }
    const ended = this.#totalBytes === this.#init.totalBytesMax;
    if (this.#position === this.#slotBytes || ended) {
      if (ended && this.#skippedRows > 0) {
        const tailRows = (this.#position % this.#epochBytes) / this.#init.rowBytes;
        if (tailRows === this.#skippedRows) this.#markSkipped();
      }
      this.checkCopied();
      this.#handOver(Math.ceil(this.#position / this.#epochBytes));
    } else if (this.#position >= this.#epochEnd) this.#countWhole();
  }

  /** The copies are joined: from here on the engine may read these epochs (EPOCHS_WHOLE). */
  #countWhole(): void {
    const whole = Math.floor(this.#position / this.#epochBytes);
    this.#epochEnd = (whole + 1) * this.#epochBytes;
    const slot = this.#slot as Slot;
    if (this.#init.wholeEpochs?.count(slot.index, whole)) this.#init.onWaiting?.(slot);
  }

  #markSkipped(epochInBatch = Math.floor((this.#position - 1) / this.#epochBytes)): void {
    this.#skippedEpochs ??= new Uint8Array((this.#init.epochsPerBatch + 7) >> 3);
    this.#skippedEpochs[epochInBatch >> 3] |= 1 << (epochInBatch & 7);
    this.#init.wholeEpochs?.markSkipped((this.#slot as Slot).index, epochInBatch);
  }

  #handOver(epochCount: number): void {
    const slot = this.#slot as Slot;
    const { ring, rowBytes, epochRows } = this.#init;
    const rowTo = this.#firstEpoch * epochRows + this.#position / rowBytes;
    // Before the slot is announced: from then on the engine may unmap (STAGING_COPIED).
    this.#init.mirror?.upTo(slot.index, this.#position, true);
    ring.advance(slot, "FILLING", "FILLED", "STAGING_COPIED");
    this.#slot = undefined;
    this.#position = 0;
    this.#nextEpoch = this.#firstEpoch + epochCount;
    const skipped = this.#skippedEpochs;
    this.#skippedEpochs = undefined;
    this.#init.onFilled(slot, epochCount, rowTo, skipped);
  }

  /** A slot that was opened and holds nothing: the engine learns that it has no epochs. */
  #abandonSlot(): void {
    this.#handOver(0);
  }
}
