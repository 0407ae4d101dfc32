import type { MillraceError } from "../base/errors.js";
import type { Watermarks } from "../options.js";

/** Options of one append. */
export interface AppendOptions {
  /** Gives up waiting. What was accepted by then stays; the error's context says how many bytes were not. */
  readonly signal?: AbortSignal;
}

/** What `writeFrom` takes: anything iterable that yields what `append` takes. A readable stream is one. */
export type AppendSource =
  | AsyncIterable<ArrayBufferView | ArrayBufferLike>
  | Iterable<ArrayBufferView | ArrayBufferLike>;

/** What a listener throws is an uncaught error of the program; the stream goes on. */
export type WriterEvents = {
  /** A shard is complete and visible under its key: it can be read, copied, moved away. */
  shard: { readonly key: string; readonly bytes: number; readonly rowFrom: number; readonly rowTo: number };
  /** The watermarks moved; at most ten times a second, and at every publish. */
  progress: Watermarks & { readonly bytesIn: number; readonly bytesStored: number };
  /** The first failure; the writer accepts nothing more. */
  error: MillraceError;
  /** Something works, but not as well as it could. */
  warning: { readonly message: string };
};

// A new event that is missing here does not compile.
export const EVENT_NAMES = Object.keys({
  shard: true,
  progress: true,
  error: true,
  warning: true,
} satisfies Record<keyof WriterEvents, true>) as (keyof WriterEvents)[];
