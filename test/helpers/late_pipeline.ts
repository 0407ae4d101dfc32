import type { Backend, StagedBatch } from "../../src/handoff/backend.js";
import type { HostBatch } from "../../src/handoff/host_batch.js";
import type { ShardHandle, Sink, SinkSpec } from "../../src/handoff/sink.js";

/**
 * Neighbours that use every freedom their contracts give them, as late as they may: a backend that reads staging late and
 * finishes batches out of order, a sink that reads the lent memory at the very end of a write. What a pipeline gets wrong in
 * its ordering shows as wrong bytes.
 */
const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class LateBackend implements Backend {
  readonly kind = "cpu";
  readonly adapter = "late";
  readonly #inner: Backend;
  #closed = false;

  constructor(inner: Backend) {
    this.#inner = inner;
  }

  async kick(batch: StagedBatch): Promise<HostBatch> {
    await after(batch.outputGeneration % 2 === 1 ? 24 : 3);
    if (this.#closed) throw new Error("the backend was closed with a batch in flight");
    return this.#inner.kick(batch);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#inner.close();
  }
}

const STEP_MS = 10;

export class LateSink implements Sink {
  readonly kind = "late";
  readonly location = "late";
  readonly files = new Map<string, Uint8Array>();
  /** Rows that zarr.json covered at some time, and shards visible at that time. */
  readonly published: { readonly rows: number; readonly shards: readonly string[] }[] = [];
  readonly #writeMs: number;
  readonly #sealMs: number;
  /** Asked when a write begins; what it returns says whether the write has waited long enough, before its time has passed. */
  lateEnough: () => () => boolean = () => () => false;

  constructor(writeMs = 8, sealMs = writeMs) {
    this.#writeMs = writeMs;
    this.#sealMs = sealMs;
  }

  async open(): Promise<void> {}

  async openShard(key: string): Promise<ShardHandle> {
    const parts: Uint8Array[] = [];
    return {
      write: async (segments) => {
        const lateEnough = this.lateEnough();
        for (let ms = 0; ms < this.#writeMs && !lateEnough(); ms += STEP_MS)
          await after(Math.min(STEP_MS, this.#writeMs - ms));
        for (const segment of segments) parts.push(segment.slice());
      },
      seal: async (tail) => {
        await after(this.#sealMs);
        this.files.set(key, new Uint8Array(Buffer.concat([...parts, tail])));
      },
      abandon: async () => {},
    };
  }

  async putObject(key: string, bytes: Uint8Array): Promise<void> {
    if (key === "zarr.json") {
      const { shape } = JSON.parse(new TextDecoder().decode(bytes)) as { shape: number[] };
      this.published.push({ rows: shape[0], shards: [...this.files.keys()] });
    }
    this.files.set(key, bytes.slice());
  }

  async close(): Promise<void> {}

  spec(): SinkSpec {
    return { kind: this.kind, location: this.location, options: {}, memoryBytes: () => 0, instance: this };
  }
}
