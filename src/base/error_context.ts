/** Plain values only, so that an error crosses threads whole. */
export type ErrorContext = Readonly<Record<string, string | number | boolean | null | readonly (string | number)[]>>;

/**
 * What `context` always has, by code. Only what every error of that code that Millrace makes carries, so that no field
 * here is ever undefined; errors may have others beside these. Codes that are not here promise nothing.
 */
export interface ErrorContextByCode {
  /** What did not load. */
  readonly ADDON_UNAVAILABLE: {
    /** The file that did not load; null where there is none. */
    readonly path: string | null;
  };
  /** What is left of the append, bytes. */
  readonly APPEND_ABORTED: {
    /** Bytes of that append that are to be appended again. */
    readonly bytesNotAccepted: number;
  };
  /** Whose signal it was. */
  readonly CALL_ABORTED: {
    /** The function that was called. */
    readonly call: string;
  };
  /** As they were asked for. */
  readonly CODEC_NOT_ON_BACKEND: {
    readonly codec: string;
    readonly backend: string;
  };
  /** What the plan takes, bytes. */
  readonly DEVICE_OUT_OF_MEMORY: {
    readonly adapter: string;
    /** Bytes that the plan takes of the device, and of what host and device share. */
    readonly deviceBytes: number;
    readonly hostBytes: number;
    readonly epochsPerBatch: number;
  };
  /** Where the data ended. */
  readonly INCOMPLETE_ROW: {
    readonly rowBytes: number;
    /** Whole rows that are in the array. */
    readonly rows: number;
  };
  /** Bytes by purpose, as in `MemoryPlan`, of the smallest plan; `totalBytes` is without `threads`. */
  readonly MEMORY_BUDGET_EXCEEDED: {
    readonly staging: number;
    readonly output: number;
    readonly sizes: number;
    readonly shardIndexes: number;
    readonly encoderScratch: number;
    readonly gpuHost: number;
    readonly sink: number;
    readonly control: number;
    readonly threads: number;
    readonly totalBytes: number;
    readonly memoryBudgetBytes: number;
    readonly openShards: number;
    readonly epochsPerBatch: number;
    /** Slots. */
    readonly depth: number;
  };
  /** What was broken. */
  readonly ORDERING_VIOLATION: {
    /** Of docs/ordering.md. */
    readonly rule: string;
  };
  /** What was asked for, bytes. */
  readonly OUT_OF_MEMORY: {
    /** That were asked for. */
    readonly bytes: number;
  };
  /** Which store it is. */
  readonly RESUME_MISMATCH: {
    readonly location: string;
  };
  /** Where the append stands, bytes. */
  readonly SKIP_NOT_ROW_ALIGNED: {
    /** Of the row that has begun. */
    readonly bytesIntoRow: number;
    readonly rowBytes: number;
  };
  /** What was given. */
  readonly UNKNOWN_CODEC: {
    readonly option: string;
    /** As it was given. */
    readonly name: string;
  };
  /** What was given. */
  readonly UNKNOWN_DTYPE: {
    readonly option: string;
    /** As it was given, or what it is. */
    readonly given: string;
  };
  /** How the append was split, bytes. */
  readonly WRITE_PAST_END: {
    readonly bytesNotAccepted: number;
    readonly bytesAccepted: number;
  };
}
