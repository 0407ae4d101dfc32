import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { fromWireError, type MillraceError, type WireError } from "../base/errors.js";
import { threadFailed } from "../base/thread_failed.js";
import { workerFlags } from "../base/worker_flags.js";
import type { ChunkCheckSpec, ChunkWindow, WindowResult } from "./chunk_check.js";
import type { ArrayCheck } from "./verify_array.js";

/** What a thread is sent. */
export type CheckRequest =
  | { readonly array: number; readonly spec: ChunkCheckSpec; readonly window: ChunkWindow }
  | "end";

/** What it says: "ready" once, then one answer for each window. */
export type CheckAnswer = "ready" | { readonly result: WindowResult } | { readonly error: WireError };

/** Decoded on the calling thread before others are started: they take some 40 ms, in which a thread decodes as much. */
const START_BYTES = 32 * 2 ** 20;

interface Job {
  readonly request: Exclude<CheckRequest, "end">;
  readonly resolve: (result: WindowResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Decodes chunks in worker threads, or on the calling thread: the first megabytes, all of them where there are to be no
 * threads, where they do not start, and in a program whose modules were bundled into one file.
 */
export class CheckPool {
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, Job>();
  readonly #queue: Job[] = [];
  readonly #workers = new Set<Worker>();
  readonly #numbers = new Map<ArrayCheck, number>();
  #bytesInline = 0;
  #started = false;
  #closed = false;
  #failure: MillraceError | undefined;

  /** @param threads 0: all on the calling thread */
  constructor(
    private readonly threads: number,
    private readonly entry = new URL("./check_thread.js", import.meta.url),
    private readonly startBytes = START_BYTES,
  ) {}

  /**
   * Checks chunks of `array`. `window.bytes` is given away.
   * @throws MillraceError INTERNAL for a bug in a decoder, THREAD_FAILED when a thread ended on its own
   */
  async check(array: ArrayCheck, window: ChunkWindow, stopped: () => boolean): Promise<WindowResult> {
    if (this.#failure !== undefined) throw this.#failure;
    // Nothing to decode is not worth a message.
    const threaded = array.spec.compressors.length > 0 && this.#ready();
    if (!threaded) {
      const result = await array.checker.check(window, stopped);
      this.#bytesInline += result.bytesDecoded;
      return result;
    }
    return await new Promise<WindowResult>((resolve, reject) => {
      let number = this.#numbers.get(array);
      if (number === undefined) {
        number = this.#numbers.size;
        this.#numbers.set(array, number);
      }
      this.#queue.push({ request: { array: number, spec: array.spec, window }, resolve, reject });
      this.#dispatch();
    });
  }

  /** Whether threads are, or were, asked for. */
  get started(): boolean {
    return this.#started;
  }

  /** Whether at least one is there. */
  get threaded(): boolean {
    return this.#workers.size > 0;
  }

  /** Lets the threads end; what they still decode is not waited for. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const worker of this.#workers) worker.postMessage("end" satisfies CheckRequest);
  }

  /** Starts the threads once it pays, and says whether there are any. */
  #ready(): boolean {
    if (!this.#started && this.threads > 0 && this.#bytesInline >= this.startBytes) {
      this.#started = true;
      if (existsSync(fileURLToPath(this.entry))) for (let i = 0; i < this.threads; i++) this.#start();
    }
    return this.threaded;
  }

  #start(): void {
    const worker = new Worker(this.entry, { name: "millrace-verify", ...workerFlags() });
    worker.unref();
    let ready = false;
    worker.on("message", (message: CheckAnswer) => {
      if (message === "ready") {
        ready = true;
        this.#workers.add(worker);
        if (this.#closed) worker.postMessage("end" satisfies CheckRequest);
      } else this.#settle(worker, message);
      this.#idle.push(worker);
      this.#dispatch();
    });
    // One that never came up is not missed: whoever is there does the work.
    const gone = (error?: unknown): void => {
      this.#workers.delete(worker);
      if (!ready || this.#closed) return;
      this.#fail(threadFailed("a thread that decodes chunks ended on its own", error));
    };
    worker.on("error", gone);
    worker.on("exit", () => gone());
  }

  #settle(worker: Worker, answer: Exclude<CheckAnswer, "ready">): void {
    const job = this.#busy.get(worker)!;
    this.#busy.delete(worker);
    // A waiting result keeps the process alive, an idle thread does not.
    worker.unref();
    if ("result" in answer) job.resolve(answer.result);
    else job.reject(fromWireError(answer.error));
  }

  #dispatch(): void {
    while (this.#idle.length > 0 && this.#queue.length > 0) {
      const worker = this.#idle.pop()!;
      const job = this.#queue.shift()!;
      this.#busy.set(worker, job);
      worker.ref();
      const window = ownBytes(job.request.window);
      worker.postMessage({ ...job.request, window } satisfies CheckRequest, [window.bytes.buffer as ArrayBuffer]);
    }
  }

  #fail(error: MillraceError): void {
    this.#failure ??= error;
    for (const job of [...this.#busy.values(), ...this.#queue.splice(0)]) job.reject(this.#failure);
    this.#busy.clear();
  }
}

/** The window over memory that holds nothing else, so that it can change threads as it is. */
function ownBytes(window: ChunkWindow): ChunkWindow {
  const { bytes } = window;
  const { buffer } = bytes;
  const own = buffer instanceof ArrayBuffer && bytes.length === buffer.byteLength;
  return { ...window, bytes: own ? bytes : new Uint8Array(bytes) };
}
