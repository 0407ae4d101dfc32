import { MillraceError } from "../base/errors.js";
import { forEachLimited } from "../base/limited.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { indexEntriesPerEpoch } from "../geometry/chunk_grid.js";
import type { Sink, StoredObjects } from "../handoff/sink.js";
import type { ChunkRecord } from "../journal/journal_format.js";
import { readShardIndex, type ShardIndex, shardIndexBytes } from "../zarr/shard_index.js";
import type { ResumeFrom } from "./messages.js";
import type { RowJournal } from "./row_journal.js";
import type { OpenShard, ShardRow } from "./shard_row.js";

/**
 * Memory of a copy: shards at once × bytes of a piece. It is taken before the first batch, while the output slots of the plan are not
 * touched yet, so it adds nothing to the peak.
 */
const SHARDS_AT_ONCE = 4;
const PIECE_BYTES = 2 * 2 ** 20;

const METADATA_NAME = "zarr.json";

/**
 * That the store is still the one that was checked before the sink took it: between the two another writer may have come and gone.
 * @throws MillraceError RESUME_MISMATCH
 */
export async function checkUnchanged(sink: Sink, { metadata }: ResumeFrom): Promise<void> {
  const now = await storedIn(sink).getRange(METADATA_NAME, 0, metadata.byteLength + 1);
  if (now?.byteLength === metadata.byteLength && now.every((byte, i) => byte === metadata[i])) return;
  throw new MillraceError("RESUME_MISMATCH", `${sink.location} was changed while it was being opened.`, {
    context: { location: sink.location, key: METADATA_NAME },
    hint: "Another writer was at work: make sure that there is one at a time, then resume again.",
  });
}

/**
 * Begins a row of shards anew with the chunks that an earlier writer left in its first `keepEpochs` epochs: the same bytes at the same
 * places, index aside. What else the old shards hold is the last epoch, which was not full; it is encoded again. The old shards stay
 * visible until the new ones are sealed.
 * @param stopped looked at between two pieces; once true the rest is left out, and the row must not be sealed
 * @throws MillraceError STORE_CORRUPT for an old shard whose index is wrong, STORE_READ_FAILED, or what the sink throws
 */
export async function reopenRow(
  row: ShardRow,
  keepEpochs: number,
  g: ArrayGeometry,
  sink: Sink,
  stopped: () => boolean,
): Promise<void> {
  const stored = storedIn(sink);
  const keepEntries = keepEpochs * indexEntriesPerEpoch(g);
  const shards = Array.from({ length: g.shardsPerRow }, (_, s) => s);
  const copied: (CopiedShard | undefined)[] = new Array(g.shardsPerRow).fill(undefined);
  await forEachLimited(shards, SHARDS_AT_ONCE, async (s) => {
    if (stopped()) return;
    const key = row.keyOf(s);
    const index = await oldIndex(stored, key, g.chunksPerShard);
    // Skipped whole so far: it is opened with its first chunk, as ever.
    if (index === undefined) return;
    // Also where nothing is kept: what lies there must not outlive this row.
    const shard = await row.reopen(s);
    copied[s] = await copyChunks(stored, index, keepEntries, shard, row.journal, stopped);
  });
  if (row.journal === undefined || keepEpochs === 0 || stopped()) return;
  const rowTo = (row.row * g.epochsPerShard + keepEpochs) * g.epochRows;
  const chunkCount = copied.reduce((sum, shard) => sum + (shard?.entries.length ?? 0), 0);
  await row.journal.restore(keepEpochs, rowTo, chunkCount, recordsOf(copied));
}

/** Chunks that were copied, in the order of their bytes, for the journal. */
interface CopiedShard {
  readonly index: ShardIndex;
  readonly entries: readonly number[];
  readonly crcs: Uint32Array;
}

function* recordsOf(copied: readonly (CopiedShard | undefined)[]): Iterable<ChunkRecord> {
  for (const [s, shard] of copied.entries()) {
    for (const [i, entry] of (shard?.entries ?? []).entries()) {
      const { offset, nbytes } = shard!.index.get(entry)!;
      yield { shard: s, entry, offset, nbytes, crc: shard!.crcs[i] };
    }
  }
}

function storedIn(sink: Sink): StoredObjects {
  if (sink.stored !== undefined) return sink.stored;
  throw new MillraceError("INVALID_OPTION", `a sink of kind ${sink.kind} cannot be read, so it cannot be resumed.`, {
    context: { option: "mode", kind: sink.kind },
    hint: "A sink of your own needs `stored` for that.",
  });
}

async function oldIndex(stored: StoredObjects, key: string, chunkCount: number): Promise<ShardIndex | undefined> {
  const objectBytes = await stored.size(key);
  if (objectBytes === undefined) return undefined;
  const length = Math.min(objectBytes, shardIndexBytes(chunkCount));
  const bytes = await stored.getRange(key, objectBytes - length, length);
  if (bytes === undefined) throw changed(key);
  return readShardIndex(bytes, { chunkCount, objectBytes }, key);
}

/** In the order of entries, which is the order of delivery: the copy of Millrace's own shard is its beginning, byte for byte. */
async function copyChunks(
  stored: StoredObjects,
  index: ShardIndex,
  keepEntries: number,
  shard: OpenShard,
  journal: RowJournal | undefined,
  stopped: () => boolean,
): Promise<CopiedShard> {
  const { runs, entries } = enterChunks(index, keepEntries, shard);
  const crcs = new Uint32Array(entries.length);
  // Whose bytes come next, and how many of them have come.
  let chunk = 0;
  let bytesOfChunk = 0;
  const addChecksums = (piece: Uint8Array, to: RowJournal): void => {
    for (let at = 0; at < piece.byteLength; ) {
      const { nbytes } = shard.index.get(entries[chunk])!;
      const length = Math.min(nbytes - bytesOfChunk, piece.byteLength - at);
      crcs[chunk] = to.checksum(piece.subarray(at, at + length), crcs[chunk]);
      at += length;
      bytesOfChunk += length;
      if (bytesOfChunk < nbytes) continue;
      chunk++;
      bytesOfChunk = 0;
    }
  };
  for (const { from, to } of runs) {
    for (let at = from; at < to; at += PIECE_BYTES) {
      if (stopped()) break;
      const length = Math.min(PIECE_BYTES, to - at);
      const piece = await stored.getRange(shard.key, at, length);
      if (piece?.byteLength !== length) throw changed(shard.key);
      const written = shard.handle.write([piece]);
      if (journal !== undefined) addChecksums(piece, journal);
      await written;
    }
  }
  return { index: shard.index, entries, crcs };
}

/** Enters the kept chunks into the new index. Returns their entries, and where they lie in the old shard, neighbours joined. */
function enterChunks(
  index: ShardIndex,
  keepEntries: number,
  shard: OpenShard,
): { readonly runs: readonly { from: number; to: number }[]; readonly entries: readonly number[] } {
  const entries: number[] = [];
  const runs: { from: number; to: number }[] = [];
  for (let entry = 0; entry < keepEntries; entry++) {
    const range = index.get(entry);
    if (range === undefined) continue;
    const { offset, nbytes } = range;
    entries.push(entry);
    shard.index.set(entry, shard.offset, nbytes);
    shard.offset += nbytes;
    const last = runs.at(-1);
    if (last?.to === offset) last.to += nbytes;
    else runs.push({ from: offset, to: offset + nbytes });
  }
  return { runs, entries };
}

function changed(key: string): MillraceError {
  return new MillraceError("STORE_READ_FAILED", `${key} was changed while it was copied.`, {
    context: { key },
    hint: "Another program writes to this store: end it, then resume again.",
  });
}
