import { MillraceError } from "../../src/base/errors.js";
import type { Backend, StagedBatch } from "../../src/handoff/backend.js";
import type { StreamMemory } from "../../src/pipeline/stream_memory.js";
import { Ordering } from "../../src/slots/ordering.js";
import { SlotRing } from "../../src/slots/slot_ring.js";
import { type Content, sameBytes } from "./content.js";
import type { Control } from "./control.js";

/** What a backend may leave in an output slot while it works on it. */
const SCRIBBLE = 0xee;

/**
 * A backend that takes its time: it may read staging and write its output at any moment between a kick and its end, so
 * it does both at the very beginning and at the very end. Codec none: the chunks themselves.
 */
export class ControlledBackend implements Backend {
  readonly kind = "cpu";
  readonly adapter = "controlled";
  readonly #content: Content;
  readonly #control: Control;
  readonly #memory: StreamMemory;
  readonly #staging: SlotRing;
  readonly #busyOutput = new Set<number>();
  #lastGeneration = 0;
  /** Leading rows that are encoded, or that have no chunk. */
  encodedRows: number;
  readonly #encoded = new Map<number, number>();
  opened = false;
  closed = false;

  constructor(content: Content, control: Control, memory: StreamMemory) {
    this.#content = content;
    this.#control = control;
    this.#memory = memory;
    const order = new Ordering({ debug: false, off: [] });
    this.#staging = new SlotRing(memory.stagingControl, memory.staging.length, order, "STAGING_FREE");
    this.encodedRows = content.withSkipped(0);
  }

  kick(batch: StagedBatch): Promise<void> {
    const { stagingIndex, stagingGeneration, outputIndex, outputGeneration } = batch;
    const name = `kick ${outputGeneration}`;
    if (this.closed) this.#wrong(`${name} after close`);
    if (outputGeneration !== this.#lastGeneration + 1) this.#wrong(`${name} after kick ${this.#lastGeneration}`);
    this.#lastGeneration = outputGeneration;
    if (this.#busyOutput.has(outputIndex)) this.#wrong(`${name} into an output slot that is being encoded into`);
    this.#busyOutput.add(outputIndex);
    const generation = this.#staging.generation(stagingIndex);
    if (generation !== stagingGeneration) this.#wrong(`${name} reads generation ${generation} of ${stagingGeneration}`);
    const staging = this.#memory.staging[stagingIndex];
    const { shape } = this.#content;
    const epochBytes = shape.epochRows * shape.shardsPerRow;
    const [from, to] = [batch.stagingEpoch, batch.stagingEpoch + batch.epochCount].map((epoch) => epoch * epochBytes);
    const before = staging.slice(from, to);
    this.#checkStaged(name, batch);
    this.#memory.output[outputIndex].fill(SCRIBBLE);
    const done = (): void => {
      this.#busyOutput.delete(outputIndex);
      if (!sameBytes(staging.subarray(from, to), before)) this.#wrong(`${name}: staging changed before it was read`);
      this.#encode(batch);
      this.#encoded.set(batch.rowFrom, batch.rowTo);
      this.#countEncoded();
    };
    return this.#control.operation("engine", name, done, () => {
      this.#busyOutput.delete(outputIndex);
      return new MillraceError("CODEC_FAILED", `${name} failed.`);
    });
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    if (this.#control.hasPending("kick")) this.#wrong("the backend is closed over a batch in flight");
    for (const call of ["write", "openShard", "sync", "seal", "put", "abandon", "journal", "sink close"]) {
      if (this.#control.hasPending(call)) this.#wrong(`the backend is closed while delivery waits for "${call}"`);
    }
    await this.#control.operation(
      "engine",
      "backend close",
      () => {},
      () => new MillraceError("CODEC_FAILED", "backend close failed."),
    );
  }

  /** What is kicked is what the program sent for these rows. */
  #checkStaged(name: string, batch: StagedBatch): void {
    const { shape } = this.#content;
    const staging = this.#stagedBytes(batch);
    for (let row = batch.rowFrom; row < batch.rowTo; row++) {
      const epoch = Math.floor(row / shape.epochRows);
      if (this.#content.isSkipped(epoch)) {
        if (!isMarked(batch, epoch - batch.firstEpoch)) this.#wrong(`${name}: epoch ${epoch} is not marked as skipped`);
        continue;
      }
      const from = (row - batch.firstEpoch * shape.epochRows) * shape.shardsPerRow;
      const bytes = staging.slice(from, from + shape.shardsPerRow);
      const expected = Uint8Array.from(bytes, (_, s) => this.#content.chunk(epoch, s)[row % shape.epochRows]);
      if (!sameBytes(bytes, expected)) this.#wrong(`${name}: row ${row} holds ${bytes}, not ${expected}`);
    }
    if (batch.rowTo <= batch.rowFrom) this.#wrong(`${name} of no rows`);
  }

  /** The slot from the first byte of the batch on. */
  #stagedBytes({ stagingIndex, stagingEpoch }: StagedBatch): Uint8Array {
    const { epochRows, shardsPerRow } = this.#content.shape;
    return this.#memory.staging[stagingIndex].subarray(stagingEpoch * epochRows * shardsPerRow);
  }

  #encode(batch: StagedBatch): void {
    const { epochRows, shardsPerRow } = this.#content.shape;
    const { chunkStrideBytes } = this.#memory.outputLayout;
    const staging = this.#stagedBytes(batch);
    const output = this.#memory.output[batch.outputIndex];
    const sizes = this.#memory.sizes[batch.outputIndex].fill(0);
    const offsets = this.#memory.offsets[batch.outputIndex];
    for (let e = 0; e < batch.epochCount; e++) {
      for (let s = 0; s < shardsPerRow; s++) {
        const task = e * shardsPerRow + s;
        offsets[task] = task * chunkStrideBytes;
        sizes[task] = isMarked(batch, e) ? 0 : epochRows;
        for (let i = 0; i < epochRows; i++) {
          const row = (batch.firstEpoch + e) * epochRows + i;
          output[offsets[task] + i] = row < batch.rowTo ? staging[(e * epochRows + i) * shardsPerRow + s] : 0;
        }
      }
    }
  }

  #countEncoded(): void {
    // Skipped rows may have come in a batch, or beside all batches.
    for (;;) {
      const before = this.encodedRows;
      const to = this.#encoded.get(before) ?? before;
      this.encodedRows = this.#content.withSkipped(Math.max(before, to));
      if (this.encodedRows === before) return;
    }
  }

  #wrong(what: string): void {
    this.#control.problems.push(`backend: ${what}`);
  }
}

function isMarked(batch: StagedBatch, epochInBatch: number): boolean {
  const marks = batch.skippedEpochs;
  return marks !== undefined && (marks[epochInBatch >> 3] & (1 << (epochInBatch & 7))) !== 0;
}
