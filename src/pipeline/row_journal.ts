import { nowNs } from "../base/clock.js";
import { MillraceError } from "../base/errors.js";
import { crc32c } from "../codec/crc32c.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import type { Durability, JournalFile, SinkJournal } from "../handoff/sink.js";
import { CommitFrame, encodeHeader, encodeSealed } from "../journal/journal_format.js";
import { journalName } from "../journal/writer_marker.js";
import type { Counters } from "../metrics/counters.js";
import type { Ordering } from "../slots/ordering.js";

interface JournalsInit {
  readonly journal: SinkJournal;
  readonly geometry: ArrayGeometry;
  readonly durability: Durability;
  /** Records of the largest commit. */
  readonly chunksPerBatch: number;
  readonly counters: Counters;
  readonly order: Ordering;
  /** A journal that is not needed any more could not be removed. */
  readonly onWarning: (message: string) => void;
}

/**
 * The journals of a stream, one a row of shards: each says which chunks of its row are with the sink, and where, so
 * that recovery can tell them from what a crash has torn. Rows are opened in order, and removed in order once the
 * published shape covers them. Delivery's thread.
 */
export class Journals {
  readonly #init: JournalsInit;
  readonly #writeId = crypto.randomUUID();
  readonly #frame: CommitFrame;
  readonly #checksum: Checksum;
  /**
   * Rows whose journals are complete and still there: [first, end). A range, so that it does not grow with the stream.
   */
  #first: number | undefined;
  #end = 0;
  #rowsPublished = 0;
  #removing: Promise<void> = Promise.resolve();

  constructor(init: JournalsInit) {
    this.#init = init;
    this.#frame = new CommitFrame(init.chunksPerBatch);
    this.#checksum = init.journal.crc32c ?? ((bytes) => crc32c(bytes));
  }

  get #durable(): boolean {
    return this.#init.durability !== "none";
  }

  /**
   * Puts the marker: before the first zarr.json, so that there is no store without it that somebody might be writing.
   */
  begin(): Promise<void> {
    return this.#init.journal.begin(this.#writeId, this.#durable);
  }

  /** Starts the journal of a row, before the row's first shard is opened. */
  async openRow(row: number): Promise<RowJournal> {
    const { journal, geometry: g, durability } = this.#init;
    const file = await journal.open(journalName(row));
    const { shardsPerRow, chunksPerShard, epochsPerShard, epochRows } = g;
    const shape = { shardsPerRow, chunksPerShard, epochsPerShard, epochRows };
    const header = encodeHeader({ writeId: this.#writeId, array: "", row, ...shape, durability });
    await file.append(header, false);
    return new RowJournal(file, this.#frame, this.#checksum, this.#init);
  }

  /** A row's journal is complete and closed. */
  sealed(row: number): void {
    this.#first ??= row;
    this.#end = row + 1;
    this.#sweep();
  }

  /** The rows that come next were skipped and have no journal: the next range begins behind them. */
  passedBy(): void {
    if (this.#first === this.#end) this.#first = undefined;
  }

  published(rows: number): void {
    this.#rowsPublished = rows;
    this.#sweep();
  }

  /** Removals that are on their way have ended. */
  settled(): Promise<void> {
    return this.#removing;
  }

  /** The stream has ended well: nothing is left to be recovered. */
  async clear(): Promise<void> {
    await this.#removing;
    await this.#init.journal.clear(this.#durable);
  }

  /** JOURNAL_UNTIL_PUBLISHED: until then a row's journal is all that says that the row is whole. */
  #sweep(): void {
    const { geometry: g, order, journal, onWarning } = this.#init;
    const rowsPerShard = g.epochsPerShard * g.epochRows;
    const isCovered = (row: number): boolean =>
      (row + 1) * rowsPerShard <= this.#rowsPublished || !order.enforced("JOURNAL_UNTIL_PUBLISHED");
    for (; this.#first !== undefined && this.#first < this.#end && isCovered(this.#first); this.#first++) {
      const name = journalName(this.#first);
      // It does no harm, and clear() tries again: no reason to end the stream.
      const warn = (error: unknown): void => onWarning(error instanceof Error ? error.message : String(error));
      this.#removing = this.#removing.then(() => journal.remove(name)).catch(warn);
    }
  }
}

type Checksum = (bytes: Uint8Array) => number;

/** The journal of one row of shards while it fills. */
export class RowJournal {
  readonly #file: JournalFile;
  readonly #frame: CommitFrame;
  readonly #checksum: Checksum;
  readonly #counters: Counters;
  readonly #durability: Durability;

  constructor(
    file: JournalFile,
    frame: CommitFrame,
    checksum: Checksum,
    init: { readonly counters: Counters; readonly durability: Durability },
  ) {
    this.#file = file;
    this.#frame = frame;
    this.#checksum = checksum;
    this.#counters = init.counters;
    this.#durability = init.durability;
  }

  /** Enters a chunk that is on its way to its shard; it counts with the next commit. */
  enter(shard: number, entry: number, offset: number, chunk: Uint8Array): void {
    this.#frame.add({ shard, entry, offset, nbytes: chunk.byteLength, crc: this.#checksum(chunk) });
  }

  /**
   * Everything entered is with the sink, and completes these epochs, counted in the row. At durability "batch" it
   * survives a power cut once this resolves.
   */
  async commit(firstEpoch: number, epochCount: number, rowTo: number): Promise<void> {
    await this.#append(this.#frame.finish(firstEpoch, epochCount, rowTo), this.#durability === "batch");
  }

  /**
   * Every shard of the row is sealed. At durability "shard" this is what makes its commits survive a power cut; at
   * "batch" they do already, and recovery keeps the same rows without the seal.
   */
  async seal(rowTo: number): Promise<void> {
    await this.#append(encodeSealed(rowTo), this.#durability === "shard");
    await this.#file.close();
  }

  async #append(bytes: Uint8Array, durable: boolean): Promise<void> {
    const from = nowNs();
    await this.#file.append(bytes, durable);
    this.#counters.add("journalNs", nowNs() - from);
    this.#counters.add("journalCount", 1);
    this.#counters.add("journalBytes", bytes.byteLength);
  }
}

export function journalNeeded(kind: string, location: string): MillraceError {
  return new MillraceError("INVALID_OPTION", `durability "batch" requires a sink with a journal; ${kind} has none.`, {
    context: { option: "durability", given: "batch", sink: kind, location },
    hint: 'Use fileSink, or durability "shard".',
  });
}
