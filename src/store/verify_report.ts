/** What is wrong with a store; a code never changes its meaning. */
export const DEFECT_CODES = {
  METADATA: "a zarr.json breaks the specification, or describes what cannot be read here",
  METADATA_MISSING: "a node has none above it, or the root has no zarr.json",
  NODE_BELOW_ARRAY: "a zarr.json lies below an array",
  SHARD_LENGTH: "a shard is shorter than its index",
  INDEX_CHECKSUM: "a shard's index does not match its crc32c",
  INDEX_ENTRY: "an index entry points outside the shard's data, or is half absent",
  INDEX_OVERLAP: "two chunks of a shard share bytes",
  CHUNK_LENGTH: "a stored chunk has a length that none can have",
  CHUNK_DECODE: "a chunk does not decode to a chunk",
  READ: "the store could not be read there",
} as const;

export type DefectCode = keyof typeof DEFECT_CODES;

/** What is odd about a store, though every value in it can be read. */
export const WARNING_CODES = {
  PARTIAL_SHARD: "an unfinished shard of a writer that is at work, or has crashed",
  TEMPORARY_FILE: "an unfinished small object of a writer that is at work, or has crashed",
  JOURNAL: "the journal or marker of a writer that is at work, or that ended without closing",
  STRAY_KEY: "an object that belongs to no node",
} as const;

export type WarningCode = keyof typeof WARNING_CODES;

/** What is legal and unusual. */
export const NOTE_CODES = {
  GAP: "bytes of a shard that belong to no chunk",
  OUTSIDE_SHAPE: "chunks outside the shape, as a writer leaves them that has not yet published its rows",
} as const;

export type NoteCode = keyof typeof NOTE_CODES;

export interface Finding<Code extends string> {
  readonly code: Code;
  readonly key: string;
  /** Number of the chunk in its shard, C order. */
  readonly chunk?: number;
  readonly message: string;
}

export interface VerifiedArray {
  readonly path: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** "zstd, bytes": the chain as it is undone. */
  readonly codecs: string;
  /** Shards, or chunks where there are no shards, that were there. */
  readonly objectsChecked: number;
  /** Chunks that are stored and were decoded, also those outside the shape; bad ones included. */
  readonly chunksChecked: number;
  /** Chunks inside the shape that are not stored and read as the fill value. */
  readonly chunksMissing: number;
  /** Bytes of the objects, indexes included. */
  readonly bytesStored: number;
  /** Bytes of the good chunks, decoded. */
  readonly bytesDecoded: number;
}

export interface VerifyReport {
  /** No defect. */
  readonly ok: boolean;
  readonly location: string;
  readonly arrays: readonly VerifiedArray[];
  readonly groups: readonly string[];
  readonly defects: readonly Finding<DefectCode>[];
  readonly warnings: readonly Finding<WarningCode>[];
  readonly notes: readonly Finding<NoteCode>[];
  /** Findings beyond the first {@link FINDINGS_MAX} of their kind are counted, not listed. */
  readonly unlisted: { readonly defects: number; readonly warnings: number; readonly notes: number };
}

/** Bounds the report of a store that is bad through and through. */
export const FINDINGS_MAX = 1000;

/** A list that keeps the first {@link FINDINGS_MAX} and counts the rest. */
export class Findings<Code extends string> {
  readonly list: Finding<Code>[] = [];
  unlisted = 0;

  add(code: Code, key: string, message: string, chunk?: number): void {
    if (this.list.length >= FINDINGS_MAX) this.unlisted++;
    else this.list.push(chunk === undefined ? { code, key, message } : { code, key, chunk, message });
  }

  get count(): number {
    return this.list.length + this.unlisted;
  }
}
