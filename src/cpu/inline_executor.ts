import type { EncodeRequest } from "./batch_tasks.js";
import type { ChunkWorker } from "./chunk_worker.js";
import type { Executor } from "./executor.js";

/** Encodes on the calling thread, a batch at a time: `threads: "inline"`. */
export class InlineExecutor implements Executor {
  readonly adapter: string;
  readonly #worker: ChunkWorker;

  constructor(worker: ChunkWorker) {
    this.#worker = worker;
    this.adapter = `inline (${worker.provider})`;
  }

  async encode(request: EncodeRequest): Promise<number> {
    return this.#worker.run(request);
  }

  async close(): Promise<void> {
    this.#worker.close();
  }
}
