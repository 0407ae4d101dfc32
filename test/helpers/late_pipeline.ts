import { crc32c } from "../../src/codec/crc32c.js";
import type { Backend, StagedBatch } from "../../src/handoff/backend.js";
import type { JournalFile, ShardHandle, Sink, SinkJournal, SinkSpec } from "../../src/handoff/sink.js";
import { type Journal, readJournal } from "../../src/journal/read_journal.js";
import { parseJournalName } from "../../src/journal/writer_marker.js";

/**
 * Neighbours that use every freedom their contracts give them, as late as they may: a backend that reads staging late
 * and finishes batches out of order, a sink that reads the lent memory at the very end of a write. What a pipeline gets
 * wrong in its ordering shows as wrong bytes.
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

  async kick(batch: StagedBatch): Promise<void> {
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

/**
 * A journal that takes its time, too, and checks what the rules promise about it: that a commit names chunks whose
 * bytes have settled, and that none is removed before its rows are published.
 */
class LateJournal implements SinkJournal {
  readonly files = new Map<string, Uint8Array>();
  /** Bytes of shards that have settled, by row and shard. Four of four rows each, as in RULE_ARRAY. */
  readonly settled = new Map<string, Uint8Array[]>();
  readonly complaints: string[] = [];
  /** Rows of shards whose journals said that they are sealed. */
  readonly sealed = new Set<number>();
  rowsPublished = 0;

  constructor(private readonly ms: number) {}

  async begin(): Promise<void> {}

  async open(name: string): Promise<JournalFile> {
    const row = parseJournalName(name) as number;
    let overlaps = 0;
    this.files.set(name, new Uint8Array(0));
    return {
      append: async (bytes) => {
        if (overlaps++ > 0) this.complaints.push(`appends to ${name} overlap`);
        const atCall = this.#joined(name, bytes);
        this.#checkCommits(row, readJournal(atCall));
        await after(this.ms);
        const joined = this.#joined(name, bytes);
        if (Buffer.compare(joined, atCall) !== 0) this.complaints.push(`${name} changed while it was written`);
        this.files.set(name, joined);
        if (readJournal(joined).sealedRowTo !== undefined) this.sealed.add(row);
        overlaps--;
      },
      close: async () => {},
    };
  }

  async remove(name: string): Promise<void> {
    const row = parseJournalName(name) as number;
    if (this.rowsPublished < 4 * (row + 1)) this.complaints.push(`${name} was removed at ${this.rowsPublished} rows`);
    this.files.delete(name);
  }

  async clear(): Promise<void> {
    this.files.clear();
  }

  published(rows: number): void {
    this.rowsPublished = rows;
    for (let row = 0; row < rows / 4; row++) {
      if (!this.sealed.has(row)) this.complaints.push(`${rows} rows were published before row ${row} was sealed`);
    }
  }

  #joined(name: string, bytes: Uint8Array): Uint8Array {
    return new Uint8Array(Buffer.concat([this.files.get(name)!, bytes]));
  }

  #checkCommits(row: number, { commits, sealedRowTo }: Journal): void {
    // Sealing is checked elsewhere: by then the shards are forgotten here.
    const last = commits.at(-1);
    if (last === undefined || sealedRowTo !== undefined) return;
    // Every chunk of these shapes is there.
    if (last.recordCount !== last.epochCount * 9) this.complaints.push(`a commit names ${last.recordCount} chunks`);
    for (let i = 0; i < last.recordCount; i++) {
      const { shard, offset, nbytes, crc } = last.record(i);
      const bytes = Buffer.concat(this.settled.get(`c/${row}/${shard >> 1}/${shard & 1}`) ?? []);
      const chunk = bytes.subarray(offset, offset + nbytes);
      if (crc32c(chunk) !== crc) this.complaints.push(`a commit of row ${row} names bytes that are not there`);
    }
  }
}

export class LateSink implements Sink {
  readonly kind = "late";
  readonly location = "late";
  readonly files = new Map<string, Uint8Array>();
  /** Rows that zarr.json covered at some time, and shards visible at that time. */
  readonly published: { readonly rows: number; readonly shards: readonly string[] }[] = [];
  readonly #writeMs: number;
  readonly #sealMs: number;
  readonly journal: LateJournal;
  /**
   * Asked when a write begins; what it returns says whether the write has waited long enough, before its time has
   * passed.
   */
  lateEnough: () => () => boolean = () => () => false;

  constructor(writeMs = 8, sealMs = writeMs) {
    this.#writeMs = writeMs;
    this.#sealMs = sealMs;
    // Sooner than a seal, or it would hide that nobody waits for one.
    this.journal = new LateJournal(sealMs / 4);
  }

  async open(): Promise<void> {}

  async openShard(key: string): Promise<ShardHandle> {
    const parts: Uint8Array[] = [];
    this.journal.settled.set(key, parts);
    return {
      sync: () => after(this.#sealMs),
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
      this.journal.published(shape[0]);
    }
    this.files.set(key, bytes.slice());
  }

  async close(): Promise<void> {}

  spec(): SinkSpec {
    return { kind: this.kind, location: this.location, options: {}, memoryBytes: () => 0, instance: this };
  }
}
