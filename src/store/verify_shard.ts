import { decodeShardIndex, type ShardIndex, type ShardIndexDefect } from "../zarr/shard_index.js";
import type { CheckPool } from "./check_pool.js";
import type { WindowResult } from "./chunk_check.js";
import { type ChunkSpan, chunkSpans, wholeObject } from "./chunk_windows.js";
import { WINDOW_BYTES } from "./read_windows.js";
import { isAboutOneObject, type StoreEntry, type StoreReader } from "./store_reader.js";
import type { ArrayCheck, ObjectResult } from "./verify_array.js";
import type { VerifyBudget } from "./verify_budget.js";
import { type DefectCode, Findings } from "./verify_report.js";

export interface ObjectOutcome {
  readonly result: ObjectResult;
  readonly findings: Findings;
}

interface CheckSurroundings {
  readonly store: StoreReader;
  readonly pool: CheckPool;
  readonly budget: VerifyBudget;
  readonly signal: AbortSignal | undefined;
}

/** One object, or as much of a store as reading it takes. */
type RangeReader = Pick<StoreReader, "getRange">;

/**
 * Memory of an index for each of its bytes: as read, as it was understood, and its chunks in order, perhaps being
 * sorted.
 */
const INDEX_COPIES = 4;

/** Bytes that one lane takes for an object's windows: what it reads and what it decodes. */
function laneBytes({ layout, decodeBytes }: ArrayCheck, { size }: StoreEntry): number {
  return Math.min(size, Math.max(WINDOW_BYTES, layout.storedChunkBytesMax)) + decodeBytes;
}

/** Bytes that checking an object takes with one lane, before anything of it is read. */
export function objectBytes(array: ArrayCheck, entry: StoreEntry): number {
  const { indexBytes } = array.layout;
  // A shorter object has no index that would be read.
  return laneBytes(array, entry) + (entry.size < indexBytes ? 0 : INDEX_COPIES * indexBytes);
}

/**
 * Checks one shard, or one chunk of an array without shards. The caller has taken a lane and {@link objectBytes} for
 * it; while there are more, several of its windows are read and decoded at once.
 * @throws the signal's reason, or an error that is not about this object
 */
export async function verifyObject(
  entry: StoreEntry,
  array: ArrayCheck,
  coordinates: readonly number[],
  surroundings: CheckSurroundings,
): Promise<ObjectOutcome> {
  return await new ObjectCheck(entry, array, coordinates, surroundings).run();
}

const INDEX_DEFECTS: Readonly<Record<ShardIndexDefect["kind"], DefectCode>> = {
  length: "SHARD_LENGTH",
  checksum: "INDEX_CHECKSUM",
  half_absent: "INDEX_ENTRY",
  bounds: "INDEX_ENTRY",
  size: "CHUNK_LENGTH",
  overlap: "INDEX_OVERLAP",
};

/** Oddities of the chunks of a shard make one warning. */
interface Oddity {
  count: number;
  chunk: number;
  message: string;
}

class ObjectCheck {
  readonly #findings = new Findings();
  readonly #key: string;
  #chunksChecked = 0;
  #chunksInShape = 0;
  #bytesDecoded = 0;
  #oddHeaders: Oddity | undefined;
  #checksumAbsent: Oddity | undefined;

  constructor(
    private readonly entry: StoreEntry,
    private readonly array: ArrayCheck,
    private readonly coordinates: readonly number[],
    private readonly surroundings: CheckSurroundings,
  ) {
    this.#key = entry.key;
  }

  async run(): Promise<ObjectOutcome> {
    const { store, signal } = this.surroundings;
    try {
      const reader = this.entry.size <= WINDOW_BYTES ? await readWhole(store, this.entry) : store;
      const spans = this.array.layout.metadata.index === undefined ? this.#object() : await this.#shard(reader);
      if (spans !== undefined) await this.#checkSpans(reader, spans);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isAboutOneObject(error)) throw error;
      this.#findings.defects.add("READ", this.#key, error.message);
    }
    this.#warn("CHUNK_HEADER", this.#oddHeaders);
    this.#warn("CHECKSUM_ABSENT", this.#checksumAbsent);
    const result = {
      chunksChecked: this.#chunksChecked,
      chunksInShape: this.#chunksInShape,
      bytesDecoded: this.#bytesDecoded,
    };
    return { result, findings: this.#findings };
  }

  #warn(code: "CHUNK_HEADER" | "CHECKSUM_ABSENT", oddity: Oddity | undefined): void {
    if (oddity === undefined) return;
    const { count, chunk, message } = oddity;
    const text = count === 1 ? message : `${message} (and ${count - 1} more chunks of this object)`;
    this.#findings.warnings.add(code, this.#key, text, this.#place(chunk));
  }

  /** Where a chunk stands. The number in its shard has no meaning where there are no shards. */
  #place(chunk: number) {
    const coordinates = this.array.chunkCoordinates(this.coordinates, chunk);
    return this.array.layout.metadata.index === undefined ? { coordinates } : { chunk, coordinates };
  }

  /** An array without shards. */
  #object(): Iterable<ChunkSpan> | undefined {
    const { size } = this.entry;
    const { chunkBytes, storedChunkBytesMax } = this.array.layout;
    this.#chunksChecked = 1;
    this.#chunksInShape = this.array.dimensionsOutside(this.coordinates).length === 0 ? 1 : 0;
    if (size > 0 && size <= storedChunkBytesMax) return [wholeObject(size)];
    const message = `the chunk takes ${size} bytes, decoded it has ${chunkBytes}`;
    this.#findings.defects.add("CHUNK_LENGTH", this.#key, message, { ...this.#place(0), offset: 0, length: size });
    return undefined;
  }

  /** Reads and checks the index; undefined when there is nothing to go by. */
  async #shard(reader: RangeReader): Promise<Iterable<ChunkSpan> | undefined> {
    const { indexBytes, chunksPerBlock, chunkBytes, storedChunkBytesMax, metadata } = this.array.layout;
    const { location, checksum } = metadata.index!;
    const { size } = this.entry;
    const { defects } = this.#findings;
    if (size < indexBytes) {
      const message = `the shard has ${size} bytes, its index alone has ${indexBytes}`;
      defects.add("SHARD_LENGTH", this.#key, message, { offset: 0, length: size });
      return undefined;
    }
    const at = { offset: location === "start" ? 0 : size - indexBytes, length: indexBytes };
    const bytes = await reader.getRange(this.#key, at.offset, at.length);
    if (bytes?.length !== at.length) {
      defects.add("READ", this.#key, "the shard changed, or went away, while it was read", at);
      return undefined;
    }
    const decoded = decodeShardIndex(bytes, {
      chunkCount: chunksPerBlock,
      objectBytes: size,
      location,
      checksum,
      exactChunkBytes: metadata.compressors.length === 0 ? chunkBytes : undefined,
    });
    for (const { kind, chunk, message, range } of decoded.defects) {
      const place =
        chunk === undefined
          ? at
          : { ...this.#place(chunk), ...(range && { offset: range.offset, length: range.nbytes }) };
      defects.add(INDEX_DEFECTS[kind], this.#key, message, place);
    }
    defects.addUnlisted(decoded.defectCount - decoded.defects.length);
    const { index, order } = decoded;
    if (index === undefined) return undefined;
    this.#chunksChecked = order.length;
    this.#countInside(order);
    // Dropped entries leave holes of their own.
    if (decoded.defectCount === 0)
      this.#noteGaps(index, order, location === "start" ? indexBytes : 0, size - (location === "end" ? indexBytes : 0));
    return chunkSpans(index, this.#withoutHuge(index, order, storedChunkBytesMax), chunkBytes);
  }

  #countInside(order: Uint32Array): void {
    const { chunksOfBlock, chunkGrid } = this.array.layout;
    const room = chunkGrid.map((count, d) => count - this.coordinates[d] * chunksOfBlock[d]);
    let inside = order.length;
    if (room.some((count, d) => count < chunksOfBlock[d])) {
      inside = 0;
      const strides = chunksOfBlock.map((_, d) => chunksOfBlock.slice(d + 1).reduce((n, count) => n * count, 1));
      for (const chunk of order) {
        if (strides.every((stride, d) => Math.floor(chunk / stride) % chunksOfBlock[d] < room[d])) inside++;
      }
    }
    this.#chunksInShape = inside;
    // Of an object that lies outside as a whole there is a finding already.
    if (inside === order.length || this.array.dimensionsOutside(this.coordinates).length > 0) return;
    this.#findings.notes.add("CHUNK_OUTSIDE", this.#key, `${order.length - inside} chunks lie outside the shape`);
  }

  #noteGaps(index: ShardIndex, order: Uint32Array, from: number, to: number): void {
    let at = from;
    let count = 0;
    let bytes = 0;
    let first: { offset: number; length: number } | undefined;
    const gap = (end: number): void => {
      if (end === at) return;
      count++;
      bytes += end - at;
      first ??= { offset: at, length: end - at };
    };
    for (const chunk of order) {
      const { offset, nbytes } = index.get(chunk)!;
      gap(offset);
      at = offset + nbytes;
    }
    gap(to);
    if (first === undefined) return;
    const where = count === 1 ? "in one run" : `in ${count} runs`;
    const message = `${bytes} of ${this.entry.size} bytes belong to no chunk, ${where} from ${first.offset}`;
    this.#findings.notes.add("GAP", this.#key, message, first);
  }

  /** Reports chunks that are too long to be any, and leaves them out. */
  #withoutHuge(index: ShardIndex, order: Uint32Array, most: number): Uint32Array {
    const { chunkBytes } = this.array.layout;
    let kept = 0;
    for (const chunk of order) {
      const { offset, nbytes } = index.get(chunk)!;
      if (nbytes <= most) {
        order[kept++] = chunk;
        continue;
      }
      const message = `the chunk takes ${nbytes} bytes, decoded it has ${chunkBytes}`;
      this.#findings.defects.add("CHUNK_LENGTH", this.#key, message, { ...this.#place(chunk), offset, length: nbytes });
    }
    return order.subarray(0, kept);
  }

  /** Reads and decodes every span, in as many lanes as are free. What is found is told in the order of spans. */
  async #checkSpans(reader: RangeReader, spans: Iterable<ChunkSpan>): Promise<void> {
    const { budget, pool, signal } = this.surroundings;
    const stopped = () => signal?.aborted === true || failed;
    const iterator = spans[Symbol.iterator]();
    const bytesOfLane = laneBytes(this.array, this.entry);
    const done = new Map<number, () => void>();
    let taken = 0;
    let told = 0;
    let exhausted = false;
    let failed = false;
    let failure: unknown;

    const lane = async (): Promise<void> => {
      for (;;) {
        if (stopped()) return;
        const next = iterator.next();
        if (next.done) {
          exhausted = true;
          return;
        }
        const span = next.value;
        const number = taken++;
        const bytes = await reader.getRange(this.#key, span.offset, span.nbytes);
        if (stopped()) return;
        if (bytes?.length !== span.nbytes) {
          done.set(number, () => {
            const message = "the object changed, or went away, while it was read";
            this.#findings.defects.add("READ", this.#key, message, { offset: span.offset, length: span.nbytes });
          });
        } else {
          const { chunks, starts, lengths } = span;
          const result = await pool.check(this.array, { bytes, chunks, starts, lengths }, stopped);
          done.set(number, () => this.#tell(span, result));
        }
        for (let tell = done.get(told); tell !== undefined; tell = done.get(++told)) {
          done.delete(told);
          tell();
        }
      }
    };
    const lanes: Promise<void>[] = [];
    const guarded = (giveBack: boolean): Promise<void> =>
      lane()
        .catch((error: unknown) => {
          if (!failed) failure = error;
          failed = true;
        })
        .finally(() => {
          if (giveBack) budget.give(bytesOfLane);
        });
    lanes.push(guarded(false));
    while (!exhausted && !failed && budget.tryTake(bytesOfLane)) lanes.push(guarded(true));
    for (const running of lanes) await running;
    signal?.throwIfAborted();
    if (failed) throw failure;
  }

  #tell(span: ChunkSpan, { bytesDecoded, bad, oddHeaders, checksumAbsent }: WindowResult): void {
    this.#bytesDecoded += bytesDecoded;
    for (const { at, code, message } of bad) {
      const place = { offset: span.offset + span.starts[at], length: span.lengths[at] };
      this.#findings.defects.add(code, this.#key, message, { ...this.#place(span.chunks[at]), ...place });
    }
    const joined = (before: Oddity | undefined, found: WindowResult["oddHeaders"]): Oddity | undefined => {
      if (found === undefined) return before;
      const { count, at, message } = found;
      return before === undefined
        ? { count, chunk: span.chunks[at], message }
        : { ...before, count: before.count + count };
    };
    this.#oddHeaders = joined(this.#oddHeaders, oddHeaders);
    this.#checksumAbsent = joined(this.#checksumAbsent, checksumAbsent);
  }
}

/** A small object by one read: its index and its chunks are two otherwise, and each is a round trip. */
async function readWhole(store: StoreReader, { key, size }: StoreEntry): Promise<RangeReader> {
  const bytes = await store.getRange(key, 0, size);
  return { getRange: async (_key, offset, length) => bytes?.subarray(offset, offset + length) };
}
