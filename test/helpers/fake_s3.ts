import { crc32 } from "node:zlib";
import { MillraceError } from "../../src/base/errors.js";
import type {
  ByteRange,
  Cancelable,
  Condition,
  ListedObject,
  ObjectAbout,
  ObjectHead,
  S3Api,
  UnfinishedUpload,
  UploadedPart,
  UploadName,
} from "../../src/s3/s3_api.js";

/** One call of the interface, before it does anything. */
export interface S3Call {
  /** Name of the method. */
  readonly method: keyof S3Api;
  /** Of the object; a prefix for lists; "" where there is none. */
  readonly key: string;
  /** From 1, over all methods. */
  readonly index: number;
}

interface StoredObject {
  readonly bytes: Uint8Array;
  readonly metadata: Readonly<Record<string, string>>;
}

interface StoredUpload extends UploadName {
  readonly parts: Map<number, Uint8Array>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** As the SDK's adapter would word it. */
export function s3Failure(
  code: "S3_UNREACHABLE" | "S3_SERVER_ERROR" | "S3_ACCESS_DENIED" | "S3_UNSUPPORTED",
  call: S3Call,
) {
  return new MillraceError(code, `${call.method} on ${call.key} failed.`, { context: { operation: call.method } });
}

function refusal(code: "S3_CONFLICT" | "S3_REFUSED", s3Code: string, status: number): MillraceError {
  return new MillraceError(code, `${s3Code}.`, { context: { s3Code, status } });
}

/**
 * A bucket in memory with S3's rules: whole objects, parts of 5 MiB or more but for the last, conditional writes,
 * uploads that stay until they are completed or aborted. `before` and `after` run around what a call does: to wait, or
 * to throw; what throws in `after` has happened.
 */
export class FakeS3 implements S3Api {
  readonly location = "s3://fake/store";
  readonly objects = new Map<string, StoredObject>();
  readonly uploads = new Map<string, StoredUpload>();
  readonly calls: S3Call[] = [];
  before: (call: S3Call) => Promise<void> | void = () => {};
  after: (call: S3Call) => Promise<void> | void = () => {};
  /** What createUpload says about itself. */
  createAttempts = 1;
  partBytesMin = 5 * 2 ** 20;
  closed = false;
  /** Parts being sent, now and at most. */
  sending = 0;
  sendingMax = 0;
  #lastUpload = 0;

  /** The same bucket as it is now, on its own from here on. */
  copy(): FakeS3 {
    const copy = new FakeS3();
    copy.partBytesMin = this.partBytesMin;
    for (const [key, object] of this.objects) copy.objects.set(key, object);
    for (const [id, upload] of this.uploads) copy.uploads.set(id, { ...upload, parts: new Map(upload.parts) });
    copy.#lastUpload = this.#lastUpload;
    return copy;
  }

  /** The bytes under a key. */
  bytes(key: string): Uint8Array | undefined {
    return this.objects.get(key)?.bytes;
  }

  keys(): string[] {
    return [...this.objects.keys()].sort();
  }

  async putObject(key: string, body: Uint8Array, about: ObjectAbout & Condition): Promise<void> {
    await this.#call(
      "putObject",
      key,
      () => {
        if (about.ifAbsent && this.objects.has(key)) throw refusal("S3_CONFLICT", "PreconditionFailed", 412);
        this.objects.set(key, { bytes: body.slice(), metadata: { ...about.metadata } });
      },
      about,
    );
  }

  createUpload(key: string, about: ObjectAbout): Promise<{ uploadId: string; attempts: number }> {
    return this.#call(
      "createUpload",
      key,
      () => {
        const uploadId = `u${++this.#lastUpload}`;
        this.uploads.set(uploadId, { key, uploadId, parts: new Map(), metadata: { ...about.metadata } });
        return { uploadId, attempts: this.createAttempts };
      },
      about,
    );
  }

  async uploadPart(
    upload: UploadName,
    partNumber: number,
    body: Uint8Array,
    about: Cancelable = {},
  ): Promise<UploadedPart> {
    this.sending++;
    this.sendingMax = Math.max(this.sendingMax, this.sending);
    try {
      return await this.#call(
        "uploadPart",
        upload.key,
        () => {
          this.#find(upload).parts.set(partNumber, body.slice());
          return { partNumber, etag: `"${crc32(body)}"`, crc32: String(crc32(body)) };
        },
        about,
      );
    } finally {
      this.sending--;
    }
  }

  async completeUpload(upload: UploadName, parts: readonly UploadedPart[], about: Condition): Promise<void> {
    await this.#call(
      "completeUpload",
      upload.key,
      () => {
        const stored = this.#find(upload);
        if (about.ifAbsent && this.objects.has(upload.key)) throw refusal("S3_CONFLICT", "PreconditionFailed", 412);
        const bodies = parts.map(({ partNumber, etag, crc32: sum }, i) => {
          const body = stored.parts.get(partNumber);
          if (body === undefined || etag !== `"${crc32(body)}"` || sum !== String(crc32(body))) {
            throw refusal("S3_REFUSED", "InvalidPart", 400);
          }
          if (i < parts.length - 1 && body.byteLength < this.partBytesMin)
            throw refusal("S3_REFUSED", "EntityTooSmall", 400);
          if (i > 0 && partNumber <= parts[i - 1].partNumber) throw refusal("S3_REFUSED", "InvalidPartOrder", 400);
          return body;
        });
        if (bodies.length === 0) throw refusal("S3_REFUSED", "MalformedXML", 400);
        this.objects.set(upload.key, { bytes: new Uint8Array(Buffer.concat(bodies)), metadata: stored.metadata });
        this.uploads.delete(upload.uploadId);
      },
      about,
    );
  }

  async abortUpload(upload: UploadName, about: Cancelable = {}): Promise<void> {
    await this.#call(
      "abortUpload",
      upload.key,
      () => {
        this.uploads.delete(upload.uploadId);
      },
      about,
    );
  }

  async *listUploads(prefix: string, about: Cancelable = {}): AsyncIterable<UnfinishedUpload> {
    const found = await this.#call(
      "listUploads",
      prefix,
      () => [...this.uploads.values()].filter(({ key }) => key.startsWith(prefix)),
      about,
    );
    for (const { key, uploadId } of found) yield { key, uploadId, startedMs: undefined };
  }

  head(key: string): Promise<ObjectHead | undefined> {
    return this.#call("head", key, () => {
      const object = this.objects.get(key);
      return object && { bytes: object.bytes.byteLength, metadata: object.metadata };
    });
  }

  get(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    return this.#call("get", key, () => {
      const bytes = this.objects.get(key)?.bytes;
      if (bytes === undefined || range === undefined) return bytes?.slice();
      return bytes.slice(range.offset, range.offset + range.length);
    });
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    const keys = await this.#call("list", prefix, () => this.keys().filter((key) => key.startsWith(prefix)));
    for (const key of keys) {
      const bytes = this.objects.get(key)?.bytes.byteLength;
      if (bytes !== undefined) yield { key, bytes };
    }
  }

  async remove(keys: readonly string[], about: Cancelable = {}): Promise<void> {
    const run = (): void => {
      for (const key of keys) this.objects.delete(key);
    };
    await this.#call("remove", keys[0] ?? "", run, about);
  }

  async headBucket(): Promise<void> {
    await this.#call("headBucket", "", () => {});
  }

  close(): void {
    this.closed = true;
  }

  #find({ key, uploadId }: UploadName): StoredUpload {
    const upload = this.uploads.get(uploadId);
    if (upload?.key !== key) throw refusal("S3_REFUSED", "NoSuchUpload", 404);
    return upload;
  }

  async #call<T>(method: keyof S3Api, key: string, run: () => T, { signal }: Cancelable = {}): Promise<T> {
    const call = { method, key, index: this.calls.length + 1 };
    this.calls.push(call);
    await Promise.race([this.before(call), canceled(signal)]);
    const result = run();
    await this.after(call);
    return result;
  }
}

/** Rejects once the signal aborts; never settles without. */
function canceled(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const cancel = () => reject(new MillraceError("WRITER_ABORTED", "the request was canceled."));
    if (signal?.aborted) cancel();
    else signal?.addEventListener("abort", cancel, { once: true });
  });
}
