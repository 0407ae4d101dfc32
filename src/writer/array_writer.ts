import { tracingChannels } from "../base/channels.js";
import { now, nowNs } from "../base/clock.js";
import { Emitter } from "../base/emitter.js";
import { MillraceError } from "../base/errors.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { Counters } from "../metrics/counters.js";
import { AppendLatency } from "../metrics/latency.js";
import { OwnerWaits } from "../metrics/owner_waits.js";
import { type MetricsSnapshot, takeSnapshot } from "../metrics/snapshot.js";
import type { Watermarks, WriterOptions } from "../options.js";
import type { CheckedOptions } from "../options_check.js";
import { allocateStreamMemory, prefault, releaseStreamMemory, type StreamMemory } from "../pipeline/stream_memory.js";
import type { MemoryPlan } from "../plan/memory_plan.js";
import type { ResumePoint } from "../resume/resume_point.js";
import { Ordering, orderingFromEnvironment } from "../slots/ordering.js";
import { SlotRing } from "../slots/slot_ring.js";
import { WholeEpochs } from "../slots/whole_epochs.js";
import { type Copier, openCopier } from "../staging/copier.js";
import { Intake } from "../staging/intake.js";
import { Mirror } from "../staging/mirror.js";
import {
  appendAborted,
  checkByteCount,
  checkCountable,
  checkRowCount,
  checkUnchanged,
  closed,
  elementBytesOf,
  incompleteRow,
  notRowAligned,
  pastEnd,
  signalOf,
  stillReserved,
} from "./append_input.js";
import { EarlyWarnings, openingWarnings } from "./early_warnings.js";
import { EventLoopTurns } from "./event_loop_turns.js";
import { OperationQueue, type Work } from "./operation_queue.js";
import type { Platform } from "./platform.js";
import { restoreEpoch } from "./restore_epoch.js";
import { streamInit } from "./stream_init.js";
import { StreamLink } from "./stream_link.js";
import { ROW_MARKS, readWatermarks } from "./watermarks.js";
import { drainSource, type WriterEnd, writableOf } from "./write_from.js";
import { type AppendOptions, type AppendSource, EVENT_NAMES, type WriterEvents } from "./writer_types.js";

const PROGRESS_INTERVAL_MS = 100;

/** Streams one array. Made by {@link openWriter}. All methods belong to the thread that opened it. */
export class ArrayWriter extends Emitter<WriterEvents> implements AsyncDisposable {
  /** Memory as allocated, by purpose. */
  readonly plan: MemoryPlan;
  /** The array's shape, and what follows from it. */
  readonly geometry: ArrayGeometry;
  readonly #platform: Platform;
  readonly #memory: StreamMemory;
  readonly #counters: Counters;
  readonly #staging: SlotRing;
  readonly #output: SlotRing;
  readonly #copier: Copier;
  readonly #intake: Intake;
  readonly #latency = new AppendLatency();
  readonly #turns = new EventLoopTurns();
  readonly #order: Ordering;
  readonly #queue: OperationQueue;
  readonly #link: StreamLink;
  #error: MillraceError | undefined;
  /** Some call has thrown the failure, or will. */
  #reported = false;
  #closing: Promise<void> | undefined;
  #ended = false;
  /** The threads are gone. */
  #released = false;
  readonly #endListeners = new Set<(reason: unknown) => void>();
  readonly #end: WriterEnd = { onEnd: (listener) => this.#onEnd(listener) };
  readonly #warnings = new EarlyWarnings((message) => this.emit("warning", { message }));
  #copyNs = 0;
  #copyCount = 0;
  #copyBytes = 0;
  #progressMs = 0;
  #writable: WritableStream<ArrayBufferView | ArrayBufferLike> | undefined;

  /** @internal */
  static async start(
    platform: Platform,
    checked: CheckedOptions,
    options: WriterOptions,
    plan: MemoryPlan,
    resume?: ResumePoint,
  ) {
    const writer = new ArrayWriter(platform, checked, plan, resume?.rows ?? 0);
    await writer.#open(checked, options, resume);
    return writer;
  }

  private constructor(platform: Platform, checked: CheckedOptions, plan: MemoryPlan, firstRow: number) {
    super(EVENT_NAMES);
    this.plan = plan;
    this.#platform = platform;
    this.geometry = checked.geometry;
    const g = checked.geometry;
    this.#memory = allocateStreamMemory(plan.batch);
    prefault(this.#memory);
    this.#counters = new Counters(this.#memory.counters);
    for (const mark of ROW_MARKS) this.#counters.raise(mark, firstRow);
    const order = new Ordering(orderingFromEnvironment(), new OwnerWaits(this.#counters, "producer"));
    this.#order = order;
    this.#queue = new OperationQueue(
      () => order.observe("STAGING_FREE"),
      () => !this.#stopsIntake(),
    );
    this.#staging = new SlotRing(this.#memory.stagingControl, this.#memory.staging.length, order, "STAGING_FREE");
    this.#output = new SlotRing(this.#memory.outputControl, this.#memory.output.length, order, "JOIN_BEFORE_REFILL");
    const helpers = checked.threads === "inline" ? 0 : checked.copyHelpers;
    const addon = platform.addon();
    this.#copier = openCopier(this.#memory.staging, addon, helpers);
    this.#intake = new Intake({
      ring: this.#staging,
      slots: this.#memory.staging,
      copier: this.#copier,
      mirror: plan.gpu && addon && new Mirror(this.#memory, addon),
      wholeEpochs:
        checked.maxBatchAgeMs > 0 ? new WholeEpochs(this.#memory.wholeEpochs, plan.epochsPerBatch) : undefined,
      order,
      rowBytes: g.rowBytes,
      epochRows: g.epochRows,
      epochsPerBatch: plan.epochsPerBatch,
      epochsPerShard: g.epochsPerShard,
      firstRow,
      totalBytesMax: g.rowCount === null ? Number.POSITIVE_INFINITY : g.rowCount * g.rowBytes,
      fill: checked.fill.bytes,
      onOpened: (slot, firstEpoch) =>
        this.#link.send({ type: "opened", ...slot, firstEpoch, rowFrom: firstEpoch * g.epochRows }),
      onWaiting: ({ generation }) => this.#link.send({ type: "waiting", generation }),
      onFilled: (slot, epochCount, rowTo, skippedEpochs) =>
        this.#link.send({ type: "filled", generation: slot.generation, epochCount, rowTo, skippedEpochs }),
      onSkipped: (rowFrom, rowTo) => this.#link.send({ type: "skipped", rowFrom, rowTo }),
    });
    this.#link = new StreamLink(this.#counters, {
      stagingFree: () => {
        if (this.#error === undefined) this.#queue.pump();
        this.#progress(false);
      },
      failed: (error) => this.#fail(error),
      warning: (message) => this.#warnings.say(message),
      shard: (shard) => {
        tracingChannels.shard(shard);
        this.emit("shard", shard);
      },
      published: () => this.#progress(true),
    });
  }

  /** "cpu" or "gpu", and what does the work there. */
  get backend(): "cpu" | "gpu" {
    return this.#link.backend;
  }

  /** What encodes, by name: "native × 8", a GPU's name. */
  get adapter(): string {
    return this.#link.adapter;
  }

  /** How far the rows of the append dimension are. Cheap; any time. */
  get watermarks(): Watermarks {
    return readWatermarks(this.#counters, this.#rowsAccepted());
  }

  /** Counts so far, and who waits for what now. Cheap; any time, also while nothing moves. */
  metrics(): MetricsSnapshot {
    return takeSnapshot(this.#counters, {
      rowsAccepted: this.#rowsAccepted(),
      bytesIn: this.#intake.acceptedBytes,
      appendNs: this.#latency.snapshot(),
      copyNs: this.#copyNs,
      copyCount: this.#copyCount,
      copyBytes: this.#copyBytes,
      stagingSlots: this.#staging.depth,
      stagingSlotsBusy: this.#staging.busy(),
      stagingSlotsBusyPeak: this.#staging.busyPeak(),
      outputSlots: this.#output.depth,
      outputSlotsBusy: this.#output.busy(),
      ended: this.#released,
    });
  }

  /**
   * Adds elements behind what was added before: any whole number of them, across chunks, epochs and batches. The bytes
   * are copied before the promise resolves, so `data` may be reused then; while a slot is free that is at once.
   * Otherwise the promise waits for one: that is the backpressure. Calls are served in order, also when they are not
   * awaited. In a loop of appends that need not wait, one about every 20 ms lets the event loop turn first. After a
   * failure nothing is accepted.
   * @param data elements in C order, in the machine's (little-endian) byte order: a typed array of the dtype's own
   *   kind, or bytes in a Uint8Array, Buffer, DataView, ArrayBuffer or SharedArrayBuffer. A typed array of another kind
   *   is refused with INVALID_DATA
   * @throws MillraceError INVALID_DATA, WRITE_PAST_END (nothing past the end is accepted, the context says how many
   *   bytes were not), RESERVE_STATE, WRITER_CLOSED, APPEND_ABORTED, INVALID_OPTION, or the writer's first failure
   */
  append(data: ArrayBufferView | ArrayBufferLike, options?: AppendOptions): Promise<void> {
    const startNs = this.#latency.begin();
    try {
      const bytes = this.#bytesOf(data);
      const signal = signalOf(options);
      if (signal?.aborted) throw appendAborted(signal, bytes.byteLength);
      let accepted = 0;
      if (this.#queue.length === 0 && !this.#stopsIntake()) {
        const room = this.#intake.bytesLeft;
        if (bytes.byteLength > room) return this.#appendPastEnd(bytes, room, signal);
        accepted = this.#put(bytes, 0, startNs !== 0);
        if (accepted === bytes.byteLength) {
          if (startNs !== 0) this.#latency.end(startNs);
          return this.#turns.after(accepted, startNs);
        }
      }
      return this.#enqueueAppend(bytes, accepted, startNs, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Copies what fits without waiting and returns how many bytes that was: a whole number of elements, 0 while earlier
   * appends wait, and 0 after a failure until the event loop has brought its error; then it throws. For callbacks that
   * must not block; the caller keeps or drops the rest.
   * @throws MillraceError as {@link append}, at once
   */
  tryAppend(data: ArrayBufferView | ArrayBufferLike): number {
    const startNs = this.#latency.begin();
    const bytes = this.#bytesOf(data);
    if (this.#queue.length > 0 || this.#stopsIntake()) return 0;
    const room = this.#intake.bytesLeft;
    const part = bytes.byteLength > room ? bytes.subarray(0, room) : bytes;
    const accepted = this.#put(part, 0, startNs !== 0);
    if (startNs !== 0) this.#latency.end(startNs);
    if (accepted === part.byteLength && part !== bytes) throw pastEnd(bytes.byteLength - accepted, accepted);
    return accepted;
  }

  /**
   * Memory to write the next elements into directly; no copy follows. Null while no slot is free or earlier appends
   * wait, or the error of a failure is on its way. At the end of a slot the view is shorter than asked for: look at its
   * byteLength. A row that starts at a row boundary never meets that end. Nothing else may be added until {@link
   * commit}.
   * @param byteLength a whole number of elements, at least one
   * @throws MillraceError INVALID_DATA, WRITE_PAST_END, RESERVE_STATE, WRITER_CLOSED, or the first failure
   */
  reserve(byteLength: number): Uint8Array | null {
    this.#checkOpen();
    this.#checkNoReservation("reserve");
    checkByteCount("reserve", byteLength, this.geometry.itemBytes, 1, Number.POSITIVE_INFINITY);
    if (this.#intake.bytesLeft === 0) throw pastEnd(byteLength, 0);
    return this.#queue.length > 0 || this.#stopsIntake() ? null : this.#intake.reserve(byteLength);
  }

  /**
   * Adds the first `byteLength` bytes of the reservation and ends it; 0 gives it back unused.
   * @throws MillraceError RESERVE_STATE without a reservation, INVALID_DATA for more than was reserved or part of an
   * element
   */
  commit(byteLength: number): void {
    this.#checkOpen();
    const reserved = this.#intake.reservedBytes;
    if (reserved === 0) throw new MillraceError("RESERVE_STATE", "commit was called without a reservation.");
    checkByteCount("commit", byteLength, this.geometry.itemBytes, 0, reserved);
    this.#intake.commit(byteLength);
  }

  /**
   * Leaves `rows` rows at the fill value. A chunk that is skipped whole is not stored at all. Only between rows. Many
   * rows of shards (16, or four batches of them) that are skipped whole cost next to nothing, however many.
   * @throws MillraceError SKIP_NOT_ROW_ALIGNED, WRITE_PAST_END, INVALID_DATA, RESERVE_STATE, WRITER_CLOSED, or the
   * first failure
   */
  async skip(rows: number): Promise<void> {
    this.#checkOpen();
    this.#checkNoReservation("skip");
    checkRowCount(rows);
    const { rowBytes } = this.geometry;
    let done = 0;
    let checked = false;
    await this.#enqueue({
      step: () => {
        if (!checked) {
          const inRow = this.#intake.totalBytes % rowBytes;
          if (inRow !== 0) throw notRowAligned(inRow, rowBytes);
          const left = this.#intake.bytesLeft / rowBytes;
          if (rows > left) throw pastEnd((rows - left) * rowBytes, 0);
          checkCountable(rows, rowBytes, this.#intake.totalBytes);
          checked = true;
        }
        done += this.#intake.skip(rows - done);
        return done === rows;
      },
      bytesLeft: () => (rows - done) * rowBytes,
    });
    await this.#turns.look();
  }

  /**
   * Resolves when everything complete that was added before is with the sink, every sealed shard is durable at the
   * chosen level, and the published shape covers it. Rows of an epoch that is not full stay in staging: chunks are
   * written whole.
   * @throws MillraceError RESERVE_STATE, WRITER_CLOSED, or the first failure
   */
  async flush(): Promise<void> {
    this.#checkOpen();
    this.#intake.checkCopied();
    await this.#enqueue({ step: () => this.#intake.split(), bytesLeft: () => 0 });
    // Failed since: nobody would answer.
    if (this.#error !== undefined) throw this.#error;
    await this.#order.observed("PUBLISH_AFTER_DURABLE", this.#link.flush());
  }

  /**
   * Ends the array: the last partial epoch, padded with the fill value, the shard indexes, the final shape. Idempotent:
   * every call gets the same promise.
   * @throws MillraceError the first failure; RESERVE_STATE (the writer stays open); INCOMPLETE_ROW when the last row
   *   lacks bytes: whole rows are stored and published, the rest is not
   */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      try {
        if (this.#error === undefined) this.#intake.checkCopied();
      } catch (error) {
        return Promise.reject(error);
      }
      this.#closing = this.#close();
      this.#closing.catch(() => {});
      this.#tellEnd(closed());
    }
    this.#reported = true;
    return this.#closing;
  }

  /**
   * Stops as fast as it can: what waits fails with WRITER_ABORTED, batches that are with the sink are waited for,
   * nothing more is written. Shards not sealed keep their `.partial` files; what was published stays valid. Never
   * throws.
   */
  async abort(reason?: unknown): Promise<void> {
    if (this.#ended) return;
    if (this.#error !== undefined) this.#link.send({ type: "abort", hurry: true });
    this.#fail(
      new MillraceError("WRITER_ABORTED", "the writer was aborted.", {
        cause: reason,
        context: { bytesIn: this.#intake.acceptedBytes },
      }),
    );
    await this.#closing?.catch(() => {});
  }

  /**
   * `await using`: close; after a failure that some call has reported, or an abort, it waits for the end and throws
   * nothing more.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#error === undefined || !this.#reported) await this.close();
    else await this.abort();
  }

  /**
   * The writer as a WHATWG stream: one chunk is one append, closing it closes the writer, aborting it aborts the writer
   * at once, also while an append waits. A writer that fails, or is closed by itself, errors the stream.
   * `Writable.fromWeb` takes it.
   */
  get writable(): WritableStream<ArrayBufferView | ArrayBufferLike> {
    this.#writable ??= writableOf({
      append: (data) => this.append(data),
      close: () => this.close(),
      abort: (reason) => this.abort(reason),
      ...this.#end,
    });
    return this.#writable;
  }

  /**
   * Appends everything that `source` yields, at the writer's pace. Does not close. An error of the source is thrown on.
   * When the writer fails, is aborted or closed meanwhile, it rejects at once, also while the source gives nothing, and
   * the source is told to return.
   * @throws MillraceError as {@link append}
   */
  async writeFrom(source: AppendSource): Promise<void> {
    await drainSource(source, (data) => this.append(data), this.#end);
  }

  // ----------------------------------------------------------------------------------------------------------------
  // intake

  #put(bytes: Uint8Array, from: number, timed: boolean): number {
    if (!timed) return this.#intake.put(bytes, from);
    const startNs = nowNs();
    const copied = this.#intake.put(bytes, from);
    this.#copyNs += nowNs() - startNs;
    this.#copyCount++;
    this.#copyBytes += copied;
    return copied;
  }

  /**
   * A thread has failed, and its error is on the way: what waits for it rejects then. Accepted now, bytes would be
   * lost.
   */
  #stopsIntake(): boolean {
    return this.#counters.hasFailed && this.#order.enforced("FAILURE_STOPS_INTAKE");
  }

  #bytesOf(data: ArrayBufferView | ArrayBufferLike): Uint8Array {
    if (this.#error !== undefined || this.#closing !== undefined) this.#checkOpen();
    if (this.#intake.reservedBytes > 0) this.#checkNoReservation("append");
    return elementBytesOf(data, this.geometry);
  }

  #onEnd(listener: (reason: unknown) => void): () => void {
    if (this.#error !== undefined || this.#closing !== undefined) listener(this.#error ?? closed());
    else this.#endListeners.add(listener);
    return () => this.#endListeners.delete(listener);
  }

  #tellEnd(reason: unknown): void {
    const listeners = [...this.#endListeners];
    this.#endListeners.clear();
    for (const listener of listeners) listener(reason);
  }

  /** Queues what an append has left. `startNs` 0: it is not in the latency sample. */
  #enqueueAppend(bytes: Uint8Array, accepted: number, startNs: number, signal: AbortSignal | undefined): Promise<void> {
    const waitsFromNs = nowNs();
    const { byteLength } = bytes;
    let at = accepted;
    return this.#enqueue(
      {
        step: () => {
          checkUnchanged(bytes, byteLength, at);
          const room = this.#intake.bytesLeft;
          if (bytes.byteLength - at > room) {
            at += this.#intake.put(bytes.subarray(0, at + room), at);
            if (this.#intake.bytesLeft > 0) return false;
            throw pastEnd(bytes.byteLength - at, at);
          }
          at += this.#intake.put(bytes, at);
          return at === bytes.byteLength;
        },
        bytesLeft: () => byteLength - at,
        onDone: () => {
          const waitedNs = nowNs() - waitsFromNs;
          if (startNs === 0) this.#latency.waited(waitedNs);
          else this.#latency.end(startNs);
          this.#counters.addWait("STAGING_FREE", waitedNs);
        },
      },
      signal,
    );
  }

  #appendPastEnd(bytes: Uint8Array, room: number, signal: AbortSignal | undefined): Promise<void> {
    // What fits is accepted first; a camera that overruns by half a buffer keeps its last frames.
    const fits = this.#intake.put(bytes.subarray(0, room), 0);
    if (fits < room) return this.#enqueueAppend(bytes, fits, 0, signal);
    return Promise.reject(pastEnd(bytes.byteLength - fits, fits));
  }

  #enqueue(work: Work, signal?: AbortSignal): Promise<void> {
    return this.#link.whilePending(this.#queue.add(work, signal));
  }

  #rowsAccepted(): number {
    return Math.floor(this.#intake.totalBytes / this.geometry.rowBytes);
  }

  #checkOpen(): void {
    this.#reported ||= this.#error !== undefined;
    if (this.#error !== undefined) throw this.#error;
    if (this.#closing !== undefined) throw closed();
  }

  #checkNoReservation(call: string): void {
    if (this.#intake.reservedBytes > 0) throw stillReserved(call, this.#intake.reservedBytes);
  }

  // ----------------------------------------------------------------------------------------------------------------
  // life cycle

  async #open(checked: CheckedOptions, options: WriterOptions, resume: ResumePoint | undefined): Promise<void> {
    const { geometry } = this;
    const init = streamInit(checked, options, this.#memory, this.plan, resume);
    const ready = this.#link.ready();
    try {
      const threads = await this.#platform.startThreads(checked.threads, init, (error) => this.#threadLost(error));
      this.#link.attach(threads, checked.threads === "inline");
    } catch (error) {
      this.#copier.close();
      releaseStreamMemory(this.#memory, this.#platform.addon());
      throw error;
    }
    const onAbort = (): void => void this.abort(options.signal?.reason);
    options.signal?.addEventListener("abort", onAbort, { once: true });
    if (options.signal?.aborted) onAbort();
    void this.#link.stopped.then(() => options.signal?.removeEventListener("abort", onAbort));
    try {
      await Promise.all([ready, resume && this.#restoreEpoch(resume, options.signal)]);
    } catch (error) {
      await this.#link.untilGone(this.#closing, options.signal);
      throw error;
    }
    this.#link.opened();
    tracingChannels.open({ location: options.sink.location, geometry, backend: this.backend, adapter: this.adapter });
    this.#warnings.say(...this.#platform.warnings(), ...openingWarnings(this.plan, checked, options.sink.kind));
    // After the caller had a chance to listen.
    setTimeout(() => this.#warnings.release(), 0).unref?.();
  }

  async #restoreEpoch(resume: ResumePoint, signal: AbortSignal | undefined): Promise<void> {
    const hasFailed = (): boolean => this.#error !== undefined;
    const failure = await restoreEpoch(this.#intake, resume, this.geometry.rowBytes, signal, hasFailed);
    if (failure !== undefined) this.#fail(failure);
  }

  #progress(always: boolean): void {
    if (!always && now() - this.#progressMs < PROGRESS_INTERVAL_MS) return;
    this.#progressMs = now();
    this.emit("progress", {
      ...this.watermarks,
      bytesIn: this.#intake.acceptedBytes,
      bytesStored: this.#counters.get("bytesStored"),
    });
  }

  #threadLost(error: MillraceError): void {
    if (this.#ended) return;
    this.#fail(error);
    this.#link.lost();
  }

  /** The first failure: intake stops, everybody who waits wakes, teardown begins. Later ones change nothing. */
  #fail(error: MillraceError): void {
    if (this.#error !== undefined || this.#ended) return;
    this.#error = error;
    if (this.#queue.length + this.#link.waiting > 0 || error.code === "WRITER_ABORTED") this.#reported = true;
    this.#queue.rejectAll(error);
    this.#link.rejectFlushes(error);
    this.#link.send({ type: "abort", hurry: error.code === "WRITER_ABORTED" });
    if (this.#closing === undefined) {
      this.#closing = this.#link.whilePending(this.#teardown()).then(() => {
        throw error;
      });
      this.#closing.catch(() => {});
    }
    this.#tellEnd(error);
    if (this.#link.openFailed(error)) return;
    tracingChannels.error({ error });
    this.emit("error", error);
  }

  async #close(): Promise<void> {
    let leftOver = 0;
    try {
      await this.#enqueue({
        step: () => {
          leftOver = this.#intake.finish();
          return leftOver >= 0;
        },
        bytesLeft: () => 0,
      });
      this.#link.send({ type: "close", rows: this.#rowsAccepted() });
    } catch (error) {
      if (this.#error === undefined) throw error;
    }
    await this.#link.whilePending(this.#teardown());
    if (this.#error !== undefined) throw this.#error;
    if (leftOver > 0) throw incompleteRow(leftOver, this.geometry.rowBytes, this.#rowsAccepted());
  }

  /** Waits for both threads, then lets go of everything. Slots are released last: until then a thread may use them. */
  async #teardown(): Promise<void> {
    await this.#order.observed("STOP_JOIN_BEFORE_RELEASE", this.#link.stopped);
    this.#ended = true;
    // A stream may be over before the timer.
    this.#warnings.release();
    this.#progress(true);
    this.#link.unguard();
    this.#copier.close();
    tracingChannels.close({ rows: this.#rowsAccepted(), bytesIn: this.#intake.acceptedBytes });
    await this.#order.observed("STOP_JOIN_BEFORE_RELEASE", this.#link.end());
    this.#released = true;
    releaseStreamMemory(this.#memory, this.#platform.addon());
  }
}
