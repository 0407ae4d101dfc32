import { isMillraceError } from "../base/errors.js";
import type { ChunkDecoder } from "../codec/decode.js";
import { memberKey, parseChunkKey } from "../zarr/chunk_key.js";
import { type ArrayLayout, arrayLayout, METADATA_NAME } from "./array_layout.js";
import { chunkDecoder } from "./array_reader.js";
import { type StoreTarget, withStore } from "./open_store.js";
import { isAboutOneObject, type StoreEntry, type StoreReader } from "./store_reader.js";
import { type DefectCode, Findings, type NoteCode, type VerifyReport, type WarningCode } from "./verify_report.js";
import { type ObjectResult, verifyObject } from "./verify_shard.js";
import { ancestors, walkStore } from "./walk.js";

export interface VerifyProgress {
  /** The object that was just checked. */
  readonly key: string;
  readonly objectsChecked: number;
  readonly chunksChecked: number;
  readonly bytesStored: number;
}

export interface VerifyOptions {
  readonly signal?: AbortSignal;
  /** Called after every shard. */
  readonly onProgress?: (progress: VerifyProgress) => void;
}

/**
 * Reads a whole store and checks everything that can be checked without knowing the data: metadata, and for every shard that is there the
 * index's length and crc32c, the bounds and overlaps of its entries, and that each chunk decodes to exactly one chunk, by way of any checksum in
 * its codecs. A chunk or shard that is absent is no defect, as Zarr reads it as the fill value; it is counted.
 *
 * Whatever the bytes are, it neither throws nor hangs over them, and memory is bounded by the largest chunk and index, whose sizes Millrace's
 * limits bound. Links to folders are not followed.
 *
 * @param target a folder, a file: URL, `s3://bucket/prefix`, a Map of objects, or a reader
 * @throws MillraceError STORE_NOT_FOUND when there is no zarr.json at all; S3_CLIENT_MISSING, S3_CREDENTIALS, S3_NO_BUCKET,
 *   S3_WRONG_REGION, S3_CLOCK_SKEW or S3_UNREACHABLE when the server cannot be asked at all; the signal's reason when it aborts. Anything
 *   else that cannot be read is a defect.
 */
export async function verifyStore(target: StoreTarget, options: VerifyOptions = {}): Promise<VerifyReport> {
  return await withStore(target, (store) => verifyOpened(store, options));
}

async function verifyOpened(store: StoreReader, { signal, onProgress }: VerifyOptions): Promise<VerifyReport> {
  const defects = new Findings<DefectCode>();
  const warnings = new Findings<WarningCode>();
  const notes = new Findings<NoteCode>();
  const nodes = await walkStore(store, signal);
  for (const { path, error } of nodes.broken) defects.add("METADATA", memberKey(path, METADATA_NAME), error.message);

  const arrays = new Map<string, ArrayCheck>();
  // The objects of an array whose metadata does not read are its own all the same, not strays.
  const unread = new Set<string>(nodes.broken.map(({ path }) => path));
  for (const { path, metadata } of nodes.arrays) {
    const key = memberKey(path, METADATA_NAME);
    try {
      const layout = arrayLayout(metadata, key);
      arrays.set(path, new ArrayCheck(path, layout, await chunkDecoder(metadata)));
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      defects.add("METADATA", key, error.message);
      unread.add(path);
    }
  }
  checkHierarchy(
    nodes.arrays.map(({ path }) => path),
    new Set([...nodes.groups.map(({ path }) => path), ...nodes.broken.map(({ path }) => path)]),
    nodes.groups.map(({ path }) => path),
    defects,
  );

  const total = { objectsChecked: 0, chunksChecked: 0, bytesStored: 0 };
  const known = new Set([...arrays.keys(), ...unread, ...nodes.groups.map(({ path }) => path)]);
  try {
    for await (const entry of store.list("")) {
      signal?.throwIfAborted();
      const owner = ownerOf(entry.key, arrays);
      const coordinates = owner?.coordinatesOf(entry.key);
      if (owner === undefined || coordinates === undefined) {
        classify(entry, known, unread, warnings, defects, arrays);
        continue;
      }
      const findings = { defects, notes, signal };
      const result = await verifyObject(store, entry, owner.layout, owner.decoder, coordinates, findings);
      owner.add(entry, result);
      total.objectsChecked++;
      total.chunksChecked += result.chunksChecked;
      total.bytesStored += entry.size;
      onProgress?.({ key: entry.key, ...total });
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (!isAboutOneObject(error)) throw error;
    defects.add("READ", String(error.context.key ?? ""), error.message);
  }
  return {
    ok: defects.count === 0,
    location: store.location,
    arrays: [...arrays.values()].map((array) => array.report()),
    groups: nodes.groups.map(({ path }) => path),
    defects: defects.list,
    warnings: warnings.list,
    notes: notes.list,
    unlisted: { defects: defects.unlisted, warnings: warnings.unlisted, notes: notes.unlisted },
  };
}

/** One array while its objects pass by. */
class ArrayCheck {
  #objects = 0;
  #chunks = 0;
  #chunksInShape = 0;
  #bytesStored = 0;
  #bytesDecoded = 0;

  constructor(
    readonly path: string,
    readonly layout: ArrayLayout,
    readonly decoder: ChunkDecoder,
  ) {}

  /** Undefined for a key that is none of this array's shards. */
  coordinatesOf(key: string): number[] | undefined {
    const { keyEncoding, shape } = this.layout.metadata;
    const relative = this.path === "" ? key : key.slice(this.path.length + 1);
    return parseChunkKey(relative, shape.length, keyEncoding);
  }

  add(entry: StoreEntry, result: ObjectResult): void {
    this.#objects++;
    this.#bytesStored += entry.size;
    this.#chunks += result.chunksChecked;
    this.#chunksInShape += result.chunksInShape;
    this.#bytesDecoded += result.bytesDecoded;
  }

  report(): VerifyReport["arrays"][number] {
    const { metadata, chunkGrid } = this.layout;
    const chunks = chunkGrid.reduce((n, count) => n * count, 1);
    return {
      path: this.path,
      shape: metadata.shape,
      dtype: metadata.dtype,
      codecs: this.decoder.description,
      objectsChecked: this.#objects,
      chunksChecked: this.#chunks,
      chunksMissing: chunks - this.#chunksInShape,
      bytesStored: this.#bytesStored,
      bytesDecoded: this.#bytesDecoded,
    };
  }
}

function checkHierarchy(
  arrays: readonly string[],
  present: ReadonlySet<string>,
  groups: readonly string[],
  defects: Findings<DefectCode>,
): void {
  const arrayPaths = new Set(arrays);
  const reported = new Set<string>();
  for (const path of [...arrays, ...groups]) {
    for (const above of ancestors(path)) {
      const key = memberKey(above, METADATA_NAME);
      if (arrayPaths.has(above)) {
        defects.add(
          "NODE_BELOW_ARRAY",
          memberKey(path, METADATA_NAME),
          `lies below the array ${JSON.stringify(above)}`,
        );
      } else if (!present.has(above) && !reported.has(above)) {
        reported.add(above);
        defects.add("METADATA_MISSING", key, `${JSON.stringify(path)} is a node, but there is no group above it`);
      }
    }
  }
}

function ownerOf(key: string, arrays: ReadonlyMap<string, ArrayCheck>): ArrayCheck | undefined {
  for (const path of ancestors(key)) {
    const array = arrays.get(path);
    if (array !== undefined) return array;
  }
  return undefined;
}

/** As the sinks name unfinished objects. */
const PARTIAL_SUFFIX = ".partial";
const TEMPORARY_SUFFIX = ".tmp";
const JOURNAL_FOLDER = ".millrace";

/** An object that is no shard of an array. */
function classify(
  entry: StoreEntry,
  known: ReadonlySet<string>,
  unread: ReadonlySet<string>,
  warnings: Findings<WarningCode>,
  defects: Findings<DefectCode>,
  arrays: ReadonlyMap<string, ArrayCheck>,
): void {
  const { key, size } = entry;
  const [parent] = ancestors(key);
  const name = key.slice(parent === "" ? 0 : parent.length + 1);
  if (name === METADATA_NAME) {
    if (known.has(parent)) return;
    // Where the root is an array nobody looked for nodes below it.
    if (arrays.has("")) defects.add("NODE_BELOW_ARRAY", key, 'lies below the array ""');
    return;
  }
  if (name.endsWith(PARTIAL_SUFFIX)) warnings.add("PARTIAL_SHARD", key, `an unfinished shard of ${size} bytes`);
  else if (name.endsWith(TEMPORARY_SUFFIX))
    warnings.add("TEMPORARY_FILE", key, `an unfinished object of ${size} bytes`);
  else if (key.split("/").includes(JOURNAL_FOLDER)) {
    warnings.add("JOURNAL", key, "of a writer that is at work, or that ended without closing: then recover the store");
  } else if (!ancestors(key).some((path) => unread.has(path))) {
    warnings.add("STRAY_KEY", key, `an object of ${size} bytes that belongs to no node`);
  }
}
