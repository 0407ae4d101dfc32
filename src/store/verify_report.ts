/** What is wrong with a store; a code never changes its meaning. docs/verify.md lists all codes. */
export const DEFECT_CODES = {
  METADATA: "a zarr.json breaks the specification",
  METADATA_UNSUPPORTED: "a zarr.json describes what cannot be read here, so its array was not checked",
  METADATA_MISSING: "a node has no group above it, or the root has no zarr.json",
  NODE_BELOW_ARRAY: "a zarr.json lies below an array",
  REFERENCE: "a group's metadata names a node that is not there, or is of another kind",
  SHARD_LENGTH: "a shard is shorter than its index",
  INDEX_CHECKSUM: "a shard's index does not match its crc32c",
  INDEX_ENTRY: "an index entry points outside the shard's data, or is half absent",
  INDEX_OVERLAP: "two chunks of a shard share bytes",
  CHUNK_LENGTH: "a stored chunk has a length that none can have",
  CHUNK_CHECKSUM: "a chunk does not match the checksum stored with it",
  CHUNK_DECODE: "a chunk does not decode to a chunk",
  CHUNK_UNSUPPORTED: "a chunk is valid, but of a kind that cannot be read here, so it was not checked",
  MEMORY_LIMIT: "an object was not checked, because that takes more memory than allowed",
  READ: "the store could not be read there",
} as const;

/** A key of the defects of docs/verify.md. */
export type DefectCode = keyof typeof DEFECT_CODES;

/** What is odd about a store, though every value in it can be read. */
export const WARNING_CODES = {
  METADATA_ODD: "a zarr.json reads, but parts of it contradict each other",
  METADATA_TEXT: "a zarr.json has text that is no Unicode: other readers may refuse the node",
  ENCODER_VERSION: "an array says that an encoder wrote it whose version is not known here",
  CHUNK_HEADER: "a chunk's Blosc header contradicts the metadata: its values may be wrong",
  CHECKSUM_ABSENT: "chunks lack the checksum that the metadata promises",
  OUTSIDE_SHAPE: "a shard lies outside the array's shape, so nobody reads it",
  PARTIAL_SHARD: "an unfinished shard of a writer that is at work, or has crashed",
  TEMPORARY_FILE: "an unfinished small object of a writer that is at work, or has crashed",
  WRITER: "a writer has not closed the store: it is at work, or has crashed",
  STRAY_KEY: "an object that belongs to no node",
} as const;

/** A key of the warnings of docs/verify.md. */
export type WarningCode = keyof typeof WARNING_CODES;

/** What is legal, and worth knowing. */
export const NOTE_CODES = {
  GAP: "bytes of a shard that belong to no chunk",
  CHUNK_OUTSIDE: "stored chunks, in a shard that is partly inside the shape, that lie outside of it",
  UNPUBLISHED: "a shard of rows that its writer has not published yet",
  SHARDS_ABSENT: "shards that are not there, and read as the fill value",
} as const;

/** A key of the notes of docs/verify.md. */
export type NoteCode = keyof typeof NOTE_CODES;

/** A defect: something is wrong; a warning: something is odd; a note: legal, and worth knowing. */
export type Severity = "defect" | "warning" | "note";

/** What a finding is about, beside its key. */
export interface FindingPlace {
  /** Number of the chunk in its shard, C order. */
  readonly chunk?: number;
  /** Position of the chunk in the array's grid of chunks. */
  readonly coordinates?: readonly number[];
  /** First byte in the object. */
  readonly offset?: number;
  /** Bytes from there. */
  readonly length?: number;
}

/** One thing that was found. */
export interface Finding<Code extends string> extends FindingPlace {
  /** What it is: a code never changes its meaning. */
  readonly code: Code;
  /** How bad it is. */
  readonly severity: Severity;
  /** The object that it is about. */
  readonly key: string;
  /** The same for people, with numbers. */
  readonly message: string;
}

/** A finding of any severity. */
export type AnyFinding = Finding<DefectCode | WarningCode | NoteCode>;

/** What was checked of one array. */
export interface VerifiedArray {
  /** Node in the store; "" is the root. */
  readonly path: string;
  /** Elements per dimension. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: string;
  /** "zstd, bytes": the chain as it is undone. */
  readonly codecs: string;
  /** Shards, or chunks where there are no shards, that were there. */
  readonly objectsChecked: number;
  /** Shards inside the shape that are not there; their chunks read as the fill value. Inexact beyond 2^53. */
  readonly objectsMissing: number;
  /** Chunks that are stored and were decoded, also those outside the shape; bad ones included. */
  readonly chunksChecked: number;
  /** Chunks inside the shape that are not stored and read as the fill value. Inexact beyond 2^53. */
  readonly chunksMissing: number;
  /** Bytes of the objects, indexes included. */
  readonly bytesStored: number;
  /** Bytes of the good chunks, decoded. */
  readonly bytesDecoded: number;
}

/** What {@link verifyStore} answers. */
export interface VerifyReport {
  /** No defect. */
  readonly ok: boolean;
  /** The store, for messages. */
  readonly location: string;
  /** The arrays that were checked, sorted by path. */
  readonly arrays: readonly VerifiedArray[];
  /** Paths of the groups; "" is the root. */
  readonly groups: readonly string[];
  /** What is wrong, in the order of keys. */
  readonly defects: readonly Finding<DefectCode>[];
  /** What is odd, in the order of keys. */
  readonly warnings: readonly Finding<WarningCode>[];
  /** What is legal, and worth knowing, in the order of keys. */
  readonly notes: readonly Finding<NoteCode>[];
  /** Findings beyond the first {@link FINDINGS_MAX} of their severity are counted, not listed. */
  readonly unlisted: { readonly defects: number; readonly warnings: number; readonly notes: number };
}

/** Bounds the report of a store that is bad through and through. */
export const FINDINGS_MAX = 1000;
/** A path in a folder has up to 4096 bytes, and a thousand findings may name it. */
const MESSAGE_CHARS_MAX = 1000;

/** A list that keeps the first {@link FINDINGS_MAX} and counts the rest. */
class FindingList<Code extends string> {
  readonly list: Finding<Code>[] = [];
  unlisted = 0;

  constructor(private readonly severity: Severity) {}

  add(code: Code, key: string, message: string, place: FindingPlace = {}): void {
    if (this.list.length >= FINDINGS_MAX) {
      this.unlisted++;
      return;
    }
    const text = message.length > MESSAGE_CHARS_MAX ? `${message.slice(0, MESSAGE_CHARS_MAX)}…` : message;
    this.list.push({ code, severity: this.severity, key, ...place, message: text });
  }

  /** Counts more of what is not listed. */
  addUnlisted(count: number): void {
    this.unlisted += count;
  }

  get count(): number {
    return this.list.length + this.unlisted;
  }

  /** Adds what another list has, in its order; returns what was listed of it. */
  take(other: FindingList<Code>): Finding<Code>[] {
    const taken = other.list.slice(0, FINDINGS_MAX - this.list.length);
    this.list.push(...taken);
    this.unlisted += other.count - taken.length;
    return taken;
  }
}

/** Findings of one object or of a whole store, by severity. */
export class Findings {
  readonly defects = new FindingList<DefectCode>("defect");
  readonly warnings = new FindingList<WarningCode>("warning");
  readonly notes = new FindingList<NoteCode>("note");

  /** Adds what others have found, in their order; returns what was listed of it. */
  take(other: Findings): AnyFinding[] {
    return [
      ...this.defects.take(other.defects),
      ...this.warnings.take(other.warnings),
      ...this.notes.take(other.notes),
    ];
  }
}
