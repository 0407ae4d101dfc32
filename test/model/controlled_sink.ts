import { MillraceError } from "../../src/base/errors.js";
import type { ShardExpectation, ShardHandle, Sink } from "../../src/handoff/sink.js";
import { type Content, concat, keyOf, sameBytes, startsWith } from "./content.js";
import type { Control } from "./control.js";
import { ControlledJournal } from "./controlled_journal.js";

interface Shard {
  readonly row: number;
  readonly shard: number;
  data: Uint8Array;
  /** Bytes that survive a power cut. */
  durableBytes: number;
  state: "idle" | "busy" | "failed" | "gone";
}

/**
 * A sink whose every call ends when it is chosen to, and which looks at the memory it is lent at the last moment. It
 * knows what the program sends, and says at once when a call breaks the contract, bytes are not the next ones, or a
 * shape covers what is not sealed.
 */
export class ControlledSink implements Sink {
  readonly kind = "controlled";
  readonly location = "controlled";
  /** What readers see. */
  readonly files = new Map<string, Uint8Array>();
  readonly journal: ControlledJournal | undefined;
  readonly #content: Content;
  readonly #control: Control;
  readonly #shards = new Map<string, Shard>();
  #putting = false;
  #closed = false;
  #closes = 0;
  opened = false;
  publishedRows = -1;
  /** The stream was aborted while no call was pending: nothing may be written any more. */
  mayWrite = true;

  constructor(content: Content, control: Control, hasJournal: boolean) {
    this.#content = content;
    this.#control = control;
    if (!hasJournal) return;
    this.journal = new ControlledJournal(content, {
      call: (name, done, failed) => this.#call(name, done, true, failed),
      wrong: (what) => this.#wrong(what),
      shardBytes: (row, shard, durable) => {
        const found = this.#shards.get(keyOf(row, shard));
        return (durable ? found?.durableBytes : found?.data.byteLength) ?? 0;
      },
      publishedRows: () => this.publishedRows,
    });
  }

  /** Whether close was called. */
  get closing(): boolean {
    return this.#closes > 0;
  }

  open(): Promise<void> {
    return this.#call("sink open", () => {
      this.opened = true;
    });
  }

  async openShard(key: string, expected: ShardExpectation): Promise<ShardHandle> {
    if (this.#shards.has(key) && this.#shards.get(key)?.state !== "gone") this.#wrong(`${key} is opened twice`);
    if (!this.mayWrite) this.#wrong(`${key} is opened after an abort`);
    if (this.files.has(key)) this.#wrong(`${key} is opened again after its seal`);
    const [, row, s] = key.split("/").map(Number);
    if (this.journal !== undefined && !this.journal.has(row)) this.#wrong(`${key} is opened before its row's journal`);
    const shard: Shard = { row, shard: s, data: new Uint8Array(0), durableBytes: 0, state: "busy" };
    await this.#call(`openShard ${key}`, () => {});
    shard.state = "idle";
    this.#shards.set(key, shard);
    const whole = concat(this.#content.shardData(row, s).chunks);
    return {
      write: (segments) => this.#write(key, shard, whole, segments),
      sync: () => {
        if (expected.synced !== true) this.#wrong(`sync of ${key}, which was not opened for it`);
        this.#begin("sync", key, shard);
        return this.#call(
          `sync ${key}`,
          () => {
            shard.durableBytes = shard.data.byteLength;
            shard.state = "idle";
          },
          true,
          () => this.#set(shard, "failed"),
        );
      },
      seal: (tail, durable) => this.#seal(key, shard, tail, durable),
      abandon: () => {
        if (shard.state === "busy") this.#wrong(`abandon of ${key} overlaps another call`);
        return this.#call(`abandon ${key}`, () => this.#set(shard, "gone"), false);
      },
    };
  }

  putObject(key: string, bytes: Uint8Array): Promise<void> {
    if (key !== "zarr.json") this.#wrong(`an object ${key}`);
    if (this.journal !== undefined && !this.journal.hasMarker) this.#wrong("metadata is written without a marker");
    if (this.#putting) this.#wrong("two writes of metadata at once");
    const { shape } = JSON.parse(new TextDecoder().decode(bytes)) as { shape: number[] };
    const sealed = this.sealedRows();
    if (shape[0] > sealed) this.#wrong(`${shape[0]} rows are published, ${sealed} are sealed`);
    if (shape[0] < this.publishedRows) this.#wrong(`the shape shrinks from ${this.publishedRows} to ${shape[0]}`);
    this.#putting = true;
    const done = (): void => {
      this.#putting = false;
      this.files.set(key, bytes.slice());
      this.publishedRows = shape[0];
    };
    return this.#call(`put ${shape[0]} rows`, done, true, () => {
      this.#putting = false;
    });
  }

  hurry(): void {}

  close(): Promise<void> {
    this.#closes++;
    const open = [...this.#shards].filter(([, { state }]) => state !== "gone").map(([key]) => key);
    // A seal that failed leaves nothing that could be given up.
    if (open.length > 0) this.#wrong(`the sink is closed over open shards: ${open.join(", ")}`);
    if (this.#closes > 1) this.#wrong("the sink is closed twice");
    return this.#call("sink close", () => {
      this.#closed = true;
    });
  }

  /** Leading rows that readers could get from sealed shards. */
  sealedRows(): number {
    const indexBytes = this.#content.shardIndex(0, 0).byteLength;
    return this.#content.rowsIn((row, shard) => {
      const bytes = this.files.get(keyOf(row, shard))?.byteLength;
      return bytes === undefined ? undefined : bytes - indexBytes;
    });
  }

  /** Leading rows whose every write has settled well. */
  landedRows(): number {
    return this.#content.rowsIn((row, shard) => this.#shards.get(keyOf(row, shard))?.data.byteLength);
  }

  #write(key: string, shard: Shard, whole: Uint8Array, segments: readonly Uint8Array[]): Promise<void> {
    this.#begin("write", key, shard);
    if (!this.mayWrite) this.#wrong(`${key} is written to after an abort`);
    const lent = concat(segments);
    const still = (): void => {
      if (!sameBytes(concat(segments), lent)) this.#wrong(`memory of a write to ${key} changed before it settled`);
    };
    const add = (bytes: Uint8Array): void => {
      shard.data = concat([shard.data, bytes]);
      if (!startsWith(whole, shard.data)) this.#wrong(`${key} holds ${shard.data}, which does not begin ${whole}`);
    };
    return this.#call(
      `write ${key}`,
      () => {
        still();
        add(lent);
        shard.state = "idle";
      },
      true,
      () => {
        still();
        shard.state = "failed";
      },
    );
  }

  #seal(key: string, shard: Shard, tail: Uint8Array, durable: boolean): Promise<void> {
    this.#begin("seal", key, shard);
    const count = shard.data.byteLength / this.#content.shape.epochRows;
    const index = tail.slice();
    if (!sameBytes(index, this.#content.shardIndex(shard.row, count)))
      this.#wrong(`${key} is sealed with a wrong index`);
    return this.#call(
      `seal ${key}`,
      () => {
        this.files.set(key, concat([shard.data, index]));
        if (durable) shard.durableBytes = shard.data.byteLength;
        shard.state = "gone";
      },
      true,
      () => {
        shard.state = "failed";
      },
    );
  }

  #begin(call: string, key: string, shard: Shard): void {
    if (shard.state !== "idle") this.#wrong(`${call} of ${key}, which is ${shard.state}`);
    shard.state = "busy";
  }

  #set(shard: Shard, state: Shard["state"]): void {
    shard.state = state;
  }

  #call(name: string, done: () => void, mayFail = true, failed?: () => void): Promise<void> {
    if (this.#closed) this.#wrong(`${name} after the sink was closed`);
    return this.#control.operation(
      "delivery",
      name,
      done,
      mayFail
        ? () => {
            failed?.();
            return new MillraceError("SINK_FAILED", `${name} failed.`);
          }
        : undefined,
    );
  }

  #wrong(what: string): void {
    this.#control.problems.push(`sink: ${what}`);
  }
}
