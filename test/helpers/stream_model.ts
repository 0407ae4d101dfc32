import fc from "fast-check";
import type { DType } from "../../src/geometry/dtype.js";
import { DTYPES } from "../../src/geometry/dtype.js";
import type { WriterOptions } from "../../src/options.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { testCodecs } from "./zstd.js";

/** What a program does with a writer. Sizes in elements or rows. */
export type Operation =
  | { readonly kind: "append"; readonly elements: number; readonly awaited: boolean }
  | { readonly kind: "tryAppend"; readonly elements: number }
  | { readonly kind: "reserve"; readonly elements: number }
  | { readonly kind: "skip"; readonly rows: number }
  | { readonly kind: "flush" };

export interface StreamCase {
  readonly array: WriterOptions["array"];
  readonly batchEpochs: number | undefined;
  readonly depth: number;
  readonly operations: readonly Operation[];
}

const names = ["t", "z", "y", "x", "c"];

/** Small arrays of rank 1 to 4 with ragged edges, and a dozen operations on them. */
export function streamCases(): fc.Arbitrary<StreamCase> {
  const dimension = fc.record({
    chunk: fc.integer({ min: 1, max: 5 }),
    chunksPerShard: fc.integer({ min: 1, max: 3 }),
    size: fc.integer({ min: 1, max: 13 }),
  });
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant("append" as const),
        elements: fc.integer({ min: 0, max: 3000 }),
        awaited: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("tryAppend" as const), elements: fc.integer({ min: 0, max: 900 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("reserve" as const), elements: fc.integer({ min: 1, max: 300 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("skip" as const), rows: fc.integer({ min: 0, max: 30 }) }) },
    { weight: 1, arbitrary: fc.constant({ kind: "flush" as const }) },
  );
  return fc
    .record({
      dtype: fc.constantFrom(...(Object.keys(DTYPES) as DType[])),
      dimensions: fc.array(dimension, { minLength: 1, maxLength: 4 }),
      bounded: fc.boolean(),
      codec: fc.constantFrom(...testCodecs, "zstd"),
      fillValue: fc.constantFrom(0, 7),
      batchEpochs: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
      depth: fc.integer({ min: 1, max: 4 }),
      operations: fc.array(operation, { minLength: 1, maxLength: 12 }),
    })
    .map(({ dtype, dimensions, bounded, codec, fillValue, batchEpochs, depth, operations }) => ({
      array: {
        dtype,
        codec,
        fillValue,
        dimensions: dimensions.map(({ chunk, chunksPerShard, size }, i) => ({
          name: names[i],
          size: i > 0 ? size : bounded ? size * 4 : null,
          chunk,
          shard: chunk * chunksPerShard,
        })),
      },
      batchEpochs,
      depth,
      operations,
    }));
}

/** Bytes that differ at every place: element i of the stream is derived from i. */
export function elementBytes(from: number, elements: number, itemBytes: number): Uint8Array {
  const bytes = new Uint8Array(elements * itemBytes);
  for (let i = 0; i < bytes.length; i++) {
    const at = from * itemBytes + i;
    bytes[i] = (Math.imul(at + 1, 0x9e3779b1) >>> 16) ^ at;
  }
  return bytes;
}

/** The expected content, grown next to the writer: a plain list of bytes. */
export class StreamModel {
  readonly #itemBytes: number;
  readonly #rowBytes: number;
  readonly #fill: Uint8Array;
  readonly #limit: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  constructor(writer: ArrayWriter, fill: Uint8Array) {
    this.#itemBytes = writer.geometry.itemBytes;
    this.#rowBytes = writer.geometry.rowBytes;
    this.#fill = fill;
    this.#limit =
      writer.geometry.rowCount === null ? Number.POSITIVE_INFINITY : writer.geometry.rowCount * this.#rowBytes;
  }

  get bytesLeft(): number {
    return this.#limit - this.#length;
  }

  get rows(): number {
    return Math.floor(this.#length / this.#rowBytes);
  }

  get endsInsideRow(): boolean {
    return this.#length % this.#rowBytes !== 0;
  }

  /** Whole rows as bytes. */
  content(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.byteLength;
    }
    return all.subarray(0, this.rows * this.#rowBytes);
  }

  /** The next bytes of the stream, cut at the end of a bounded array. */
  next(elements: number): Uint8Array {
    const room = this.bytesLeft / this.#itemBytes;
    return elementBytes(this.#length / this.#itemBytes, Math.min(elements, room), this.#itemBytes);
  }

  add(bytes: Uint8Array): void {
    this.#parts.push(bytes.slice());
    this.#length += bytes.byteLength;
  }

  /** Applies one operation to both. */
  async apply(writer: ArrayWriter, operation: Operation, pending: Promise<unknown>[]): Promise<void> {
    switch (operation.kind) {
      case "append": {
        const bytes = this.next(operation.elements);
        this.add(bytes);
        const done = writer.append(bytes);
        // The caller may reuse the memory at once when the promise is awaited: make a stale copy visible.
        if (operation.awaited) {
          await done;
          bytes.fill(0xee);
        } else pending.push(done);
        break;
      }
      case "tryAppend": {
        const bytes = this.next(operation.elements);
        const accepted = writer.tryAppend(bytes);
        this.add(bytes.subarray(0, accepted));
        bytes.fill(0xee);
        break;
      }
      case "reserve": {
        if (this.bytesLeft === 0) break;
        const room = writer.reserve(operation.elements * this.#itemBytes);
        if (room === null) break;
        const bytes = this.next(room.byteLength / this.#itemBytes);
        room.set(bytes);
        writer.commit(bytes.byteLength);
        this.add(bytes);
        break;
      }
      case "skip": {
        const inRow = this.#length % this.#rowBytes;
        if (inRow !== 0) {
          const rest = this.next((this.#rowBytes - inRow) / this.#itemBytes);
          this.add(rest);
          pending.push(writer.append(rest));
        }
        const rows = Math.min(operation.rows, this.bytesLeft / this.#rowBytes);
        const skipped = new Uint8Array(rows * this.#rowBytes);
        for (let at = 0; at < skipped.length; at += this.#itemBytes) skipped.set(this.#fill, at);
        this.add(skipped);
        pending.push(writer.skip(rows));
        break;
      }
      case "flush":
        await writer.flush();
        break;
    }
  }
}
