import type { ErrorContext, ErrorContextByCode } from "./error_context.js";

export type { ErrorContext, ErrorContextByCode };

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
  OUT_OF_MEMORY: "the system did not give the memory of the plan, or of a chunk to decode",
  BACKEND_UNAVAILABLE: "the requested backend cannot run here",
  DEVICE_OUT_OF_MEMORY: "the GPU lacks the memory that the plan needs",
  ADDON_UNAVAILABLE: "the native addon was required and did not load",
  NODE_TOO_OLD: "this Node.js is older than Millrace supports",
  NOT_YET: "a documented feature that this version does not have yet",
  // The caller's data and calls
  INVALID_DATA:
    "the data is neither bytes nor a typed array of the dtype's kind, not live memory, or no whole number of elements",
  WRITE_PAST_END: "more rows than the bounded append dimension holds",
  SKIP_NOT_ROW_ALIGNED: "skip was called in the middle of a row",
  INCOMPLETE_ROW: "the data ended inside a row",
  CALL_ABORTED: "the signal of a call that reads, verifies or recovers a store was aborted",
  APPEND_ABORTED: "the signal of one append was aborted",
  RESERVE_STATE: "reserve, commit and append were called in an order that makes no sense",
  WRITER_CLOSED: "the writer was closed",
  WRITER_ABORTED: "the writer was aborted",
  // The store
  STORE_EXISTS: "the store already holds data and the mode is create",
  STORE_IN_USE: "a writer, or another recovery, is at work on the store",
  STORE_NOT_FOUND: "there is no store at this place",
  STORE_NOT_CLOSED: "a writer is at work on the store, or has left it without closing it",
  STORE_FOREIGN: "a link, a pipe or a file of somebody else lies where the store keeps its own",
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

/** A key of {@link ERROR_CODES}. Stable: a code never changes its meaning. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** What an error carries besides its code and message. */
export interface MillraceErrorInit {
  /** Values a program can act on: option name, path, limit, byte counts. */
  readonly context?: ErrorContext;
  /** What the reader of the message can do about it. Appended to the message. */
  readonly hint?: string;
  /** What led to it: an error of the system, of a library, of your sink. */
  readonly cause?: unknown;
}

/** Every failure that a user of Millrace can meet. Test with {@link isMillraceError}, branch on `code`. */
export class MillraceError extends Error {
  /** "MillraceError"; what {@link isMillraceError} goes by. */
  override readonly name = "MillraceError";
  /** What happened, for programs: see {@link ERROR_CODES}. */
  readonly code: ErrorCode;
  /** Values a program can act on; empty where there are none. docs/errors.md lists the usual ones. */
  readonly context: ErrorContext;
  /** What can be done about it; also the end of the message. Undefined where there is nothing to advise. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, init: MillraceErrorInit = {}) {
    super(init.hint === undefined ? message : `${message} ${init.hint}`, { cause: init.cause });
    this.code = code;
    this.context = init.context ?? {};
    this.hint = init.hint;
  }
}

/** A MillraceError of one code, with the fields that its context always has: {@link ErrorContextByCode}. */
export type MillraceErrorOf<C extends ErrorCode> = MillraceError & {
  readonly code: C;
  readonly context: C extends keyof ErrorContextByCode ? ErrorContextByCode[C] : ErrorContext;
};

/**
 * True for any MillraceError, also one from another copy of the package; with `code`, only for that code, whose context
 * then has its type.
 */
export function isMillraceError<C extends ErrorCode>(error: unknown, code: C): error is MillraceErrorOf<C>;
export function isMillraceError(error: unknown, code?: ErrorCode): error is MillraceError;
export function isMillraceError(error: unknown, code?: ErrorCode): error is MillraceError {
  return (
    error instanceof Error &&
    error.name === "MillraceError" &&
    "code" in error &&
    (code === undefined || error.code === code)
  );
}

/** An error behind a {@link WireError}; `code` is Node's, of a MillraceError its own. */
interface WireCause {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly stack: string | undefined;
  /** Of a MillraceError. */
  readonly context: ErrorContext | undefined;
  readonly cause: WireCause | undefined;
}

/** A MillraceError as plain data: structured clone drops custom fields of Error objects. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly context: ErrorContext;
  readonly hint: string | undefined;
  readonly stack: string | undefined;
  readonly cause: WireCause | undefined;
}

/** Causes that cross threads. More are noise, and a chain may be a ring. */
const CAUSES_MAX = 8;

export function toWireError(error: unknown): WireError {
  const e = isMillraceError(error)
    ? error
    : new MillraceError("INTERNAL", `unexpected error: ${textOf(error)}`, {
        cause: error,
      });
  const { code, message, context, hint, stack } = e;
  return { code, message, context, hint, stack, cause: toWireCause(e.cause, CAUSES_MAX) };
}

function toWireCause(cause: unknown, depth: number): WireCause | undefined {
  if (cause === undefined || depth === 0) return undefined;
  if (!(cause instanceof Error)) {
    const message = textOf(cause);
    return { name: "Error", message, code: undefined, stack: undefined, context: undefined, cause: undefined };
  }
  const { name, message, stack } = cause;
  const code = (cause as NodeJS.ErrnoException).code;
  return {
    name,
    message,
    // A DOMException's is a number.
    code: typeof code === "string" ? code : undefined,
    stack,
    context: isMillraceError(cause) ? cause.context : undefined,
    cause: toWireCause(cause.cause, depth - 1),
  };
}

/** Of anything that can be thrown; String itself throws for an object without a prototype. */
function textOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === "object" ? Object.prototype.toString.call(thrown) : String(thrown);
}

/** The error on the other side, with the stack of the thread that it comes from. */
export function fromWireError(wire: WireError): MillraceError {
  // The hint is already part of the message.
  const error = new MillraceError(wire.code, wire.message, {
    context: wire.context,
    cause: fromWireCause(wire.cause),
  });
  Object.defineProperty(error, "hint", { value: wire.hint, enumerable: true });
  setStack(error, wire.stack);
  return error;
}

function fromWireCause(wire: WireCause | undefined): Error | undefined {
  if (wire === undefined) return undefined;
  const cause = new Error(wire.message, wire.cause && { cause: fromWireCause(wire.cause) });
  hide(cause, "name", wire.name);
  if (wire.code !== undefined) (cause as NodeJS.ErrnoException).code = wire.code;
  if (wire.context !== undefined) Object.assign(cause, { context: wire.context });
  setStack(cause, wire.stack);
  return cause;
}

function setStack(error: Error, stack: string | undefined): void {
  if (stack !== undefined) hide(error, "stack", stack);
}

/** As names and stacks are: neither printed among an error's fields nor copied with them. */
function hide(error: Error, key: "name" | "stack", value: string): void {
  Object.defineProperty(error, key, { value, enumerable: false, writable: true, configurable: true });
}
