import { isMillraceError, MillraceError } from "../base/errors.js";
import type { Watermarks } from "../options.js";
import { asMillraceError } from "./exit.js";
import { formatCount } from "./numbers.js";
import { repeatFlags, type S3Flags } from "./store_arg.js";

/** How a stream that failed was left behind. */
export interface LeftStore {
  readonly store: string;
  readonly flags: S3Flags;
  /** `closed`: with all that was accepted. `aborted`: with what had reached it. */
  readonly ended: "closed" | "aborted";
  readonly watermarks: Watermarks;
}

/** The error with what the store holds, and with the command that comes next. */
export function writeFailed(thrown: unknown, { store, flags, ended, watermarks }: LeftStore): MillraceError {
  const error = asMillraceError(thrown);
  const { published, durable } = watermarks;
  const place = `${shellQuoted(store)}${repeatFlags(flags)}`;
  const goOn = `millrace write ${place} --mode resume`;
  const recover = `millrace recover ${place}`;
  const full = isMillraceError(error, "WRITE_PAST_END");
  const saved =
    ended === "closed"
      ? `The store is closed and holds ${formatCount(published, "row")}.${full ? "" : ` To go on behind them: ${goOn}`}`
      : `Of the rows ${published} are published and ${durable} durable. To publish all that reached the store: ` +
        `${recover}; to go on after that: ${goOn}`;
  const next = ended === "aborted" ? [recover, goOn] : full ? [] : [goOn];
  return new MillraceError(error.code, `${error.message} ${saved}`, {
    context: { ...error.context, rowsPublished: published, rowsDurable: durable, next },
    // The stack of a bug is printed, and has to be that of its place.
    cause: error.cause ?? error,
  });
}

/** An argument as a shell takes it for one. */
export function shellQuoted(text: string, platform: NodeJS.Platform = process.platform): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  // PowerShell and cmd.exe both take double quotes, and no path there can hold one.
  return platform === "win32" ? `"${text}"` : `'${text.replaceAll("'", "'\\''")}'`;
}
