import { type ErrorCode, type ErrorContext, isMillraceError, MillraceError } from "../base/errors.js";
import { describeValue } from "../base/option_values.js";

/** What was being done when the operating system said no. */
export interface OsOperation {
  /** Verb and noun for the message: "write shard", "sync folder". */
  readonly what: string;
  readonly path: string;
  readonly key?: string;
  /** Bytes of this call that were to be written. */
  readonly bytes?: number;
  /** Bytes the file held before this call. */
  readonly position?: number;
  /** Instead of the usual ones, by errno. */
  readonly hints?: Readonly<Record<string, string>>;
}

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: "Free space on this file system, or write somewhere else.",
  EDQUOT: "The disk quota is used up: free space or ask for a larger quota.",
  EFBIG: "The file is larger than the file system or the process limit (ulimit -f) allows: use smaller shards.",
  EACCES: "Check owner and mode of the folder.",
  EPERM: "Check owner, mode and attributes of the folder.",
  EROFS: "The file system is mounted read-only.",
  EMFILE: "Raise the limit of open files (ulimit -n), or lower maxOpenFiles.",
  ENFILE: "The machine has no free file handles left.",
  EIO: "The device reported an error: look into the kernel's log before trusting this disk.",
  EEXIST: "Another writer may be at work on this store, or one has crashed here: recover the store first.",
  ENOENT: "Something has removed or renamed it meanwhile: see that nobody else works in this folder.",
  ENOTDIR: "A file lies where a folder is needed.",
};

/** What to do about an error of the system; undefined for a rare one. */
export function hintOf(errno: string): string | undefined {
  return HINTS[errno];
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: "DISK_FULL",
  EDQUOT: "DISK_FULL",
  EFBIG: "DISK_FULL",
  EACCES: "PERMISSION_DENIED",
  EPERM: "PERMISSION_DENIED",
  EROFS: "PERMISSION_DENIED",
};

/** The error as its MillraceError: DISK_FULL, PERMISSION_DENIED, else SINK_FAILED. A MillraceError passes unchanged. */
export function toSinkError(error: unknown, operation: OsOperation): MillraceError {
  if (isMillraceError(error)) return error;
  const { code, syscall, message } = (error ?? {}) as NodeJS.ErrnoException;
  // Sinks of others throw anything.
  const errno = typeof code === "string" ? code : "";
  const context: Record<string, ErrorContext[string]> = { path: operation.path };
  if (errno !== "") context.errno = errno;
  if (syscall !== undefined) context.syscall = syscall;
  if (operation.key !== undefined) context.key = operation.key;
  if (operation.bytes !== undefined) context.bytes = operation.bytes;
  if (operation.position !== undefined) context.position = operation.position;
  const reason = typeof message === "string" ? message : describeValue(error);
  const text = `could not ${operation.what} ${operation.path}: ${reason}.`;
  return new MillraceError(CODES[errno] ?? "SINK_FAILED", text, {
    context,
    hint: operation.hints?.[errno] ?? hintOf(errno),
    cause: error,
  });
}

/** Runs an operation, turning what it throws into a MillraceError. */
export async function guarded<T>(operation: OsOperation, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw toSinkError(error, operation);
  }
}

export function errnoOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | null | undefined)?.code;
}
