import { isJsonObject, type JsonObject } from "../base/json.js";
import { forEachLimited } from "../base/limited.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { checkSignal, optionsObject } from "../base/option_values.js";
import { reportAbort } from "../base/report_abort.js";
import { memberKey, parseChunkKey } from "../zarr/chunk_key.js";
import { arrayLayout } from "./array_layout.js";
import { type LeftWriter, LeftWriters } from "./left_writer.js";
import { type StoreTarget, withStore } from "./open_store.js";
import type { StoreReader } from "./store_reader.js";
import { type FoundArray, walkStore } from "./walk.js";

/** One dimension of an {@link InspectedArray}. */
export interface InspectedDimension {
  /** Its name; null where the store has none. */
  readonly name: string | null;
  /** Elements. */
  readonly size: number;
  /** Elements of a chunk. */
  readonly chunk: number;
  /** Undefined where there are no shards. */
  readonly shard: number | undefined;
  /** As the writer has put it into the attributes, under "millrace"; absent where it said nothing. */
  readonly unit?: string;
  /** Units from one element to the next; as `unit`. */
  readonly scale?: number;
}

/** Geometry, codecs and sizes of one array. */
export interface InspectedArray {
  /** Node in the store; "" is the root. For a multiscale image the level. */
  readonly path: string;
  /** Element type. */
  readonly dtype: string;
  /** Slowest first. */
  readonly dimensions: readonly InspectedDimension[];
  /** Compressors as zarr.json holds them, in the order of encoding; empty: none. */
  readonly codecs: readonly { readonly name: string; readonly configuration?: JsonObject }[];
  /** As zarr.json holds them. */
  readonly attributes: JsonObject;
  /** JSON text of the fill value. */
  readonly fillValue: string;
  /** Bytes of a decoded chunk. */
  readonly chunkBytes: number;
  /** Chunks of a shard; 1 where there are no shards. */
  readonly chunksPerShard: number;
  /** Shards (chunks, where there are no shards) that are there, and how many the shape has room for. */
  readonly objects: number;
  /** Shards (chunks, where there are no shards) that the shape has room for. */
  readonly objectsExpected: number;
  /** Bytes of the objects, indexes included. */
  readonly bytesStored: number;
  /** Bytes of all elements of the shape. */
  readonly bytesRaw: number;
  /** bytesRaw / bytesStored; undefined when nothing is stored. Chunks that are not stored make it larger. */
  readonly ratio: number | undefined;
}

/** What {@link inspectStore} answers. */
export interface InspectReport {
  /** The store, for messages. */
  readonly location: string;
  /** Paths of the groups; "" is the root. */
  readonly groups: readonly string[];
  /** The arrays, sorted by path. */
  readonly arrays: readonly InspectedArray[];
  /** Nodes whose zarr.json does not read. */
  readonly broken: readonly { readonly path: string; readonly message: string }[];
  /** Writers that have the store, or a store inside it, open, or have crashed; sorted by path. */
  readonly writers: readonly LeftWriter[];
}

/** Markers looked for at once. */
const LOOKS_AT_ONCE = 8;

/**
 * Geometry, codecs and sizes of every array in a store. Reads metadata and lists objects; opens no shard.
 * @param target a folder, a file: URL, `s3://bucket/prefix`, a Map of objects, or a reader
 * @throws MillraceError STORE_NOT_FOUND when there is no zarr.json at all, STORE_UNSUPPORTED beyond Millrace's limits,
 *   CALL_ABORTED with the signal's reason as its cause, or what the store rejects with
 */
export async function inspectStore(
  target: StoreTarget,
  options: { readonly signal?: AbortSignal } = {},
): Promise<InspectReport> {
  optionsObject("inspectStore", options);
  checkSignal(options.signal);
  const { signal } = options;
  return await reportAbort("inspectStore", signal, () => withStore(target, (store) => inspectOpened(store, signal)));
}

async function inspectOpened(store: StoreReader, signal: AbortSignal | undefined): Promise<InspectReport> {
  const { arrays, groups, broken } = await walkStore(store, signal);
  const inspected: InspectedArray[] = [];
  for (const array of arrays) inspected.push(await inspectArray(store, array, signal));
  const paths = [...arrays, ...groups, ...broken].map(({ path }) => path);
  const writers = new LeftWriters(store);
  await forEachLimited(paths, LOOKS_AT_ONCE, async (path) => {
    signal?.throwIfAborted();
    await writers.nearest([path]);
  });
  if (writers.failures.length > 0) throw writers.failures[0];
  return {
    location: store.location,
    groups: groups.map(({ path }) => path),
    arrays: inspected,
    broken: broken.map(({ path, error }) => ({ path, message: error.message })),
    writers: await writers.found(),
  };
}

async function inspectArray(
  store: StoreReader,
  { path, metadata }: FoundArray,
  signal: AbortSignal | undefined,
): Promise<InspectedArray> {
  const layout = arrayLayout(metadata, memberKey(path, METADATA_NAME));
  let objects = 0;
  let bytesStored = 0;
  for await (const { key, size } of store.list(path)) {
    signal?.throwIfAborted();
    const relative = path === "" ? key : key.slice(path.length + 1);
    if (parseChunkKey(relative, metadata.shape.length, metadata.keyEncoding) === undefined) continue;
    objects++;
    bytesStored += size;
  }
  // Not product(): a size beyond 2^53 is a number to show, not an error.
  const bytesRaw = metadata.shape.reduce((n, size) => n * size, layout.itemBytes);
  return {
    path,
    dtype: metadata.dtype,
    dimensions: metadata.shape.map((size, d) => ({
      name: metadata.dimensionNames?.[d] ?? null,
      size,
      chunk: metadata.chunk[d],
      shard: metadata.shard?.[d],
      ...described(metadata.attributes, d),
    })),
    attributes: metadata.attributes,
    codecs: metadata.compressors,
    fillValue: metadata.fill.json,
    chunkBytes: layout.chunkBytes,
    chunksPerShard: layout.chunksPerBlock,
    objects,
    objectsExpected: layout.blockGrid.reduce((n, count) => n * count, 1),
    bytesStored,
    bytesRaw,
    ratio: bytesStored === 0 ? undefined : bytesRaw / bytesStored,
  };
}

/** Unit and scale of dimension `d`, where a writer has noted them; whatever else lies there is for people to read. */
function described(attributes: JsonObject, d: number): Pick<InspectedDimension, "unit" | "scale"> {
  const own = attributes.millrace;
  const dimension = isJsonObject(own) && Array.isArray(own.dimensions) ? own.dimensions[d] : undefined;
  if (dimension === undefined || !isJsonObject(dimension)) return {};
  const { unit, scale } = dimension;
  return { ...(typeof unit === "string" && { unit }), ...(typeof scale === "number" && { scale }) };
}
