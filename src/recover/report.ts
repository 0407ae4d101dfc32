/** What recovery found and did. Frozen, plain data. */
export interface RecoverReport {
  /** The place, for messages: a path or an s3: URL. */
  readonly location: string;
  /**
   * Of several stores below a group the first of "damaged", "recovered", "nothing-to-recover", "clean" that one of
   * them has.
   * - "clean": no writer has left this store open. Nothing was changed.
   * - "recovered": what is complete is published, the rest is gone, and the store is as after a clean close.
   * - "nothing-to-recover": the writer died before its first metadata, so there is no store.
   * - "damaged": what is complete up to the damage is published; the rest, and the marker, were left as they are: see
   *   `damage`.
   */
  readonly status: "clean" | "recovered" | "nothing-to-recover" | "damaged";
  /** Nothing was changed: everything here is what would be done. */
  readonly dryRun: boolean;
  /** The writer that had left the store open; of several stores that of the first. Undefined: there was none. */
  readonly writer: CrashedWriter | undefined;
  /**
   * Every store with a writer's marker, sorted by path: the one that was asked for, or those below a group. Empty where
   * none has one.
   */
  readonly stores: readonly RecoveredStore[];
  /** Sorted by path. Empty where the status is "clean" or "nothing-to-recover". */
  readonly arrays: readonly RecoveredArray[];
  /** S3: unfinished uploads that were given up. */
  readonly uploadsAborted: number;
  /** Shards of rows that were not kept, and the marker; in folders also unfinished files and journals. */
  readonly objectsRemoved: number;
  /** What could not be done, or was left alone, in sentences for people. */
  readonly notes: readonly string[];
}

/** The writer that had left a store open. */
export interface CrashedWriter {
  /** When it opened the store: ISO 8601, UTC, by its own clock. */
  readonly started: string;
  /** S3: rows that the array was to have in the end, where the writer had come that far. */
  readonly endsAt: number | undefined;
  /** Folders: the machine and the process that it ran in. */
  readonly host?: string;
  /** Folders: number of its process. */
  readonly pid?: number;
}

/** A store that a writer left open, and what became of it. */
export interface RecoveredStore {
  /** Below the place that was asked for; "" is that place itself. */
  readonly path: string;
  /** As of the whole report, of this store alone. */
  readonly status: RecoverReport["status"];
  /** Undefined: its marker could not be read. */
  readonly writer: CrashedWriter | undefined;
}

/** What became of one array. */
export interface RecoveredArray {
  /** "" is the root. */
  readonly path: string;
  /** Published length of the append dimension, before and after; it never shrinks. */
  readonly rowsBefore: number;
  /** Published length of the append dimension afterwards. */
  readonly rowsAfter: number;
  /**
   * Rows that are not kept although some of their bytes were there whole. Those of which nothing was complete leave no
   * trace and are not counted.
   */
  readonly rowsLost: number;
  /** Shards of the rows that are kept. */
  readonly shardsKept: number;
  /** Whole shards and unfinished ones. */
  readonly shardsRemoved: number;
  /** Why rows that seem complete are not kept: bytes that the writer cannot have left like this. */
  readonly damage: { readonly key: string; readonly message: string } | undefined;
}

/** How far a recovery is. */
export interface RecoverProgress {
  /** What is being done. */
  readonly step: "uploads" | "list" | "check" | "seal" | "publish" | "remove";
  /**
   * Of this step so far: uploads aborted, objects listed, shards checked, shards made whole, arrays published, objects
   * removed.
   */
  readonly count: number;
}

/** Options of {@link recoverStore}. */
export interface RecoverOptions {
  /** Looks, changes nothing, and reports what would be done. Default false. */
  readonly dryRun?: boolean;
  /**
   * Where a shard is damaged or missing in the middle: gives up the rows from there on, whole ones included, and
   * removes them. Default false: they are left as they are, so that you can look, and perhaps bring the shard back.
   */
  readonly discardDamaged?: boolean;
  /**
   * Folders: recovers although the process that the marker names is running, or the marker cannot be read. Default
   * false. For a process that is not the writer any more and does not know it, a copy of a store, a process number that
   * was given anew where the system does not tell.
   */
  readonly force?: boolean;
  /** Stops between two requests with CALL_ABORTED; the store can be recovered again from there. Default: none. */
  readonly signal?: AbortSignal;
  /** Called after every step's object, on the calling thread. Default: nobody is told. */
  readonly onProgress?: (progress: RecoverProgress) => void;
}
