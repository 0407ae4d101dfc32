import { createHash } from "node:crypto";
import type { MessagePort } from "node:worker_threads";
import { type ErrorCode, MillraceError } from "../../src/base/errors.js";
import type {
  JournalFile,
  OpenMode,
  ShardExpectation,
  ShardHandle,
  Sink,
  SinkJournal,
} from "../../src/handoff/sink.js";

export type SinkMethod =
  | "open"
  | "openShard"
  | "write"
  | "sync"
  | "seal"
  | "abandon"
  | "putObject"
  | "close"
  | "journal.begin"
  | "journal.open"
  | "journal.append"
  | "journal.close"
  | "journal.remove"
  | "journal.clear";

/** One thing that goes wrong. Plain data, so that it can be sent to a worker. */
export interface SinkFault {
  readonly method: SinkMethod;
  /** Which call of this method, over all shards, counted from 1. 0: every call. */
  readonly nth: number;
  /**
   * fail: rejects, the inner sink hears nothing. delay: `ms` later. hold: waits for `gate`, then goes on.
   * short: the inner sink gets the first half of the bytes, then the call rejects.
   * reorder: done at once, but reported only after the next call of the same method was, or after `ms` (default 1000).
   */
  readonly action: "fail" | "delay" | "hold" | "short" | "reorder";
  readonly ms?: number;
  readonly gate?: SharedArrayBuffer;
  /** Default SINK_FAILED. */
  readonly code?: ErrorCode;
}

/** A gate that a test opens, on whichever thread the sink lives. */
export class Gate {
  /** [0] is 1 when it is open, [1] counts who has arrived. */
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  get arrivedCount(): number {
    return Atomics.load(this.#words, 1);
  }

  release(): void {
    Atomics.store(this.#words, 0, 1);
    Atomics.notify(this.#words, 0);
  }

  /** Waits for the release. A timer, not Atomics.waitAsync: that one does not keep a thread alive. */
  async pass(): Promise<void> {
    Atomics.add(this.#words, 1, 1);
    while (Atomics.load(this.#words, 0) === 0) await pause(1);
  }

  /** Resolves when `count` calls stand at the gate. Rejects after `turns` looks, of a millisecond or more each. */
  async arrived(count = 1, turns = 300_000): Promise<void> {
    for (let waited = 0; this.arrivedCount < count; waited++) {
      if (waited > turns) throw new Error(`only ${this.arrivedCount} of ${count} calls came to the gate`);
      await pause(1);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

type Call = (method: SinkMethod, key: string, segments: readonly Uint8Array[], run: Run) => Promise<void>;
/** Makes the inner call, with other bytes where the fault wants it. */
type Run = (segments: readonly Uint8Array[]) => Promise<void>;

/** Sends every call of a sink through one function. */
class Wrapper implements Sink {
  readonly kind: string;
  readonly location: string;
  readonly journal: Sink["journal"];

  constructor(
    private readonly inner: Sink,
    private readonly call: Call,
  ) {
    this.kind = inner.kind;
    this.location = inner.location;
    this.journal = inner.journal && this.#journal(inner.journal);
  }

  #journal(inner: SinkJournal): SinkJournal {
    return {
      begin: (writeId, durable) => this.call("journal.begin", "", [], () => inner.begin(writeId, durable)),
      open: async (name) => {
        let file: JournalFile | undefined;
        await this.call("journal.open", name, [], async () => {
          file = await inner.open(name);
        });
        return {
          append: (bytes, durable) =>
            this.call("journal.append", name, [bytes], async (s) => {
              for (const part of s) await file!.append(part, durable);
            }),
          close: () => this.call("journal.close", name, [], () => file!.close()),
        };
      },
      remove: (name) => this.call("journal.remove", name, [], () => inner.remove(name)),
      clear: (durable) => this.call("journal.clear", "", [], () => inner.clear(durable)),
      crc32c: inner.crc32c,
      batchWarning: inner.batchWarning,
    };
  }

  open(mode: OpenMode): Promise<void> {
    return this.call("open", "", [], () => this.inner.open(mode));
  }

  async openShard(key: string, expected: ShardExpectation): Promise<ShardHandle> {
    let shard: ShardHandle | undefined;
    await this.call("openShard", key, [], async () => {
      shard = await this.inner.openShard(key, expected);
    });
    const inner = shard!;
    return {
      write: (segments) => this.call("write", key, segments, (s) => inner.write(s)),
      sync: inner.sync && (() => this.call("sync", key, [], () => inner.sync!())),
      seal: (tail, durable) =>
        this.call("seal", key, [tail], (s) => (s.length === 0 ? Promise.resolve() : inner.seal(s[0], durable))),
      abandon: (keep) => this.call("abandon", key, [], () => inner.abandon(keep)),
    };
  }

  putObject(key: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    return this.call("putObject", key, [bytes], (s) =>
      s.length === 0 ? Promise.resolve() : this.inner.putObject(key, s[0], durable),
    );
  }

  get stored(): Sink["stored"] {
    return this.inner.stored;
  }

  close(): Promise<void> {
    return this.call("close", "", [], () => this.inner.close());
  }
}

/** A sink that goes wrong as planned. Give it to a writer as `instance`, or through faulty_sink_module.js. */
export function faultySink(inner: Sink, faults: readonly SinkFault[]): Sink {
  const counts = new Map<SinkMethod, number>();
  const waitingForNext = new Map<SinkMethod, () => void>();

  return new Wrapper(inner, async (method, key, segments, run) => {
    const nth = (counts.get(method) ?? 0) + 1;
    counts.set(method, nth);
    const fault = faults.find((f) => f.method === method && (f.nth === nth || f.nth === 0));
    const injected = () =>
      new MillraceError(fault?.code ?? "SINK_FAILED", `injected: ${method} #${nth} failed.`, { context: { key, nth } });

    switch (fault?.action) {
      case undefined:
        await run(segments);
        break;
      case "fail":
        throw injected();
      case "delay":
        await pause(fault.ms ?? 10);
        await run(segments);
        break;
      case "hold":
        await new Gate(fault.gate).pass();
        await run(segments);
        break;
      case "short":
        // A seal or a put is whole or not at all, also when it fails: only a write leaves something behind.
        await run(method === "write" || method === "journal.append" ? firstHalf(segments) : []);
        throw injected();
      case "reorder": {
        await run(segments);
        const next = new Promise<void>((resolve) => waitingForNext.set(method, resolve));
        await Promise.race([next, pause(fault.ms ?? 1000)]);
        return;
      }
    }
    const release = waitingForNext.get(method);
    waitingForNext.delete(method);
    if (release !== undefined) setTimeout(release, 0);
  });
}

function firstHalf(segments: readonly Uint8Array[]): Uint8Array[] {
  let left = segments.reduce((sum, s) => sum + s.byteLength, 0) >> 1;
  return segments.map((segment) => {
    const part = segment.subarray(0, Math.min(left, segment.byteLength));
    left -= part.byteLength;
    return part;
  });
}

/** What was called, in the order in which calls started and ended. Plain data. */
export interface SinkEvent {
  readonly sequence: number;
  readonly phase: "start" | "end" | "error";
  readonly method: SinkMethod;
  /** "" for calls on the whole sink. */
  readonly key: string;
  readonly bytes: number;
  readonly atMs: number;
}

/**
 * Logs every call and checks the contract's caller side: one call at a time on a shard; nothing but abandon after an
 * error; nothing after seal or abandon; no close over open shards; and the lent memory unchanged until the call
 * settles, which catches a slot that was refilled too early. A breach rejects with ORDERING_VIOLATION, and is kept in
 * `violations`.
 */
export class RecordingSink implements Sink {
  readonly kind: string;
  readonly location: string;
  readonly journal: Sink["journal"];
  readonly events: SinkEvent[] = [];
  readonly violations: string[] = [];
  readonly #wrapped: Sink;
  readonly #shards = new Map<string, "idle" | "busy" | "failed">();
  #opened = false;
  #closed = false;

  /** @param port receives every event and, as a string, every violation; for sinks on a worker. */
  constructor(
    inner: Sink,
    private readonly port?: MessagePort,
  ) {
    this.kind = inner.kind;
    this.location = inner.location;
    this.#wrapped = new Wrapper(inner, (method, key, segments, run) => this.#observe(method, key, segments, run));
    this.journal = this.#wrapped.journal;
  }

  open(mode: OpenMode): Promise<void> {
    return this.#wrapped.open(mode);
  }
  openShard(key: string, expected: ShardExpectation): Promise<ShardHandle> {
    return this.#wrapped.openShard(key, expected);
  }
  putObject(key: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    return this.#wrapped.putObject(key, bytes, durable);
  }
  get stored(): Sink["stored"] {
    return this.#wrapped.stored;
  }
  close(): Promise<void> {
    return this.#wrapped.close();
  }

  async #observe(method: SinkMethod, key: string, segments: readonly Uint8Array[], run: Run): Promise<void> {
    const bytes = segments.reduce((sum, s) => sum + s.byteLength, 0);
    const before = hashOf(segments);
    this.#log("start", method, key, bytes);
    this.#checkStart(method, key);
    try {
      await run(segments);
    } catch (error) {
      this.#log("error", method, key, bytes);
      if (method === "openShard") this.#shards.delete(key);
      else if (this.#shards.has(key)) this.#shards.set(key, "failed");
      this.#checkMemory(method, key, before, segments);
      throw error;
    }
    this.#log("end", method, key, bytes);
    if (method === "seal" || method === "abandon") this.#shards.delete(key);
    else if (method === "write" || method === "sync" || method === "openShard") this.#shards.set(key, "idle");
    this.#checkMemory(method, key, before, segments);
  }

  #checkStart(method: SinkMethod, key: string): void {
    const state = this.#shards.get(key);
    if (method === "open") this.#opened = true;
    else if (!this.#opened) this.#violate(`${method} before open`);
    switch (method) {
      case "openShard":
        if (this.#closed) this.#violate(`openShard ${key} after close`);
        if (state !== undefined) this.#violate(`${key} opened twice`);
        this.#shards.set(key, "busy");
        break;
      case "write":
      case "sync":
      case "seal":
        if (state === undefined) this.#violate(`${method} on ${key}, which is not open`);
        if (state === "busy") this.#violate(`${method} on ${key} overlaps another call`);
        if (state === "failed") this.#violate(`${method} on ${key} after an error`);
        this.#shards.set(key, "busy");
        break;
      case "close":
        if (this.#shards.size > 0) this.#violate(`close with open shards: ${[...this.#shards.keys()].join(", ")}`);
        this.#closed = true;
        break;
      case "abandon":
        if (state === "busy") this.#violate(`abandon on ${key} overlaps another call`);
        break;
      default:
        if (this.#closed) this.#violate(`${method} ${key} after close`);
    }
  }

  #checkMemory(method: SinkMethod, key: string, before: string, segments: readonly Uint8Array[]): void {
    if (hashOf(segments) !== before) this.#violate(`memory of ${method} ${key} changed before the call settled`);
  }

  #violate(what: string): never {
    this.violations.push(what);
    this.port?.postMessage(what);
    throw new MillraceError("ORDERING_VIOLATION", `the sink's contract was broken: ${what}.`);
  }

  #log(phase: SinkEvent["phase"], method: SinkMethod, key: string, bytes: number): void {
    const event = { sequence: this.events.length, phase, method, key, bytes, atMs: performance.now() };
    this.events.push(event);
    this.port?.postMessage(event);
  }
}

function hashOf(segments: readonly Uint8Array[]): string {
  const hash = createHash("sha1");
  for (const segment of segments) hash.update(segment);
  return hash.digest("base64");
}
