import { crc32c } from "../../src/codec/crc32c.js";
import type { JournalFile, SinkJournal } from "../../src/handoff/sink.js";
import { type Journal, readJournal } from "../../src/journal/read_journal.js";
import { journalName } from "../../src/journal/writer_marker.js";
import { type Content, concat } from "./content.js";

interface File {
  bytes: Uint8Array;
  /** Of them those that survive a power cut. */
  durableBytes: number;
  isBusy: boolean;
}

/** What the journal needs of the sink that it belongs to. */
export interface JournalHost {
  /** Begins a call, which ends when it is chosen to. */
  call(name: string, done: () => void, failed?: () => void): Promise<void>;
  wrong(what: string): void;
  /** Bytes of a shard that are there, or that also survive a power cut. */
  shardBytes(row: number, shard: number, durable: boolean): number;
  publishedRows(): number;
}

/**
 * A journal whose every call ends when it is chosen to. It says what recovery would find after a power cut in this
 * moment.
 */
export class ControlledJournal implements SinkJournal {
  readonly #content: Content;
  readonly #host: JournalHost;
  readonly #files = new Map<string, File>();
  hasMarker = false;

  constructor(content: Content, host: JournalHost) {
    this.#content = content;
    this.#host = host;
  }

  begin(): Promise<void> {
    return this.#host.call("journal begin", () => {
      this.hasMarker = true;
    });
  }

  async open(name: string): Promise<JournalFile> {
    if (!this.hasMarker) this.#host.wrong(`${name} is opened without a marker`);
    if (this.#files.has(name)) this.#host.wrong(`${name} is opened twice`);
    await this.#host.call(`journal open ${name}`, () => {
      this.#files.set(name, { bytes: new Uint8Array(0), durableBytes: 0, isBusy: false });
    });
    return {
      append: (bytes, durable) => this.#append(name, bytes, durable),
      close: () => this.#host.call(`journal close ${name}`, () => {}),
    };
  }

  remove(name: string): Promise<void> {
    // It may be gone at once, and take until the end to come back.
    this.#files.delete(name);
    return this.#host.call(`journal remove ${name}`, () => {});
  }

  clear(): Promise<void> {
    this.#files.clear();
    return this.#host.call("journal clear", () => {
      this.hasMarker = false;
    });
  }

  has(row: number): boolean {
    return this.#files.has(journalName(row));
  }

  get isEmpty(): boolean {
    return this.#files.size === 0 && !this.hasMarker;
  }

  /** Leading rows that recovery would keep if the power was cut now. */
  recoverableRows(): number {
    const { epochRows, epochsPerShard } = this.#content.shape;
    const published = Math.max(0, this.#host.publishedRows());
    for (let row = Math.floor(published / (epochRows * epochsPerShard)); ; row++) {
      const file = this.#files.get(journalName(row));
      if (file === undefined) return Math.max(published, row * epochsPerShard * epochRows);
      const journal = readJournal(file.bytes.subarray(0, file.durableBytes));
      const epochs = this.#epochsThere(row, journal, true);
      const rows = Math.min(this.#content.rows, (row * epochsPerShard + epochs) * epochRows);
      if (epochs < epochsPerShard) return Math.max(published, rows);
    }
  }

  #append(name: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    const file = this.#files.get(name);
    if (file === undefined) {
      this.#host.wrong(`append to ${name}, which is not there`);
      return Promise.resolve();
    }
    if (file.isBusy) this.#host.wrong(`appends to ${name} overlap`);
    file.isBusy = true;
    const lent = bytes.slice();
    const whole = concat([file.bytes, lent]);
    this.#checkCommits(name, readJournal(whole));
    const still = (): void => {
      if (Buffer.compare(lent, bytes) !== 0)
        this.#host.wrong(`memory of an append to ${name} changed before it settled`);
      file.isBusy = false;
    };
    return this.#host.call(
      `journal append ${name}`,
      () => {
        still();
        file.bytes = whole;
        if (durable) file.durableBytes = whole.byteLength;
      },
      still,
    );
  }

  /** From the beginning of an append on, a reader may find it: what it names must be there, and be all there is. */
  #checkCommits(name: string, journal: Journal): void {
    const row = Number(name.split(".").at(-1));
    if (journal.header === undefined) this.#host.wrong(`${name} begins without a header`);
    const there = this.#epochsThere(row, journal, false);
    if (there < journal.epochCount)
      this.#host.wrong(`${name} commits ${journal.epochCount} epochs, ${there} are there`);
  }

  /** Leading epochs of the row of which the journal names every chunk, and names it right. */
  #epochsThere(row: number, journal: Journal, durable: boolean): number {
    const { shardsPerRow, epochsPerShard } = this.#content.shape;
    const records = journal.commits.flatMap((commit) =>
      Array.from({ length: commit.recordCount }, (_, i) => commit.record(i)),
    );
    for (let epoch = 0; epoch < journal.epochCount; epoch++) {
      if (this.#content.isSkipped(row * epochsPerShard + epoch)) continue;
      for (let shard = 0; shard < shardsPerRow; shard++) {
        const record = records.find((r) => r.shard === shard && r.entry === epoch);
        const chunk = this.#content.chunk(row * epochsPerShard + epoch, shard);
        if (record === undefined || record.crc !== crc32c(chunk)) return epoch;
        if (record.offset + record.nbytes > this.#host.shardBytes(row, shard, durable)) return epoch;
      }
    }
    return journal.epochCount;
  }
}
