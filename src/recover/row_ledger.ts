import { MillraceError } from "../base/errors.js";
import { isCount } from "../base/integers.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { indexEntriesPerEpoch } from "../geometry/chunk_grid.js";
import type { ChunkRecord } from "../journal/journal_format.js";
import { type Journal, readJournal } from "../journal/read_journal.js";
import { journalKey } from "../journal/writer_marker.js";
import { ShardIndex } from "../zarr/shard_index.js";

/** One chunk of a shard, as the journal tells it. */
export interface LedgerChunk extends Omit<ChunkRecord, "shard"> {
  /** Counted in the row of shards. */
  readonly epoch: number;
}

/**
 * What the journal of a row of shards says, checked against the array: chunks of a shard lie in epoch order, one behind
 * the other. "Epochs" are counted in the row, "rows" are rows of elements. Holds every record of the row.
 */
export class RowLedger {
  readonly row: number;
  readonly journal: Journal;
  readonly #g: ArrayGeometry;
  readonly #chunks: readonly LedgerChunk[][];

  /**
   * @param writeId the marker's; undefined: the marker cannot be read, and any stream's journal will do
   * @throws MillraceError STORE_CORRUPT for a journal of another stream or array, or one that contradicts itself
   */
  constructor(row: number, bytes: Uint8Array, g: ArrayGeometry, writeId: string | undefined) {
    this.row = row;
    this.#g = g;
    this.journal = readJournal(bytes);
    this.#checkHeader(writeId);
    this.#chunks = this.#readChunks();
  }

  get epochCount(): number {
    return this.journal.epochCount;
  }

  /** Chunks of shard `s` in the order of their bytes. */
  chunksOf(s: number): readonly LedgerChunk[] {
    return this.#chunks[s];
  }

  /** Length of the append dimension if the array ends behind so many epochs of this row. */
  rowsAt(epochs: number): number {
    const { epochsPerShard, epochRows } = this.#g;
    const end = (this.row * epochsPerShard + epochs) * epochRows;
    const commit = this.journal.commits.find(({ firstEpoch, epochCount }) => firstEpoch + epochCount >= epochs);
    return epochs === 0 || commit === undefined ? end : Math.min(end, commit.rowTo);
  }

  /** Rows that all its commits reach up to. */
  get rowsCommitted(): number {
    return this.rowsAt(this.epochCount);
  }

  /**
   * Epochs that the writer has promised, whatever happens: those of a sealed row, and at durability "batch" those of
   * every commit that was followed by another one. Of the last commit nobody can tell whether its bytes were to be on
   * the medium yet.
   * @param isFollowed a later row of shards has commits
   */
  promisedEpochs(isFollowed: boolean): number {
    const { header, commits, sealedRowTo } = this.journal;
    if (sealedRowTo !== undefined) return this.epochCount;
    if (header?.durability !== "batch") return 0;
    return isFollowed ? this.epochCount : (commits.at(-1)?.firstEpoch ?? 0);
  }

  /** The end of shard `s`, and its index, when so many epochs are kept. Undefined: none of its chunks is among them. */
  shardOf(s: number, epochs: number): { readonly dataBytes: number; readonly index: Uint8Array } | undefined {
    const index = new ShardIndex(this.#g.chunksPerShard);
    let dataBytes = 0;
    for (const { epoch, entry, offset, nbytes } of this.#chunks[s]) {
      if (epoch >= epochs) break;
      index.set(entry, offset, nbytes);
      dataBytes = offset + nbytes;
    }
    return dataBytes === 0 ? undefined : { dataBytes, index: index.encode() };
  }

  #checkHeader(writeId: string | undefined): void {
    const { header } = this.journal;
    if (header === undefined) return;
    const g = this.#g;
    const wanted = {
      array: "",
      row: this.row,
      shardsPerRow: g.shardsPerRow,
      chunksPerShard: g.chunksPerShard,
      epochsPerShard: g.epochsPerShard,
      epochRows: g.epochRows,
      ...(writeId === undefined ? {} : { writeId }),
    };
    for (const [name, value] of Object.entries(wanted)) {
      const found = header[name as keyof typeof header];
      if (found !== value) this.#fail(`its ${name} is ${JSON.stringify(found)}, the store's ${JSON.stringify(value)}`);
    }
  }

  #readChunks(): LedgerChunk[][] {
    const { shardsPerRow, chunksPerShard, epochsPerShard } = this.#g;
    const entriesPerEpoch = indexEntriesPerEpoch(this.#g);
    const chunks: LedgerChunk[][] = Array.from({ length: shardsPerRow }, () => []);
    if (this.epochCount > epochsPerShard) this.#fail(`it has ${this.epochCount} epochs`);
    for (const commit of this.journal.commits) {
      for (let i = 0; i < commit.recordCount; i++) {
        const { shard, entry, offset, nbytes, crc } = commit.record(i);
        const before = chunks[shard]?.at(-1);
        const epoch = Math.floor(entry / entriesPerEpoch);
        const isInCommit = epoch >= commit.firstEpoch && epoch < commit.firstEpoch + commit.epochCount;
        const isBehind = offset === (before === undefined ? 0 : before.offset + before.nbytes);
        const isInOrder = entry < chunksPerShard && entry > (before?.entry ?? -1);
        if (shard >= shardsPerRow || !isInCommit || !isInOrder || !isBehind || nbytes === 0 || !isCount(offset)) {
          this.#fail(`chunk ${entry} of shard ${shard} is not where it can be`);
        }
        chunks[shard].push({ entry, epoch, offset, nbytes, crc });
      }
    }
    return chunks;
  }

  #fail(what: string): never {
    const key = journalKey(this.row);
    throw new MillraceError("STORE_CORRUPT", `${key} does not belong to this store: ${what}.`, {
      context: { key },
      hint:
        "Nothing was changed. Look who has put it there; a copy of the store with that file taken away " +
        "can be recovered.",
    });
  }
}
