import type { ShardHandle, Sink } from "../handoff/sink.js";
import { totalBytes } from "./write_all.js";

/** Takes everything, keeps nothing, and is done at once: the ceiling that other sinks are measured against. */
export class DiscardSink implements Sink {
  readonly kind = "discard";
  readonly location = "nowhere";
  #bytes = 0;
  #shards = 0;
  #objects = 0;

  /** Bytes of shards and objects so far. */
  get bytes(): number {
    return this.#bytes;
  }
  /** Shards sealed. */
  get shards(): number {
    return this.#shards;
  }
  /** Objects put. */
  get objects(): number {
    return this.#objects;
  }

  async open(): Promise<void> {}

  async openShard(): Promise<ShardHandle> {
    return {
      write: async (segments) => {
        this.#bytes += totalBytes(segments);
      },
      seal: async (tail) => {
        this.#bytes += tail.byteLength;
        this.#shards++;
      },
      abandon: async () => {},
    };
  }

  async putObject(_key: string, bytes: Uint8Array): Promise<void> {
    this.#bytes += bytes.byteLength;
    this.#objects++;
  }

  async close(): Promise<void> {}
}
