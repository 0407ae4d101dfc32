import { nowNs } from "../base/clock.js";
import type { Counters } from "../metrics/counters.js";

/** Counts what delivery does: it observes, and orders nothing. Times in nanoseconds. Delivery's thread. */
export class DeliveryMeter {
  readonly #counters: Counters;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** `bytes` are pending until the sink has retired them, also when the write fails. */
  async write(bytes: number, write: () => Promise<void>): Promise<void> {
    const from = nowNs();
    this.#counters.addPending(bytes);
    try {
      await write();
      this.#counters.add("bytesStored", bytes);
    } finally {
      this.#counters.retirePending(bytes);
      this.#counters.add("writeNs", nowNs() - from);
      this.#counters.add("writeCount", 1);
      this.#counters.add("writeBytes", bytes);
    }
  }

  checksums(bytes: number, enter: () => void): void {
    const from = nowNs();
    enter();
    this.#counters.add("checksumNs", nowNs() - from);
    this.#counters.add("checksumBytes", bytes);
  }

  async sync(sync: () => Promise<void>): Promise<void> {
    const from = nowNs();
    await sync();
    this.#counters.add("syncNs", nowNs() - from);
    this.#counters.add("syncCount", 1);
  }

  /** `indexBytes`: what sealing adds to the shard. */
  async seal(indexBytes: number, seal: () => Promise<void>): Promise<void> {
    const from = nowNs();
    await seal();
    this.#counters.add("bytesStored", indexBytes);
    this.#counters.add("sealNs", nowNs() - from);
    this.#counters.add("sealCount", 1);
    this.#counters.add("sealBytes", indexBytes);
    this.#counters.add("shardsSealed", 1);
  }
}
