import type { ChunkDecoder } from "../codec/decode.js";
import { unravel } from "../geometry/mixed_radix.js";
import { type ChunkRange, decodeShardIndex, type ShardIndexDefect } from "../zarr/shard_index.js";
import type { ArrayLayout } from "./array_layout.js";
import { forEachLoaded, planWindows, type ReadWindow, type WantedRange, WINDOW_BYTES } from "./read_windows.js";
import { isAboutOneObject, type StoreEntry, type StoreReader } from "./store_reader.js";
import type { DefectCode, Findings, NoteCode } from "./verify_report.js";

export interface ObjectResult {
  readonly chunksChecked: number;
  readonly chunksInShape: number;
  readonly bytesDecoded: number;
}

export interface ObjectFindings {
  readonly defects: Findings<DefectCode>;
  readonly notes: Findings<NoteCode>;
  readonly signal: AbortSignal | undefined;
}

/** One object, or as much of a store as reading it takes. */
type RangeReader = Pick<StoreReader, "getRange">;

const NOTHING: ObjectResult = { chunksChecked: 0, chunksInShape: 0, bytesDecoded: 0 };

/**
 * Checks one shard, or one chunk of an array without shards. Findings carry its key.
 * @throws the signal's reason, or an error that is not about this object
 */
export async function verifyObject(
  store: StoreReader,
  entry: StoreEntry,
  layout: ArrayLayout,
  decoder: ChunkDecoder,
  coordinates: readonly number[],
  { defects, notes, signal }: ObjectFindings,
): Promise<ObjectResult> {
  const { key } = entry;
  try {
    const reader = entry.size <= WINDOW_BYTES ? await readWhole(store, entry) : store;
    const ranges =
      layout.metadata.index === undefined
        ? [{ offset: 0, nbytes: entry.size, what: 0 }]
        : await readEntries(reader, entry, layout, defects, notes);
    return await checkChunks(reader, key, layout, decoder, coordinates, ranges, { defects, notes, signal });
  } catch (error) {
    signal?.throwIfAborted();
    if (!isAboutOneObject(error)) throw error;
    defects.add("READ", key, error.message);
    return NOTHING;
  }
}

/** A small object by one read: its index and its chunks are two otherwise, and each is a round trip. */
async function readWhole(store: StoreReader, { key, size }: StoreEntry): Promise<RangeReader> {
  const bytes = await store.getRange(key, 0, size);
  return { getRange: async (_key, offset, length) => bytes?.subarray(offset, offset + length) };
}

const INDEX_DEFECTS: Readonly<Record<ShardIndexDefect["kind"], DefectCode>> = {
  length: "SHARD_LENGTH",
  checksum: "INDEX_CHECKSUM",
  half_absent: "INDEX_ENTRY",
  bounds: "INDEX_ENTRY",
  size: "CHUNK_LENGTH",
  overlap: "INDEX_OVERLAP",
};

/** The good entries of a shard's index; what is bad is reported. */
async function readEntries(
  store: RangeReader,
  { key, size }: StoreEntry,
  layout: ArrayLayout,
  defects: Findings<DefectCode>,
  notes: Findings<NoteCode>,
): Promise<WantedRange<number>[]> {
  const { indexBytes, chunksPerBlock, chunkBytes, metadata } = layout;
  const { location, checksum } = metadata.index!;
  if (size < indexBytes) {
    defects.add("SHARD_LENGTH", key, `the shard has ${size} bytes, its index alone has ${indexBytes}`);
    return [];
  }
  const bytes =
    location === "start"
      ? await store.getRange(key, 0, indexBytes)
      : await store.getRange(key, size - indexBytes, indexBytes);
  if (bytes === undefined) {
    defects.add("READ", key, "the shard went away while it was read");
    return [];
  }
  const decoded = decodeShardIndex(bytes, {
    chunkCount: chunksPerBlock,
    objectBytes: size,
    location,
    checksum,
    exactChunkBytes: metadata.compressors.length === 0 ? chunkBytes : undefined,
  });
  for (const { kind, chunk, message } of decoded.defects) defects.add(INDEX_DEFECTS[kind], key, message, chunk);
  if (decoded.index === undefined) return [];
  const ranges: WantedRange<number>[] = [];
  let used = indexBytes;
  for (let chunk = 0; chunk < chunksPerBlock; chunk++) {
    const range: ChunkRange | undefined = decoded.index.get(chunk);
    if (range === undefined) continue;
    used += range.nbytes;
    ranges.push({ ...range, what: chunk });
  }
  // Dropped entries leave holes of their own.
  if (decoded.defects.length === 0 && used < size) {
    notes.add("GAP", key, `${size - used} of ${size} bytes belong to no chunk`);
  }
  return ranges;
}

async function checkChunks(
  store: RangeReader,
  key: string,
  layout: ArrayLayout,
  decoder: ChunkDecoder,
  coordinates: readonly number[],
  ranges: readonly WantedRange<number>[],
  { defects, notes, signal }: ObjectFindings,
): Promise<ObjectResult> {
  const { chunksOfBlock, chunkGrid, chunkBytes, storedChunkBytesMax } = layout;
  const sharded = layout.metadata.index !== undefined;
  const chunkOf = (chunk: number) => (sharded ? chunk : undefined);
  let chunksInShape = 0;
  let bytesDecoded = 0;
  const wanted: WantedRange<number>[] = [];
  for (const range of ranges) {
    const inside = unravel(range.what, chunksOfBlock).every(
      (c, d) => coordinates[d] * chunksOfBlock[d] + c < chunkGrid[d],
    );
    if (inside) chunksInShape++;
    if (range.nbytes <= storedChunkBytesMax) wanted.push(range);
    else {
      const message = `the chunk takes ${range.nbytes} bytes, decoded it has ${chunkBytes}`;
      defects.add("CHUNK_LENGTH", key, message, chunkOf(range.what));
    }
  }
  const outside = ranges.length - chunksInShape;
  if (outside > 0) notes.add("OUTSIDE_SHAPE", key, `${outside} chunks lie outside the shape`);
  await forEachLoaded(
    planWindows(wanted),
    async (window: ReadWindow<number>) => {
      signal?.throwIfAborted();
      return await store.getRange(key, window.offset, window.nbytes);
    },
    async (window, bytes) => {
      for (const { offset, nbytes, what } of window.ranges) {
        const begin = offset - window.offset;
        const stored = bytes?.subarray(begin, begin + nbytes);
        if (stored?.length !== nbytes) {
          defects.add("READ", key, "the object changed while it was read", chunkOf(what));
          continue;
        }
        try {
          await decoder.decode(stored, chunkBytes);
          bytesDecoded += chunkBytes;
        } catch (error) {
          defects.add("CHUNK_DECODE", key, error instanceof Error ? error.message : String(error), chunkOf(what));
        }
      }
    },
  );
  return { chunksChecked: ranges.length, chunksInShape, bytesDecoded };
}
