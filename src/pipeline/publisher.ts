import { now, nowNs } from "../base/clock.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import type { Sink } from "../handoff/sink.js";
import type { Counters } from "../metrics/counters.js";
import type { Ordering } from "../slots/ordering.js";
import { arrayMetadata } from "../zarr/array_metadata.js";
import { withRows } from "../zarr/with_rows.js";
import type { MetadataInit, ResumeFrom } from "./messages.js";

/**
 * Writes zarr.json: once before the first row, then as the durable rows grow, at most once an interval, and at the end.
 * The shape never shrinks, and it never covers a row that is not durable. One write at a time.
 */
export class Publisher {
  readonly #g: ArrayGeometry;
  readonly #metadata: MetadataInit;
  readonly #resume: ResumeFrom | undefined;
  readonly #sink: Sink;
  readonly #counters: Counters;
  readonly #order: Ordering;
  readonly #durable: boolean;
  readonly #intervalMs: number;
  readonly #onPublished: (rows: number) => void;
  readonly #onFailed: (error: unknown) => void;
  #published = -1;
  #wanted = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(init: {
    geometry: ArrayGeometry;
    metadata: MetadataInit;
    /** What is published already. */
    resume?: ResumeFrom;
    sink: Sink;
    counters: Counters;
    order: Ordering;
    durable: boolean;
    intervalMs: number;
    onPublished: (rows: number) => void;
    /** A refresh between calls failed; `publish` itself throws. */
    onFailed: (error: unknown) => void;
  }) {
    this.#g = init.geometry;
    this.#metadata = init.metadata;
    this.#resume = init.resume;
    if (init.resume !== undefined) this.#published = this.#wanted = init.resume.rows;
    this.#sink = init.sink;
    this.#counters = init.counters;
    this.#order = init.order;
    this.#durable = init.durable;
    this.#intervalMs = init.intervalMs;
    this.#onPublished = init.onPublished;
    this.#onFailed = init.onFailed;
  }

  /** `rows` became durable: publish them now or when the interval has passed. */
  want(rows: number): void {
    if (rows <= this.#wanted) return;
    this.#wanted = rows;
    if (this.#timer !== undefined) return;
    const waitMs = this.#lastMs + this.#intervalMs - now();
    if (waitMs <= 0) {
      this.publish().catch(this.#onFailed);
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.publish().catch(this.#onFailed);
    }, waitMs);
    // Inline it is the caller's thread, which an idle writer does not keep. `close` publishes without it.
    this.#timer.unref?.();
  }

  /** `rows` are durable once they are published: publishes them now. */
  publishUpTo(rows: number): Promise<void> {
    this.#wanted = Math.max(this.#wanted, rows);
    return this.publish();
  }

  /** Publishes what was wanted last, now; nothing to do when it is published already. */
  publish(): Promise<void> {
    this.#writing = this.#writing.catch(() => {}).then(() => this.#write());
    return this.#writing;
  }

  /** No refresh starts after this; resolves when a running one has ended. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writing.catch(() => {});
  }

  async #write(): Promise<void> {
    const rows = this.#wanted;
    if (rows <= this.#published) return;
    const from = nowNs();
    const put = this.#sink.putObject(METADATA_NAME, this.#document(rows), this.#durable);
    await this.#order.observed("PUBLISH_AFTER_DURABLE", put);
    this.#published = rows;
    this.#lastMs = now();
    this.#counters.add("publishNs", nowNs() - from);
    this.#counters.add("publishCount", 1);
    // They lie in sealed shards, or nothing was to be stored of them, and the shape covers them: durable, also where no
    // journal says so.
    this.#counters.raise("rowsDelivered", rows);
    this.#counters.raise("rowsDurable", rows);
    this.#counters.raise("rowsPublished", rows);
    this.#onPublished(rows);
  }

  #document(rows: number): Uint8Array {
    if (this.#resume !== undefined) return withRows(this.#resume.metadata, rows);
    const { codecs, fill, attributes } = this.#metadata;
    return arrayMetadata({ geometry: this.#g, rows, codecs, fill, attributes });
  }
}
