/**
 * The one error class of Millrace, and every stable code it can carry.
 *
 * A code never changes its meaning; messages may. Codes are grouped by who can do something about them.
 */
export const ERROR_CODES = {
  // The caller's options
  INVALID_OPTION: "an option has the wrong type, range or name",
  UNKNOWN_DTYPE: "the element type is not one of the eleven supported",
  UNKNOWN_CODEC: "the codec is not known, or Zarr v3 has no such codec",
  CODEC_UNAVAILABLE: "the codec exists but nothing on this machine provides it",
  CODEC_NOT_ON_BACKEND: "the codec exists but the chosen backend cannot run it",
  CODEC_FAILED: "a codec reported an error, or produced more than its stated bound",
  BAD_GEOMETRY: "shape, chunk or shard sizes do not fit together",
  MEMORY_BUDGET_EXCEEDED: "the plan needs more memory than the budget allows",
  BACKEND_UNAVAILABLE: "the requested backend cannot run here",
  DEVICE_OUT_OF_MEMORY: "the GPU has not enough memory for the plan",
  ADDON_UNAVAILABLE: "the native addon was required and did not load",
  NOT_YET: "a documented feature that this version does not have yet",
  // The caller's data and calls
  INVALID_DATA:
    "the data is neither bytes nor a typed array of the dtype's kind, not live memory, or no whole number of elements",
  WRITE_PAST_END: "more rows than the bounded append dimension holds",
  SKIP_NOT_ROW_ALIGNED: "skip was called in the middle of a row",
  INCOMPLETE_ROW: "the data ended inside a row",
  APPEND_ABORTED: "the signal of one append was aborted",
  RESERVE_STATE: "reserve, commit and append were called in an order that makes no sense",
  WRITER_CLOSED: "the writer was closed",
  WRITER_ABORTED: "the writer was aborted",
  // The store
  STORE_EXISTS: "the store already holds data and the mode is create",
  STORE_IN_USE: "a writer, or another recovery, is at work on the store",
  STORE_NOT_FOUND: "there is no store at this place",
  STORE_NOT_CLOSED: "a writer is at work on the store, or has left it without closing it",
  RESUME_MISMATCH: "the store is not of the array that mode resume was asked to continue",
  STORE_CORRUPT: "the store's bytes contradict the Zarr v3 specification or their checksum",
  STORE_UNSUPPORTED: "the store is valid Zarr but uses something this reader does not know",
  STORE_READ_FAILED: "the operating system or the server reported an error while a store was read",
  // The world
  SINK_FAILED: "the sink reported an error",
  DISK_FULL: "the file system has no space left, or a quota is used up",
  PERMISSION_DENIED: "the operating system refused access",
  S3_CLIENT_MISSING: "the package @aws-sdk/client-s3 is not installed",
  S3_CREDENTIALS: "no S3 credentials were found, or the server does not know them, or they have expired",
  S3_ACCESS_DENIED: "the S3 credentials are good but do not allow the operation",
  S3_NO_BUCKET: "there is no S3 bucket of that name",
  S3_WRONG_REGION: "the S3 bucket is in another region than the one asked",
  S3_CLOCK_SKEW: "this machine's clock differs too much from the S3 server's",
  S3_UNREACHABLE: "the S3 server did not answer: no connection, no name, no time",
  S3_SERVER_ERROR: "the S3 server answered with an error of its own (5xx, SlowDown) to every attempt",
  S3_CONFLICT: "the S3 object was written by somebody else meanwhile",
  S3_UNSUPPORTED: "the S3 server does not have the operation or the checksum",
  S3_REFUSED: "the S3 server refused the request for another reason (4xx)",
  THREAD_FAILED: "a worker thread could not start, or stopped on its own",
  INSUFFICIENT_COVERAGE: "a benchmark ran too short to give a figure",
  // Our own mistakes
  ORDERING_VIOLATION: "a debug check found an ordering rule broken",
  INTERNAL: "an assertion failed: a bug in Millrace",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Plain values only, so that an error crosses threads whole. */
export type ErrorContext = Readonly<Record<string, string | number | boolean | null | readonly (string | number)[]>>;

export interface MillraceErrorInit {
  /** Values a program can act on: option name, path, limit, byte counts. */
  readonly context?: ErrorContext;
  /** What the reader of the message can do about it. Appended to the message. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Every failure that a user of Millrace can meet. Test with {@link isMillraceError}, branch on `code`. */
export class MillraceError extends Error {
  override readonly name = "MillraceError";
  readonly code: ErrorCode;
  readonly context: ErrorContext;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, init: MillraceErrorInit = {}) {
    super(init.hint === undefined ? message : `${message} ${init.hint}`, { cause: init.cause });
    this.code = code;
    this.context = init.context ?? {};
    this.hint = init.hint;
  }
}

/** True for any MillraceError, also one from another copy of the package; with `code`, only for that code. */
export function isMillraceError(error: unknown, code?: ErrorCode): error is MillraceError {
  return (
    error instanceof Error &&
    error.name === "MillraceError" &&
    "code" in error &&
    (code === undefined || error.code === code)
  );
}

/** A MillraceError as plain data: structured clone drops custom fields of Error objects. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly context: ErrorContext;
  readonly hint: string | undefined;
  readonly stack: string | undefined;
  readonly cause: { readonly message: string; readonly code: string | undefined } | undefined;
}

export function toWireError(error: unknown): WireError {
  const e = isMillraceError(error)
    ? error
    : new MillraceError("INTERNAL", `unexpected error: ${textOf(error)}`, {
        cause: error,
      });
  const cause = e.cause;
  return {
    code: e.code,
    message: e.message,
    context: e.context,
    hint: e.hint,
    stack: cause instanceof Error ? cause.stack : e.stack,
    cause:
      cause instanceof Error
        ? { message: cause.message, code: (cause as NodeJS.ErrnoException).code }
        : cause === undefined
          ? undefined
          : { message: textOf(cause), code: undefined },
  };
}

/** Of anything that can be thrown; String itself throws for an object without a prototype. */
function textOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === "object" ? Object.prototype.toString.call(thrown) : String(thrown);
}

export function fromWireError(wire: WireError): MillraceError {
  let cause: Error | undefined;
  if (wire.cause !== undefined) {
    cause = new Error(wire.cause.message);
    if (wire.cause.code !== undefined) (cause as NodeJS.ErrnoException).code = wire.cause.code;
    if (wire.stack !== undefined) cause.stack = wire.stack;
  }
  // The hint is already part of the message.
  const error = new MillraceError(wire.code, wire.message, { context: wire.context, cause });
  Object.defineProperty(error, "hint", { value: wire.hint, enumerable: true });
  return error;
}
