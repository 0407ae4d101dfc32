import { MillraceError } from "../base/errors.js";
import { forEachLimited } from "../base/limited.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { indexEntriesPerEpoch } from "../geometry/chunk_grid.js";
import type { Sink, StoredObjects } from "../handoff/sink.js";
import { type ChunkRange, readShardIndex, type ShardIndex, shardIndexBytes } from "../zarr/shard_index.js";
import type { ResumeFrom } from "./messages.js";
import type { OpenShard, ShardRow } from "./shard_row.js";

/**
 * Memory of a copy: shards at once × bytes of a piece, or of a chunk that is larger. It is taken before the first
 * batch, while the output slots of the plan are not touched yet, so it adds nothing to the peak.
 */
const SHARDS_AT_ONCE = 4;
const PIECE_BYTES = 2 * 2 ** 20;

/**
 * That the store is still the one that was checked before the sink took it: between the two another writer may have
 * come and gone.
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

/** Copies the chunks of epochs [from, to) of the row; calls go upwards without a gap. */
type EpochCopy = (from: number, to: number) => Promise<void>;

/**
 * Begins a row of shards anew beside the shards that an earlier writer has sealed, which stay visible until the new
 * ones are. Returns what copies the chunks of whole epochs from them: the same bytes at the same places. What else they
 * hold is the last epoch, which was not full; it is encoded again.
 * @param stopped looked at between two pieces; once true the rest is left out, and the row must not be sealed
 * @throws MillraceError STORE_CORRUPT for an old shard whose index is wrong, STORE_READ_FAILED, or what the sink throws
 */
export async function openCopy(
  row: ShardRow,
  g: ArrayGeometry,
  sink: Sink,
  stopped: () => boolean,
): Promise<EpochCopy> {
  const stored = storedIn(sink);
  const shards: ShardCopy[] = [];
  const numbers = Array.from({ length: g.shardsPerRow }, (_, s) => s);
  await forEachLimited(numbers, SHARDS_AT_ONCE, async (s) => {
    if (stopped()) return;
    const index = await oldIndex(stored, row.keyOf(s), g.chunksPerShard);
    // Skipped whole so far: it is opened with its first chunk, as ever.
    if (index === undefined) return;
    // Also where nothing is kept: what lies there must not outlive this row.
    shards.push({ s, index, shard: await row.reopen(s) });
  });
  const entriesPerEpoch = indexEntriesPerEpoch(g);
  return (from, to) =>
    forEachLimited(shards, SHARDS_AT_ONCE, async (copy) => {
      for (const piece of planPieces(copy.index, from * entriesPerEpoch, to * entriesPerEpoch)) {
        if (stopped()) return;
        await copyPiece(stored, row, copy, piece);
      }
    });
}

interface ShardCopy {
  readonly s: number;
  /** Of the old shard. */
  readonly index: ShardIndex;
  readonly shard: OpenShard;
}

/** Chunks that lie side by side in the old shard, and are read together. */
interface Piece {
  readonly from: number;
  to: number;
  readonly entries: number[];
}

/**
 * In the order of entries, which is the order of delivery: the copy of Millrace's own shard is its beginning, byte for
 * byte.
 */
function planPieces(index: ShardIndex, fromEntry: number, toEntry: number): Piece[] {
  const pieces: Piece[] = [];
  for (let entry = fromEntry; entry < toEntry; entry++) {
    const range = index.get(entry);
    if (range === undefined) continue;
    const { offset, nbytes } = range;
    const last = pieces.at(-1);
    if (last?.to === offset && offset + nbytes - last.from <= PIECE_BYTES) {
      last.to += nbytes;
      last.entries.push(entry);
    } else pieces.push({ from: offset, to: offset + nbytes, entries: [entry] });
  }
  return pieces;
}

async function copyPiece(stored: StoredObjects, row: ShardRow, copy: ShardCopy, piece: Piece): Promise<void> {
  const { s, index, shard } = copy;
  const length = piece.to - piece.from;
  const bytes = await stored.getRange(shard.key, piece.from, length);
  if (bytes?.byteLength !== length) throw changed(shard.key);
  for (const entry of piece.entries) {
    const { offset, nbytes } = index.get(entry) as ChunkRange;
    const at = offset - piece.from;
    shard.index.set(entry, shard.offset, nbytes);
    row.journal?.enter(s, entry, shard.offset, bytes.subarray(at, at + nbytes));
    shard.offset += nbytes;
  }
  await row.appendCopy(shard, bytes);
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

function changed(key: string): MillraceError {
  return new MillraceError("STORE_READ_FAILED", `${key} was changed while it was copied.`, {
    context: { key },
    hint: "Another program writes to this store: end it, then resume again.",
  });
}
