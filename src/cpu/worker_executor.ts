import { Worker } from "node:worker_threads";
import { fromWireError, type MillraceError, type WireError } from "../base/errors.js";
import { threadFailed } from "../base/thread_failed.js";
import { workerFlags } from "../base/worker_flags.js";
import type { CodecSpec } from "../codec/codec.js";
import type { EncodePlan, EncodeRequest } from "./batch_tasks.js";
import type { EncodeMemory } from "./chunk_worker.js";
import type { Executor } from "./executor.js";

/** What an encode thread is started with. */
export interface EncodeThreadInit {
  readonly plan: EncodePlan;
  readonly memory: EncodeMemory;
  readonly codec: CodecSpec;
}

export type ToEncodeThread =
  | { readonly type: "encode"; readonly id: number; readonly request: EncodeRequest }
  | { readonly type: "stop" };

export type FromEncodeThread =
  | { readonly type: "ready"; readonly provider: string }
  | { readonly type: "done"; readonly id: number; readonly busyNs: number; readonly error: WireError | undefined };

interface Job {
  readonly waitingFor: Set<Worker>;
  busyNs: number;
  error: MillraceError | undefined;
  resolve(busyNs: number): void;
  reject(error: unknown): void;
}

/**
 * Encode threads as workers over shared memory: libzstd runs in them, and without the addon so does codec none. Every
 * thread is told of every batch and takes chunks until none is left, so one message a thread a batch is all the talking
 * there is.
 */
export class WorkerExecutor implements Executor {
  readonly adapter: string;
  readonly #workers: readonly Worker[];
  readonly #jobs = new Map<number, Job>();
  readonly #ended: Promise<unknown>;
  #nextId = 1;
  #failed: MillraceError | undefined;
  #closed: Promise<void> | undefined;

  static async open(init: EncodeThreadInit, threads: number): Promise<WorkerExecutor> {
    const workers: Worker[] = [];
    try {
      const ready = Array.from({ length: threads }, (_, i) => {
        const worker = startThread(init, i);
        workers.push(worker);
        return firstMessage(worker);
      });
      const [provider] = await Promise.all(ready);
      return new WorkerExecutor(workers, `${provider} × ${threads}`);
    } catch (error) {
      for (const worker of workers) worker.postMessage({ type: "stop" } satisfies ToEncodeThread);
      throw error;
    }
  }

  private constructor(workers: readonly Worker[], adapter: string) {
    this.#workers = workers;
    this.adapter = adapter;
    for (const worker of workers) {
      worker.on("message", (message: FromEncodeThread) => this.#onMessage(worker, message));
      worker.on("error", (error) => this.#onThreadLost(worker, error));
      worker.on("exit", (code) => {
        if (this.#closed === undefined) this.#onThreadLost(worker, new Error(`it ended with code ${code}`));
      });
    }
    this.#ended = Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("exit", resolve))));
  }

  encode(request: EncodeRequest): Promise<number> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#jobs.set(id, { waitingFor: new Set(this.#workers), busyNs: 0, error: undefined, resolve, reject });
      for (const worker of this.#workers) worker.postMessage({ type: "encode", id, request } satisfies ToEncodeThread);
    });
  }

  close(): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = this.#ended.then(() => {});
      for (const worker of this.#workers) worker.postMessage({ type: "stop" } satisfies ToEncodeThread);
    }
    return this.#closed;
  }

  #onMessage(worker: Worker, message: FromEncodeThread): void {
    if (message.type !== "done") return;
    const job = this.#jobs.get(message.id);
    if (job === undefined) return;
    job.busyNs += message.busyNs;
    if (message.error !== undefined) job.error ??= fromWireError(message.error);
    this.#answered(worker, message.id, job);
  }

  /** Settles a job when every thread has let go of its slots, and not before, also when it has failed. */
  #answered(worker: Worker, id: number, job: Job): void {
    job.waitingFor.delete(worker);
    if (job.waitingFor.size > 0) return;
    this.#jobs.delete(id);
    if (job.error === undefined) job.resolve(job.busyNs);
    else job.reject(job.error);
  }

  /** A thread that died leaves chunks half done: everything in flight fails, and so does what comes later. */
  #onThreadLost(worker: Worker, cause: unknown): void {
    this.#failed ??= threadFailed("an encode thread stopped on its own", cause);
    for (const [id, job] of [...this.#jobs]) {
      if (job.waitingFor.has(worker)) job.error ??= this.#failed;
      this.#answered(worker, id, job);
    }
  }
}

function startThread(init: EncodeThreadInit, index: number): Worker {
  const options = { workerData: init, name: `millrace-encode-${index}`, ...workerFlags() };
  try {
    return new Worker(new URL("./encode_thread.js", import.meta.url), options);
  } catch (cause) {
    throw threadFailed("an encode thread could not start", cause);
  }
}

function firstMessage(worker: Worker): Promise<string> {
  return new Promise((resolve, reject) => {
    worker.once("message", (message: FromEncodeThread | { type: "failed"; error: WireError }) => {
      if (message.type === "ready") resolve(message.provider);
      else if (message.type === "failed") reject(fromWireError(message.error));
    });
    const lost = (cause: unknown): void => reject(threadFailed("an encode thread could not start", cause));
    worker.once("error", lost);
    worker.once("exit", (code) => lost(new Error(`it ended with code ${code}`)));
  });
}
