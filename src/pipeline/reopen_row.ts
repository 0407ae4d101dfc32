import { MillraceError } from "../base/errors.js";
import { forEachLimited } from "../base/limited.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { indexEntriesPerEpoch } from "../geometry/chunk_grid.js";
import type { Sink, StoredObjects } from "../handoff/sink.js";
import { readShardIndex, type ShardIndex, shardIndexBytes } from "../zarr/shard_index.js";
import type { ResumeFrom } from "./messages.js";
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
  await forEachLimited(shards, SHARDS_AT_ONCE, async (s) => {
    if (stopped()) return;
    const key = row.keyOf(s);
    const index = await oldIndex(stored, key, g.chunksPerShard);
    // Skipped whole so far: it is opened with its first chunk, as ever.
    if (index === undefined) return;
    // Also where nothing is kept: what lies there must not outlive this row.
    const shard = await row.reopen(s);
    await copyChunks(stored, index, keepEntries, shard, stopped);
  });
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
  stopped: () => boolean,
): Promise<void> {
  for (const { from, to } of enterChunks(index, keepEntries, shard)) {
    for (let at = from; at < to; at += PIECE_BYTES) {
      if (stopped()) return;
      const length = Math.min(PIECE_BYTES, to - at);
      const piece = await stored.getRange(shard.key, at, length);
      if (piece?.byteLength !== length) throw changed(shard.key);
      await shard.handle.write([piece]);
    }
  }
}

/** Enters the kept chunks into the new index and returns where they lie in the old shard, neighbours joined. */
function enterChunks(index: ShardIndex, keepEntries: number, shard: OpenShard): { from: number; to: number }[] {
  const runs: { from: number; to: number }[] = [];
  for (let entry = 0; entry < keepEntries; entry++) {
    const range = index.get(entry);
    if (range === undefined) continue;
    const { offset, nbytes } = range;
    shard.index.set(entry, shard.offset, nbytes);
    shard.offset += nbytes;
    const last = runs.at(-1);
    if (last?.to === offset) last.to += nbytes;
    else runs.push({ from: offset, to: offset + nbytes });
  }
  return runs;
}

function changed(key: string): MillraceError {
  return new MillraceError("STORE_READ_FAILED", `${key} was changed while it was copied.`, {
    context: { key },
    hint: "Another program writes to this store: end it, then resume again.",
  });
}
