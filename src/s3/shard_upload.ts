import { assert } from "../base/assert.js";
import { sleep } from "../base/clock.js";
import { isMillraceError } from "../base/errors.js";
import { unlessAborted } from "../base/unless_aborted.js";
import { forManyRequests } from "./many_requests.js";
import type { PartPool } from "./part_pool.js";
import type { ObjectAbout, S3Api, UploadedPart, UploadName } from "./s3_api.js";
import { statusOf } from "./s3_error.js";
import { WRITE_ID_NAME } from "./write_id.js";

/** What uploads of one sink have in common. */
export interface UploadHome {
  readonly api: S3Api;
  readonly pool: PartPool;
  /** Whether the server knows If-None-Match, as far as it has been asked. */
  conditional: boolean;
  /** Set once an upload could not be given up because nobody answers: the others need not try for minutes each. */
  unreachable: boolean;
  /** Aborts some time after the stream is in a hurry: bounds what is still asked of the server then. */
  lastWords: AbortSignal | undefined;
  /** The upload is over: its object is complete, or given up. `clean`: nothing of it is left on the server. */
  ended(key: string, clean: boolean): void;
}

/** Pauses before looking again whether a write that conflicts with itself has landed, ms. */
const LANDING_PAUSES_MS = [0, 250, 1000, 3000];

/**
 * Whether the object under `key` is the one that was being written when `error` came: its answer may have been lost, or
 * a second attempt may have met the first one. False when the server cannot be asked: what is not known to be there
 * counts as lost.
 */
export async function hasLanded(
  api: S3Api,
  key: string,
  writeId: string,
  bytes: number,
  error: unknown,
): Promise<boolean> {
  for (const pauseMs of LANDING_PAUSES_MS) {
    await sleep(pauseMs);
    const head = await api.head(key).catch(() => undefined);
    if (head?.metadata[WRITE_ID_NAME] === writeId && head.bytes === bytes) return true;
    // 409: two attempts were at work at the same time, and the first may still win (ConditionalRequestConflict).
    if (statusOf(error) !== 409) return false;
  }
  return false;
}

/**
 * One shard as an S3 object: a multipart upload that begins with the second part's first byte, or one PutObject when
 * there never is a second.
 *
 * Bytes are copied into the part that fills, so that a slot is free at once and a part can be sent again from memory
 * nobody touches. The road not taken, sending from the slot itself: each write would have to wait for its parts, a
 * round trip for every batch.
 *
 * Calls are not overlapped. The first failure sticks, whichever part it came from; then `abandon` is all that helps.
 */
export class ShardUpload {
  readonly #key: string;
  readonly #writeId: string;
  readonly #partBytes: number;
  readonly #home: UploadHome;
  /** An object is there already; so no condition keeps anybody else's from being replaced. */
  readonly #replaces: boolean;
  readonly #cancel = new AbortController();
  /** The part that fills. */
  #buffer: Uint8Array | undefined;
  #filled = 0;
  #bytes = 0;
  #creating: Promise<UploadName> | undefined;
  /** More than one CreateMultipartUpload may have reached the server. */
  #mayHaveTwins = false;
  readonly #parts: Promise<UploadedPart>[] = [];
  #failure: unknown;
  #hasFailed = false;
  #over = false;

  /** @param partBytes bytes of each part but the last, which is no larger. */
  constructor(key: string, writeId: string, partBytes: number, home: UploadHome, replaces = false) {
    this.#key = key;
    this.#writeId = writeId;
    this.#partBytes = partBytes;
    this.#home = home;
    this.#replaces = replaces;
    forManyRequests(this.#cancel.signal);
    home.pool.shardBegun();
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes the bytes in; waits while all parts are on their way. The memory is free again when this settles. */
  async write(segments: readonly Uint8Array[]): Promise<void> {
    assert(!this.#over, "the shard is open", { key: this.#key });
    for (const segment of segments) {
      for (let at = 0; at < segment.byteLength; ) {
        if (this.#hasFailed) throw this.#failure;
        // A full part waits for the next byte: a shard of exactly one part is a plain PutObject.
        if (this.#filled === this.#partBytes) this.#sendPart();
        this.#buffer ??= await this.#home.pool.take(this.#partBytes);
        const bytes = Math.min(segment.byteLength - at, this.#partBytes - this.#filled);
        this.#buffer.set(segment.subarray(at, at + bytes), this.#filled);
        this.#filled += bytes;
        this.#bytes += bytes;
        at += bytes;
      }
    }
    if (this.#hasFailed) throw this.#failure;
  }

  /** Appends `tail` and makes the object whole and visible. */
  async seal(tail: Uint8Array): Promise<void> {
    await this.write([tail]);
    try {
      if (this.#creating === undefined) await this.#put();
      else await this.#complete();
    } catch (error) {
      this.#fail(error);
      throw error;
    }
    const clean = !this.#mayHaveTwins || (await this.#sweep());
    this.#end(clean);
  }

  /** Ends what is on its way, so that a call that waits for it fails soon. `abandon` must follow. */
  hurry(): void {
    this.#cancel.abort();
  }

  /** Gives the upload up and removes its parts from the server, as far as it can be reached. Never throws. */
  async abandon(): Promise<void> {
    if (this.#over) return;
    this.#fail(new Error("abandoned"));
    this.#cancel.abort();
    await Promise.allSettled(this.#parts);
    this.#end(this.#creating === undefined || (await this.#abortUpload()));
  }

  #sendPart(): void {
    const { pool, api } = this.#home;
    const buffer = this.#buffer as Uint8Array;
    const body = buffer.subarray(0, this.#filled);
    const partNumber = this.#parts.length + 1;
    this.#buffer = undefined;
    this.#filled = 0;
    this.#creating ??= this.#create();
    const creating = this.#creating;
    // The parts report it; but they may all be waiting for a connection when it fails.
    creating.catch(() => {});
    const part = pool
      .send(async () => {
        const upload = await creating;
        // One that waited for its turn while another one failed would only keep the link busy.
        if (this.#hasFailed) throw this.#failure;
        return api.uploadPart(upload, partNumber, body, { signal: this.#cancel.signal });
      })
      .finally(() => pool.give(buffer));
    part.catch((error) => this.#fail(error));
    this.#parts.push(part);
  }

  async #create(): Promise<UploadName> {
    try {
      const { uploadId, attempts } = await this.#home.api.createUpload(this.#key, this.#about);
      if (attempts > 1) this.#mayHaveTwins = true;
      return { key: this.#key, uploadId };
    } catch (error) {
      this.#mayHaveTwins = true;
      throw error;
    }
  }

  async #put(): Promise<void> {
    const { api, pool } = this.#home;
    const body = this.#buffer?.subarray(0, this.#filled) ?? new Uint8Array(0);
    await this.#settle((ifAbsent) => pool.send(() => api.putObject(this.#key, body, { ...this.#about, ifAbsent })));
  }

  async #complete(): Promise<void> {
    if (this.#filled > 0) this.#sendPart();
    const results = await Promise.allSettled(this.#parts);
    const failed = results.find((result) => result.status === "rejected");
    // The first one in time, not in order: the others were told to stop because of it.
    if (failed !== undefined) throw this.#failure;
    const parts = results.map((result) => (result as PromiseFulfilledResult<UploadedPart>).value);
    const upload = await (this.#creating as Promise<UploadName>);
    const { signal } = this.#cancel;
    await this.#settle((ifAbsent) => this.#home.api.completeUpload(upload, parts, { ifAbsent, signal }));
  }

  /** Runs what makes the object visible; a failure whose object is there all the same is none. */
  async #settle(run: (ifAbsent: boolean) => Promise<void>): Promise<void> {
    const { api } = this.#home;
    const conditional = this.#home.conditional && !this.#replaces;
    try {
      await run(conditional);
    } catch (error) {
      // Some servers know the condition on PutObject alone, some not at all.
      if (conditional && isMillraceError(error, "S3_UNSUPPORTED")) {
        this.#home.conditional = false;
        await this.#settle(run);
        return;
      }
      const { signal } = this.#cancel;
      if (signal.aborted) throw error;
      const landed = hasLanded(api, this.#key, this.#writeId, this.#bytes, error);
      // Told to stop meanwhile: nobody waits for a server that may not answer that either.
      if (!(await unlessAborted(landed, signal).catch(() => false))) throw error;
    }
  }

  /** True: nothing of the upload is left. */
  async #abortUpload(): Promise<boolean> {
    const home = this.#home;
    const upload = await this.#creating?.catch(() => undefined);
    if (home.unreachable) return false;
    try {
      if (upload !== undefined) await home.api.abortUpload(upload, { signal: home.lastWords });
    } catch (error) {
      home.unreachable ||= isMillraceError(error, "S3_UNREACHABLE");
      return false;
    }
    // Looked at afterwards: a part that was on its way may have arrived after the abort, and an upload may have been
    // made whose id was lost.
    return this.#sweep();
  }

  /** Aborts every upload under this very key. True: none is left. */
  async #sweep(): Promise<boolean> {
    const { api, lastWords: signal } = this.#home;
    try {
      for await (const upload of api.listUploads(this.#key, { signal })) {
        if (upload.key === this.#key) await api.abortUpload(upload, { signal });
      }
      return true;
    } catch (error) {
      // A server that cannot list can leave nothing for `recover` to find either.
      return isMillraceError(error, "S3_UNSUPPORTED");
    }
  }

  get #about(): ObjectAbout {
    return { metadata: { [WRITE_ID_NAME]: this.#writeId }, signal: this.#cancel.signal };
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#failure = error;
  }

  #end(clean: boolean): void {
    this.#over = true;
    if (this.#buffer !== undefined) this.#home.pool.give(this.#buffer);
    this.#buffer = undefined;
    this.#home.pool.shardEnded();
    this.#home.ended(this.#key, clean);
  }
}
