import { ShardIndex } from "../../src/zarr/shard_index.js";

/** Shape of a small array: one chunk a shard and epoch, shards side by side along the row. Elements are bytes. */
export interface Shape {
  /** Rows of an epoch. */
  readonly epochRows: number;
  readonly epochsPerShard: number;
  readonly shardsPerRow: number;
}

/** What a program sends, and what must therefore be stored: written down without a look at the pipeline. */
export class Content {
  readonly shape: Shape;
  /** Per row: whether it was skipped. */
  readonly #skipped: readonly boolean[];

  constructor(shape: Shape, skippedRows: readonly boolean[]) {
    this.shape = shape;
    this.#skipped = skippedRows;
  }

  get rows(): number {
    return this.#skipped.length;
  }

  get epochs(): number {
    return Math.ceil(this.rows / this.shape.epochRows);
  }

  /** Bytes of row `row`; no two rows are alike, and none holds what slots are filled with between uses. */
  row(row: number): Uint8Array {
    return Uint8Array.from(
      { length: this.shape.shardsPerRow },
      (_, s) => 1 + ((row * this.shape.shardsPerRow + s) % 160),
    );
  }

  rowsBetween(from: number, to: number): Uint8Array {
    return concat(Array.from({ length: to - from }, (_, i) => this.row(from + i)));
  }

  isSkipped(epoch: number): boolean {
    const { epochRows } = this.shape;
    for (let row = epoch * epochRows; row < Math.min(this.rows, (epoch + 1) * epochRows); row++) {
      if (!this.#skipped[row]) return false;
    }
    return true;
  }

  /** The chunk of one shard and epoch; rows behind the end, and skipped ones, hold the fill value, 0. */
  chunk(epoch: number, shard: number): Uint8Array {
    const { epochRows } = this.shape;
    return Uint8Array.from({ length: epochRows }, (_, i) => {
      const row = epoch * epochRows + i;
      return row < this.rows && !this.#skipped[row] ? this.row(row)[shard] : 0;
    });
  }

  /**
   * Chunks of a shard as far as the program goes, in order, and what a shard of the first `epochs` of them is as an
   * object.
   */
  shardData(row: number, shard: number): { chunks: Uint8Array[]; epochs: number[] } {
    const chunks: Uint8Array[] = [];
    const epochs: number[] = [];
    for (let i = 0; i < this.shape.epochsPerShard; i++) {
      const epoch = row * this.shape.epochsPerShard + i;
      if (epoch >= this.epochs || this.isSkipped(epoch)) continue;
      chunks.push(this.chunk(epoch, shard));
      epochs.push(epoch);
    }
    return { chunks, epochs };
  }

  /** The index of a shard that holds the first `count` of its chunks. */
  shardIndex(row: number, count: number): Uint8Array {
    const { epochRows, epochsPerShard } = this.shape;
    const index = new ShardIndex(epochsPerShard);
    const { epochs } = this.shardData(row, 0);
    for (let i = 0; i < count; i++) index.set(epochs[i] - row * epochsPerShard, i * epochRows, epochRows);
    return index.encode().slice();
  }

  /** `rows` and the epochs right behind them that are skipped: nothing is to be done about those. */
  withSkipped(rows: number): number {
    const { epochRows } = this.shape;
    let to = rows;
    while (to < this.rows && to % epochRows === 0 && this.isSkipped(to / epochRows)) to += epochRows;
    return Math.min(to, Math.max(rows, this.rows));
  }

  /** Leading rows of which every chunk is there, where `bytesOf` says how many bytes of a shard are. */
  rowsIn(bytesOf: (row: number, shard: number) => number | undefined): number {
    const { epochRows, epochsPerShard, shardsPerRow } = this.shape;
    for (let epoch = 0; epoch < this.epochs; epoch++) {
      if (this.isSkipped(epoch)) continue;
      const row = Math.floor(epoch / epochsPerShard);
      const before = this.shardData(row, 0).epochs.indexOf(epoch);
      for (let shard = 0; shard < shardsPerRow; shard++) {
        if ((bytesOf(row, shard) ?? 0) < (before + 1) * epochRows) return epoch * epochRows;
      }
    }
    return this.rows;
  }
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** `bytes` is a beginning of `whole`. */
export function startsWith(whole: Uint8Array, bytes: Uint8Array): boolean {
  return bytes.byteLength <= whole.byteLength && sameBytes(whole.subarray(0, bytes.byteLength), bytes);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Shards lie side by side along dimension 1. */
export function keyOf(row: number, shard: number): string {
  return `c/${row}/${shard}`;
}
