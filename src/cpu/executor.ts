import type { EncodeRequest } from "./batch_tasks.js";

/** Runs encode requests of the CPU backend. Requests may overlap; each names its own output slot. */
export interface Executor {
  /** What does the work, for metrics and `doctor`. */
  readonly adapter: string;
  /** Resolves with the busy nanoseconds of all threads once every chunk of the request is encoded. */
  encode(request: EncodeRequest): Promise<number>;
  /** Joins what was asked for, then ends its threads. */
  close(): Promise<void>;
}
