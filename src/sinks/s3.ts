import { assert } from "../base/assert.js";
import { wallIso } from "../base/clock.js";
import { isMillraceError, MillraceError } from "../base/errors.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { unlessAborted } from "../base/unless_aborted.js";
import type { OpenMode, ShardExpectation, ShardHandle, Sink, StoredObjects } from "../handoff/sink.js";
import { encodeMarker, MARKER_KEY, type WriterMarker } from "../journal/writer_marker.js";
import { forManyRequests } from "../s3/many_requests.js";
import { planParts } from "../s3/part_plan.js";
import { PartPool } from "../s3/part_pool.js";
import type { S3Api } from "../s3/s3_api.js";
import { hasLanded, ShardUpload, type UploadHome } from "../s3/shard_upload.js";
import { WRITE_ID_NAME } from "../s3/write_id.js";
import { notClosed } from "./not_closed.js";
import { checkKey } from "./object_key.js";

export interface S3SinkSettings {
  readonly api: S3Api;
  /** Undefined: chosen from the size of the shards. */
  readonly partBytes: number | undefined;
  /** Parts on their way at once. */
  readonly concurrency: number;
}

/** The one object that every Zarr v3 node has. */
/**
 * What an aborted stream may still take to remove its uploads and publish what is whole. What is left then, `recover`
 * does.
 */
const LAST_WORDS_MS = 10_000;
/** Keys that one request removes. */
const REMOVED_AT_ONCE = 1000;

/**
 * A store in a bucket. Every shard and every zarr.json is one object, visible only when it is whole: S3 has no partial
 * objects. While it is written the store holds a marker, `.millrace/writer.json`; it stays when something went wrong,
 * and then `recover` removes unfinished uploads and publishes what is complete.
 */
export class S3Sink implements Sink {
  readonly kind = "s3";
  readonly location: string;
  readonly parallelShards: number;
  readonly #api: S3Api;
  readonly #partBytes: number | undefined;
  readonly #home: UploadHome;
  /** Names this stream; each object appends a number of its own. */
  readonly #streamId = crypto.randomUUID();
  #objects = 0;
  readonly #open = new Map<string, ShardUpload>();
  /** The last put of each key that has one on its way. */
  readonly #puts = new Map<string, Promise<void>>();
  #marker: WriterMarker | undefined;
  /** Every upload ended without leaving anything on the server, and every object that was put is there. */
  #clean = true;
  #closing: Promise<void> | undefined;
  /** Aborts once the stream is in a hurry: nobody wants the store to be opened any more, or anything read. */
  readonly #hurry = new AbortController();
  /** Aborts LAST_WORDS_MS later, requests that had begun before included. */
  readonly #lastWords = new AbortController();

  constructor({ api, partBytes, concurrency }: S3SinkSettings) {
    // Shards that are copied are read side by side.
    forManyRequests(this.#hurry.signal);
    this.location = api.location;
    this.parallelShards = concurrency;
    this.#api = api;
    this.#partBytes = partBytes;
    this.#home = {
      api,
      pool: new PartPool(concurrency),
      conditional: true,
      unreachable: false,
      lastWords: forManyRequests(this.#lastWords.signal),
      ended: (key, clean) => {
        this.#open.delete(key);
        this.#clean &&= clean;
      },
    };
  }

  open(mode: OpenMode): Promise<void> {
    return this.#unlessHurried(this.#begin(mode));
  }

  /**
   * Reads cannot be told to stop one by one; they end when the connections are closed, which nobody has to wait for.
   */
  #unlessHurried<T>(call: Promise<T>): Promise<T> {
    return unlessAborted(call, this.#hurry.signal);
  }

  async #begin(mode: OpenMode): Promise<void> {
    const marker = { writeId: this.#streamId, started: wallIso(), endsAt: undefined };
    if (mode === "create") {
      await this.#refuseExisting();
      await this.#putFirstMarker(marker, () => this.#exists(MARKER_KEY, "is being written by somebody else"));
    } else if (mode === "resume") {
      await this.#requireStore();
      await this.#putFirstMarker(marker, () => notClosed(this.location, MARKER_KEY));
    } else {
      await this.#refuseForeign();
      // First: from here on an overwrite that is interrupted can be started again, zarr.json or not.
      await this.#api.putObject(MARKER_KEY, encodeMarker(marker), this.#aboutMarker(this.#nextId()));
      await this.#removeStore();
    }
    this.#marker = marker;
  }

  readonly stored: StoredObjects = {
    size: async (key) => (await this.#unlessHurried(this.#api.head(key)))?.bytes,
    getRange: (key, offset, length) => this.#unlessHurried(this.#api.get(key, { offset, length })),
  };

  async openShard(key: string, expected: ShardExpectation): Promise<ShardHandle> {
    checkKey(key);
    assert(!this.#open.has(key), "a shard is opened once at a time", { key });
    const partBytes = Math.min(planParts(expected.maxBytes, this.#partBytes), expected.maxBytes);
    const upload = new ShardUpload(key, this.#nextId(), partBytes, this.#home, expected.replaces ?? false);
    this.#open.set(key, upload);
    return {
      write: (segments) => upload.write(segments),
      seal: (tail) => upload.seal(tail),
      // Nothing can be kept of an object that is not whole; its parts would only cost money. But what is in its place
      // may be looked for.
      abandon: (keep) => {
        if (keep) this.#clean = false;
        return upload.abandon();
      },
    };
  }

  putObject(key: string, bytes: Uint8Array): Promise<void> {
    // One after the other for each key: two requests on their way may arrive in any order.
    const before = this.#puts.get(key) ?? Promise.resolve();
    const put = before.catch(() => {}).then(() => this.#put(key, bytes));
    this.#puts.set(key, put);
    const forget = () => {
      if (this.#puts.get(key) === put) this.#puts.delete(key);
    };
    put.then(forget, forget);
    return put;
  }

  readonly announceEnd = async (rows: number): Promise<void> => {
    assert(this.#marker !== undefined, "the sink is open");
    this.#marker = { ...this.#marker, endsAt: rows };
    await this.putObject(MARKER_KEY, encodeMarker(this.#marker));
  };

  readonly hurry = (): void => {
    if (this.#hurry.signal.aborted) return;
    AbortSignal.timeout(LAST_WORDS_MS).addEventListener("abort", () => this.#lastWords.abort(), { once: true });
    this.#hurry.abort(new MillraceError("WRITER_ABORTED", `the stream to ${this.location} was aborted.`));
    for (const upload of this.#open.values()) upload.hurry();
  };

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      const left = [...this.#open.keys()];
      await Promise.allSettled(this.#puts.values());
      assert(left.length === 0, "every shard is sealed or abandoned before the sink closes", { keys: left });
      const { lastWords: signal } = this.#home;
      if (this.#marker !== undefined && this.#clean) await this.#api.remove([MARKER_KEY], { signal });
    } finally {
      this.#home.pool.clear();
      this.#api.close();
    }
  }

  async #put(key: string, bytes: Uint8Array): Promise<void> {
    checkKey(key);
    const id = this.#nextId();
    try {
      await this.#api.putObject(key, bytes, { ...this.#about(id, key), signal: this.#home.lastWords });
    } catch (error) {
      if (await this.#hasLanded(key, id, bytes, error)) return;
      this.#clean = false;
      throw error;
    }
  }

  /** In a hurry nobody waits for a server that may not answer that either: then the write counts as lost. */
  async #hasLanded(key: string, id: string, bytes: Uint8Array, error: unknown): Promise<boolean> {
    if (this.#hurry.signal.aborted) return false;
    const landed = hasLanded(this.#api, key, id, bytes.byteLength, error);
    return await this.#unlessHurried(landed).catch(() => false);
  }

  /** If-None-Match makes the marker a lock: of two writers that find the place empty at the same time, one makes it. */
  async #putFirstMarker(marker: WriterMarker, inUse: () => MillraceError): Promise<void> {
    const bytes = encodeMarker(marker);
    const id = this.#nextId();
    try {
      await this.#api.putObject(MARKER_KEY, bytes, { ...this.#aboutMarker(id), ifAbsent: true });
    } catch (error) {
      if (isMillraceError(error, "S3_UNSUPPORTED")) {
        this.#home.conditional = false;
        return this.#api.putObject(MARKER_KEY, bytes, this.#aboutMarker(id));
      }
      if (await this.#hasLanded(MARKER_KEY, id, bytes, error)) return;
      if (isMillraceError(error, "S3_CONFLICT")) throw inUse();
      throw error;
    }
  }

  async #refuseExisting(): Promise<void> {
    const [first] = await this.#firstKeys(1);
    if (first === undefined) return;
    if ((await this.#api.head(MARKER_KEY)) !== undefined) {
      throw this.#exists(first, "holds a store that is being written, or whose writer has crashed");
    }
    const isStore = (await this.#api.head(METADATA_NAME)) !== undefined;
    throw this.#exists(first, isStore ? "already holds a store" : `is not empty (${first} …)`);
  }

  async #requireStore(): Promise<void> {
    if ((await this.#api.head(MARKER_KEY)) !== undefined) throw notClosed(this.location, MARKER_KEY);
    if ((await this.#api.head(METADATA_NAME)) !== undefined) return;
    throw new MillraceError(
      "STORE_NOT_FOUND",
      `${this.location} holds no ${METADATA_NAME}, and the mode is "resume".`,
      {
        context: { location: this.location, key: METADATA_NAME },
        hint: 'Check bucket and prefix, or use mode: "create" to begin a store.',
      },
    );
  }

  #exists(key: string, what: string): MillraceError {
    return new MillraceError("STORE_EXISTS", `${this.location} ${what}, and the mode is "create".`, {
      context: { location: this.location, key },
      hint:
        'Choose another prefix, recover the store if its writer has crashed, or use mode: "overwrite" ' +
        "to delete it first.",
    });
  }

  async #refuseForeign(): Promise<void> {
    const [first] = await this.#firstKeys(1);
    if (first === undefined) return;
    for (const key of [METADATA_NAME, MARKER_KEY]) {
      if ((await this.#api.head(key)) !== undefined) return;
    }
    throw new MillraceError(
      "INVALID_OPTION",
      `mode "overwrite" does not delete ${this.location}: it has no ${METADATA_NAME}, so it does not look ` +
        "like a store.",
      {
        context: { location: this.location, option: "mode", key: first },
        hint: "Check bucket and prefix; delete the objects yourself if they are the right ones.",
      },
    );
  }

  async #firstKeys(count: number): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.#api.list("", count)) {
      keys.push(key);
      if (keys.length === count) break;
    }
    return keys;
  }

  /**
   * All objects but the marker, the root's metadata first so that no reader sees a store with holes; then unfinished
   * uploads.
   */
  async #removeStore(): Promise<void> {
    const { signal } = this.#hurry;
    await this.#api.remove([METADATA_NAME], { signal });
    let doomed: string[] = [];
    for await (const { key } of this.#api.list("")) {
      if (key === MARKER_KEY) continue;
      doomed.push(key);
      if (doomed.length < REMOVED_AT_ONCE) continue;
      await this.#api.remove(doomed, { signal });
      doomed = [];
    }
    if (doomed.length > 0) await this.#api.remove(doomed, { signal });
    try {
      for await (const upload of this.#api.listUploads("", { signal })) await this.#api.abortUpload(upload, { signal });
    } catch (error) {
      if (!isMillraceError(error, "S3_UNSUPPORTED")) throw error;
    }
  }

  #about(writeId: string, key: string) {
    const contentType = key.endsWith(".json") ? "application/json" : undefined;
    return { metadata: { [WRITE_ID_NAME]: writeId }, contentType };
  }

  /** Of the marker that opens the store: nobody waits for it in a hurry. */
  #aboutMarker(writeId: string) {
    return { ...this.#about(writeId, MARKER_KEY), signal: this.#hurry.signal };
  }

  #nextId(): string {
    return `${this.#streamId}.${++this.#objects}`;
  }
}
