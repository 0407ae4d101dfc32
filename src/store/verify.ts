import { availableParallelism } from "node:os";
import { MillraceError } from "../base/errors.js";
import { isCount } from "../base/integers.js";
import { checkCallback, checkSignal, describeValue, optionsObject } from "../base/option_values.js";
import { reportAbort } from "../base/report_abort.js";
import { unlessAborted } from "../base/unless_aborted.js";
import { CheckPool } from "./check_pool.js";
import { LeftWriters } from "./left_writer.js";
import { type StoreTarget, withStore } from "./open_store.js";
import { isAboutOneObject, type StoreEntry, type StoreReader } from "./store_reader.js";
import { type ArrayCheck, PresentQuota } from "./verify_array.js";
import { VerifyBudget } from "./verify_budget.js";
import { type CheckedNodes, checkNodes } from "./verify_nodes.js";
import { type AnyFinding, Findings, type VerifyReport } from "./verify_report.js";
import { type ObjectOutcome, objectBytes, verifyObject } from "./verify_shard.js";
import { judgeOutside, StrayCheck } from "./verify_strays.js";
import { ancestors } from "./walk.js";

/** How far a verification is, counted over all arrays. */
export interface VerifyProgress {
  /** The object that was just checked. */
  readonly key: string;
  /** Objects that were checked. */
  readonly objectsChecked: number;
  /** Objects that the shapes of all arrays have room for; those that are absent never come. Inexact beyond 2^53. */
  readonly objectsExpected: number;
  /** Chunks that were decoded. */
  readonly chunksChecked: number;
  /** Bytes of the objects that were checked. */
  readonly bytesStored: number;
}

/** Options of {@link verifyStore}. */
export interface VerifyOptions {
  /** Stops it soon; it rejects with CALL_ABORTED. Default: none. */
  readonly signal?: AbortSignal;
  /** Called after every shard, in the order in which the store lists them. */
  readonly onProgress?: (progress: VerifyProgress) => void;
  /** Called with every finding that the report will list, as soon as it is known. */
  readonly onFinding?: (finding: AnyFinding) => void;
  /**
   * Reads and decodes at once, 1 to 256. Default 8: enough to hide a server's round trips. Files gain from it where
   * `threads` does.
   */
  readonly concurrency?: number;
  /**
   * Threads that decode, 0 to 256. 0: all on the calling thread, which is then busy most of the time. Default: as many
   * as the machine runs at once, at most 16; with one there is nothing to gain, and it counts as 0. They start once 32
   * MiB were decoded.
   */
  readonly threads?: number;
  /**
   * Bytes that indexes, chunks and what they decode to may take together, from 1 MiB. Default 1 GiB, of which an
   * ordinary store takes a small part. What takes more by itself is not checked, and is the defect MEMORY_LIMIT.
   */
  readonly memoryBytes?: number;
}

/**
 * Reads a whole store and checks everything that can be checked without knowing the data: metadata, by itself and
 * against the nodes that are there, and for every shard that is there the index's length and crc32c, the bounds and
 * overlaps of its entries, and that each chunk decodes to exactly one chunk, by way of any checksum in its codecs. A
 * chunk or shard that is absent is no defect, as Zarr reads it as the fill value; it is counted. docs/verify.md lists
 * every code, and what cannot be found.
 *
 * Whatever the bytes are, it neither throws nor hangs over them, and memory is bounded: metadata by limits of its own,
 * all else by `memoryBytes`. Findings come in the order of keys, however much is checked at once. Links to folders are
 * not followed.
 *
 * @param target a folder, a file: URL, `s3://bucket/prefix`, a Map of objects, or a reader
 * @throws MillraceError STORE_NOT_FOUND when there is no zarr.json at all; STORE_UNSUPPORTED for more than 100,000
 *   nodes; INVALID_OPTION; THREAD_FAILED; S3_CLIENT_MISSING, S3_CREDENTIALS, S3_NO_BUCKET, S3_WRONG_REGION,
 *   S3_CLOCK_SKEW or S3_UNREACHABLE when the server cannot be asked at all; CALL_ABORTED soon after the
 *   signal, with its reason as the cause. Anything else that cannot be read is a defect.
 */
export async function verifyStore(target: StoreTarget, options: VerifyOptions = {}): Promise<VerifyReport> {
  const checked = checkOptions(options);
  const verify = async (store: StoreReader) => {
    const run = new VerifyRun(store, checked);
    try {
      return await run.run();
    } finally {
      run.close();
    }
  };
  return await reportAbort("verifyStore", checked.signal, () => withStore(target, verify));
}

type CheckedOptions = Required<Pick<VerifyOptions, "concurrency" | "threads" | "memoryBytes">> & VerifyOptions;

const CONCURRENCY_DEFAULT = 8;
const AT_ONCE_MAX = 256;
const THREADS_DEFAULT_MAX = 16;
const MEMORY_BYTES_MIN = 2 ** 20;
const MEMORY_BYTES_DEFAULT = 2 ** 30;

function checkOptions(options: VerifyOptions): CheckedOptions {
  optionsObject("verifyStore", options);
  checkSignal(options.signal);
  checkCallback("onProgress", options.onProgress);
  checkCallback("onFinding", options.onFinding);
  const bounded = (option: "concurrency" | "threads" | "memoryBytes", min: number, max: number, byDefault: number) => {
    const value = options[option] ?? byDefault;
    if (isCount(value) && value >= min && value <= max) return value;
    throw new MillraceError(
      "INVALID_OPTION",
      `${option}: expected a whole number from ${min} to ${max}, got ${describeValue(value)}.`,
      {
        context: { option },
      },
    );
  };
  const parallel = availableParallelism();
  return {
    ...options,
    concurrency: bounded("concurrency", 1, AT_ONCE_MAX, CONCURRENCY_DEFAULT),
    threads: bounded("threads", 0, AT_ONCE_MAX, parallel < 2 ? 0 : Math.min(parallel, THREADS_DEFAULT_MAX)),
    memoryBytes: bounded("memoryBytes", MEMORY_BYTES_MIN, Number.MAX_SAFE_INTEGER, MEMORY_BYTES_DEFAULT),
  };
}

/** An object whose outcome is on its way. Outcomes are taken in this order. */
interface Pending {
  readonly entry: StoreEntry;
  readonly array: ArrayCheck | undefined;
  readonly coordinates: readonly number[];
  readonly outcome: Promise<ObjectOutcome>;
}

const NOTHING = { chunksChecked: 0, chunksInShape: 0, bytesDecoded: 0 };

class VerifyRun {
  readonly #findings = new Findings();
  readonly #pool: CheckPool;
  readonly #budget: VerifyBudget;
  readonly #writers: LeftWriters;
  readonly #quota = new PresentQuota();
  readonly #pending: Pending[] = [];
  readonly #progress = { objectsChecked: 0, objectsExpected: 0, chunksChecked: 0, bytesStored: 0 };

  constructor(
    private readonly store: StoreReader,
    private readonly options: CheckedOptions,
  ) {
    this.#pool = new CheckPool(options.threads);
    this.#writers = new LeftWriters(store);
    this.#budget = new VerifyBudget(options.concurrency, options.memoryBytes);
  }

  close(): void {
    this.#pool.close();
  }

  async run(): Promise<VerifyReport> {
    const { store, options } = this;
    const { signal } = options;
    signal?.throwIfAborted();
    const metadata = new Findings();
    const nodes = await unlessAborted(checkNodes(store, metadata, signal), signal);
    this.#take(metadata);
    const arrays = [...nodes.arrays.values()];
    for (const array of arrays) this.#progress.objectsExpected += array.objectsExpected;
    // The root's at once: what its writer does from now on is not to be taken for what another one has left.
    await unlessAborted(this.#writers.nearest([""]), signal);
    const strays = new StrayCheck(nodes, this.#writers, store);
    try {
      await this.#checkObjects(nodes, strays);
    } finally {
      // Whatever ends it, an outcome on its way must not count as unhandled.
      for (const { outcome } of this.#pending) outcome.catch(() => {});
    }
    const last = new Findings();
    await unlessAborted(strays.finish(last), signal);
    for (const array of arrays) array.noteAbsent(last);
    this.#take(last);
    const { defects, warnings, notes } = this.#findings;
    return {
      ok: defects.count === 0,
      location: store.location,
      arrays: arrays.map((array) => array.report()),
      groups: nodes.groups,
      defects: defects.list,
      warnings: warnings.list,
      notes: notes.list,
      unlisted: { defects: defects.unlisted, warnings: warnings.unlisted, notes: notes.unlisted },
    };
  }

  async #checkObjects(nodes: CheckedNodes, strays: StrayCheck): Promise<void> {
    const { signal } = this.options;
    const entries = this.store.list("")[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await unlessAborted(entries.next(), signal);
        if (next.done) break;
        await this.#begin(next.value, nodes, strays);
      }
    } catch (error) {
      this.#readFailure(error);
    }
    while (this.#pending.length > 0) await this.#settleOldest();
  }

  /** An error that ends a part of the work is a defect, unless it ends all. */
  #readFailure(error: unknown): void {
    this.options.signal?.throwIfAborted();
    if (!isAboutOneObject(error)) throw error;
    const findings = new Findings();
    findings.defects.add("READ", String(error.context.key ?? ""), error.message);
    this.#take(findings);
  }

  async #begin(entry: StoreEntry, nodes: CheckedNodes, strays: StrayCheck): Promise<void> {
    const array = ownerOf(entry.key, nodes.arrays);
    const coordinates = array?.coordinatesOf(entry.key);
    if (array === undefined || coordinates === undefined) {
      while (!this.#budget.tryTake(0)) await this.#settleOldest();
      const judged = strays.check(entry, array).finally(() => this.#budget.give(0));
      this.#push(
        entry,
        undefined,
        [],
        judged.then((findings) => ({ result: NOTHING, findings })),
      );
    } else {
      const bytes = objectBytes(array, entry);
      if (bytes > this.options.memoryBytes) {
        this.#push(entry, array, coordinates, Promise.resolve(tooLarge(entry, bytes, this.options.memoryBytes)));
      } else {
        while (!this.#budget.tryTake(bytes)) await this.#settleOldest();
        this.#push(entry, array, coordinates, this.#check(entry, array, coordinates, bytes));
      }
    }
    // Outcomes that wait for an older one hold no memory to speak of, but they are not to pile up.
    while (this.#pending.length >= 4 * this.#budget.lanes) await this.#settleOldest();
  }

  async #check(
    entry: StoreEntry,
    array: ArrayCheck,
    coordinates: readonly number[],
    bytes: number,
  ): Promise<ObjectOutcome> {
    const { store, options } = this;
    try {
      const surroundings = { store, pool: this.#pool, budget: this.#budget, signal: options.signal };
      const outcome = await verifyObject(entry, array, coordinates, surroundings);
      await judgeOutside(entry.key, array, coordinates, this.#writers, outcome.findings);
      return outcome;
    } finally {
      this.#budget.give(bytes);
    }
  }

  #push(
    entry: StoreEntry,
    array: ArrayCheck | undefined,
    coordinates: readonly number[],
    outcome: Promise<ObjectOutcome>,
  ): void {
    // It may fail before anybody waits for it.
    outcome.catch(() => {});
    this.#pending.push({ entry, array, coordinates, outcome });
  }

  async #settleOldest(): Promise<void> {
    const { entry, array, coordinates, outcome } = this.#pending.shift()!;
    const { result, findings } = await unlessAborted(outcome, this.options.signal);
    this.#take(findings);
    if (array === undefined) return;
    array.add(entry, coordinates, result, this.#quota);
    this.#progress.objectsChecked++;
    this.#progress.chunksChecked += result.chunksChecked;
    this.#progress.bytesStored += entry.size;
    this.options.onProgress?.({ key: entry.key, ...this.#progress });
    // The callback may abort.
    this.options.signal?.throwIfAborted();
  }

  #take(findings: Findings): void {
    for (const finding of this.#findings.take(findings)) this.options.onFinding?.(finding);
  }
}

function tooLarge({ key, size }: StoreEntry, bytes: number, limit: number): ObjectOutcome {
  const findings = new Findings();
  const message = `checking it takes up to ${bytes} bytes of memory, allowed are ${limit}`;
  findings.defects.add("MEMORY_LIMIT", key, message, { offset: 0, length: size });
  return { result: NOTHING, findings };
}

function ownerOf(key: string, arrays: ReadonlyMap<string, ArrayCheck>): ArrayCheck | undefined {
  for (const path of ancestors(key)) {
    const array = arrays.get(path);
    if (array !== undefined) return array;
  }
  return undefined;
}
