import { MillraceError } from "../base/errors.js";
import { describeValue } from "../base/option_values.js";

/** How a loop that waits for somebody else's source learns that the writer takes no more. */
export interface WriterEnd {
  /**
   * Calls `listener` once, with why: when the writer fails, or is closed; at once when it has. Returns what takes it
   * back.
   */
  onEnd(listener: (reason: unknown) => void): () => void;
}

/**
 * Hands every value of `source` to `take`, one after the other. When the writer ends, so does this, also while the
 * source gives nothing: what the source still yields is dropped then. The source is told to clean up, as a `for await`
 * loop would.
 */
export async function drainSource<T>(
  source: AsyncIterable<T> | Iterable<T>,
  take: (value: T) => Promise<void>,
  end: WriterEnd,
): Promise<void> {
  const iterator = iteratorOf(source);
  // One promise a value: a single one for all of them would keep something of each until the writer ends.
  let giveUp = (_: unknown): void => {};
  let ended: { readonly reason: unknown } | undefined;
  const release = end.onEnd((reason) => {
    ended = { reason };
    giveUp(reason);
  });
  const next = (): Promise<IteratorResult<T>> =>
    new Promise((resolve, reject) => {
      giveUp = reject;
      // Native promises as they are; an iterator may answer with a plain object all the same.
      Promise.resolve(iterator.next()).then(resolve, reject);
    });
  let waitsForSource = false;
  try {
    for (;;) {
      if (ended !== undefined) throw ended.reason;
      waitsForSource = true;
      const { done, value } = await next();
      waitsForSource = false;
      if (done) return;
      await take(value);
    }
  } catch (error) {
    // What failed by itself has nothing left to clean up.
    if (waitsForSource && ended === undefined) throw error;
    const returned = new Promise((resolve) => resolve(iterator.return?.())).catch(() => {});
    // A generator that waits for a frame answers only when that has come, which may be never.
    if (!waitsForSource) await returned;
    throw error;
  } finally {
    release();
  }
}

function iteratorOf<T>(source: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> {
  // Of null and undefined nothing can be asked.
  const given = Object(source) as Partial<AsyncIterable<T> & Iterable<T>>;
  if (typeof given[Symbol.asyncIterator] === "function") return (source as AsyncIterable<T>)[Symbol.asyncIterator]();
  if (typeof given[Symbol.iterator] === "function") return each(source as Iterable<T>);
  throw new MillraceError("INVALID_DATA", `writeFrom takes something iterable, got ${describeValue(source)}.`, {
    context: { given: describeValue(source) },
    hint: "Give one piece of data to append.",
  });
}

async function* each<T>(values: Iterable<T>): AsyncGenerator<T, undefined> {
  for (const value of values) yield value;
}

/** The rest of WritableStreamDefaultController; Node's types have only `error`. */
interface StreamController {
  readonly signal: AbortSignal;
  error(reason: unknown): void;
}

/** A writer's calls, as far as a WHATWG stream uses them. */
interface StreamTarget extends WriterEnd {
  append(data: ArrayBufferView | ArrayBufferLike): Promise<void>;
  close(): Promise<void>;
  abort(reason: unknown): Promise<void>;
}

/** The writer as a WHATWG stream: one chunk is one append. */
export function writableOf(writer: StreamTarget): WritableStream<ArrayBufferView | ArrayBufferLike> {
  let release = (): void => {};
  return new WritableStream<ArrayBufferView | ArrayBufferLike>({
    start(controller) {
      const { signal } = controller as unknown as StreamController;
      // A stream calls `abort` below only when the append under way has settled, which is what waits and what an abort
      // shall end.
      const onAbort = (): void => {
        // Node's streams break when they are told of an error while they abort.
        release();
        void writer.abort(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      // A pipe that waits for its source hears of the end only so.
      release = writer.onEnd((reason) => controller.error(reason));
    },
    write: (data) => writer.append(data),
    close() {
      release();
      return writer.close();
    },
    abort: (reason) => writer.abort(reason),
  });
}
