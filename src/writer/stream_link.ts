import { sleep } from "../base/clock.js";
import { deferred } from "../base/deferred.js";
import { fromWireError, type MillraceError } from "../base/errors.js";
import { unlessAborted } from "../base/unless_aborted.js";
import type { Counters } from "../metrics/counters.js";
import { guardExit } from "../pipeline/exit_handshake.js";
import type { DeliveryNews, FromEngine, ToEngine } from "../pipeline/messages.js";
import type { StreamThreads } from "../pipeline/stream_threads.js";
import type { WriterEvents } from "./writer_types.js";

/** How long an opening that was aborted may take to undo what it has begun. */
const UNDO_WAIT_MS = 1000;

/** What the writer hears of its threads. */
interface LinkEvents {
  stagingFree(): void;
  failed(error: MillraceError): void;
  warning(message: string): void;
  shard(shard: WriterEvents["shard"]): void;
  published(): void;
}

/**
 * The producer's end of a stream's threads: sends to the engine, passes their news on, keeps who waits for an answer,
 * and keeps the process alive while somebody does. It decides nothing; what a failure means is the writer's matter.
 * Thread: the one that opened the writer.
 */
export class StreamLink {
  /** Both threads have said their last word. */
  readonly stopped: Promise<void>;
  readonly #counters: Counters;
  readonly #events: LinkEvents;
  readonly #flushes = new Map<number, { resolve: () => void; reject: (error: unknown) => void }>();
  readonly #engineStopped = deferred();
  readonly #deliveryStopped = deferred();
  #threads!: StreamThreads;
  #unguard: (() => void) | undefined;
  #ready: { resolve: () => void; reject: (error: unknown) => void; left: number } | undefined;
  #nextFlush = 1;
  #pending = 0;
  /** Nobody waits for the threads any more. */
  #isLeft = false;
  #adapter = "";
  #backend: "cpu" | "gpu" = "cpu";

  constructor(counters: Counters, events: LinkEvents) {
    this.#counters = counters;
    this.#events = events;
    this.stopped = Promise.all([this.#engineStopped.promise, this.#deliveryStopped.promise]).then(() => {});
  }

  get backend(): "cpu" | "gpu" {
    return this.#backend;
  }

  get adapter(): string {
    return this.#adapter;
  }

  /** Flushes that wait for their answer. */
  get waiting(): number {
    return this.#flushes.size;
  }

  /**
   * Resolves when both threads are ready; rejects with what {@link openFailed} is told. Call it before {@link attach}.
   */
  ready(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#ready = { resolve, reject, left: 2 };
    });
  }

  /** From here on the threads are heard and can be sent to. */
  attach(threads: StreamThreads, inline: boolean): void {
    this.#threads = threads;
    threads.engine.onmessage = ({ data }) => this.#onEngine(data);
    threads.delivery.onmessage = ({ data }) => this.#onDelivery(data);
    this.#unguard = guardExit({
      counters: this.#counters,
      inline,
      stop: () => this.send({ type: "abort", hurry: true }),
    });
  }

  send(message: ToEngine): void {
    this.#threads.engine.postMessage(message);
  }

  /** Resolves when everything handed over before is with the sink and published as far as it is durable. */
  flush(): Promise<void> {
    const id = this.#nextFlush++;
    return this.whilePending(
      new Promise<void>((resolve, reject) => {
        this.#flushes.set(id, { resolve, reject });
        this.send({ type: "flush", id });
      }),
    );
  }

  /** Nobody will answer any more. */
  rejectFlushes(error: MillraceError): void {
    for (const flush of this.#flushes.values()) flush.reject(error);
    this.#flushes.clear();
  }

  /** Rejects {@link ready}. False: the stream was open already. */
  openFailed(error: MillraceError): boolean {
    const ready = this.#ready;
    this.#ready = undefined;
    ready?.reject(error);
    return ready !== undefined;
  }

  /** A thread is gone; the other may wait for it for ever, and teardown must not. */
  lost(): void {
    this.#engineStopped.resolve();
    this.#deliveryStopped.resolve();
  }

  /** Keeps the process alive until `promise` settles: a waiting caller must not be cut off by an empty event loop. */
  async whilePending<T>(promise: Promise<T>): Promise<T> {
    this.#setPending(this.#pending + 1);
    try {
      return await promise;
    } finally {
      this.#setPending(this.#pending - 1);
    }
  }

  /**
   * Of a stream that could not open: waits for its end, after the signal a second at most. A sink that answers takes
   * its marker away in that time, and who opens the store again does not meet it. What the threads wait for may never
   * answer: they are left to it then, do not keep the process, and the slots are released when they have ended.
   */
  async untilGone(end: Promise<void> | undefined, signal: AbortSignal | undefined): Promise<void> {
    const gone = (end ?? this.stopped).catch(() => {});
    await unlessAborted(gone, signal).catch(() => {});
    if (!signal?.aborted) return;
    const ended = new AbortController();
    const hasEnded = gone.then(() => ended.abort());
    await Promise.race([hasEnded, sleep(UNDO_WAIT_MS, ended.signal).catch(() => {})]);
    if (ended.signal.aborted) return;
    this.#isLeft = true;
    this.#threads.keepAlive(false);
  }

  /** An open stream that nobody waits for does not keep the process alive. */
  opened(): void {
    this.#threads.keepAlive(this.#pending > 0);
  }

  /** After {@link stopped}: the process may leave without asking the engine. */
  unguard(): void {
    this.#unguard?.();
  }

  /** After {@link stopped}: lets the threads end, and waits for that. */
  end(): Promise<void> {
    this.#counters.raise("producerLeft", 1);
    return this.#threads.end();
  }

  #onEngine(message: FromEngine): void {
    switch (message.type) {
      case "ready":
        this.#adapter = message.adapter;
        this.#backend = message.backend;
        this.#oneReady();
        break;
      case "stagingFree":
        this.#events.stagingFree();
        break;
      case "failed":
        this.#events.failed(fromWireError(message.error));
        break;
      case "warning":
        this.#events.warning(message.message);
        break;
      case "stopped":
        this.#engineStopped.resolve();
        break;
    }
  }

  #onDelivery(news: DeliveryNews): void {
    switch (news.type) {
      case "ready":
        this.#oneReady();
        break;
      case "flushed":
        // The engine's news come on another port, maybe later: a failure is on its way, and the flush reports that.
        if (this.#counters.get("failed") > 0) break;
        this.#flushes.get(news.id)?.resolve();
        this.#flushes.delete(news.id);
        break;
      case "failed":
        this.#events.failed(fromWireError(news.error));
        break;
      case "warning":
        this.#events.warning(news.message);
        break;
      case "shard": {
        const { type: _, ...shard } = news;
        this.#events.shard(shard);
        break;
      }
      case "published":
        this.#events.published();
        break;
      case "stopped":
        this.#deliveryStopped.resolve();
        break;
    }
  }

  #oneReady(): void {
    if (this.#ready !== undefined && --this.#ready.left === 0) {
      this.#ready.resolve();
      this.#ready = undefined;
    }
  }

  #setPending(count: number): void {
    const changed = this.#pending > 0 !== count > 0;
    this.#pending = count;
    if (changed && !this.#isLeft) this.#threads.keepAlive(count > 0);
  }
}
