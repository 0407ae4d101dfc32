/**
 * What Millrace asks of an S3 server, and no more. Keys are those of the store: the place's prefix is put in front
 * inside.
 *
 * Every failure is a MillraceError with an S3_… code; bucket, operation, key, HTTP status, request id and attempts are
 * in its context. Requests are attempted again inside, as the place says, where that is safe for S3. What was attempted
 * twice may have happened twice: see `attempts`.
 */
export interface S3Api {
  /** `s3://bucket/prefix`. */
  readonly location: string;

  /**
   * Replaces the object, or with `ifAbsent` makes it (If-None-Match: *), else S3_CONFLICT. `body` is borrowed until
   * this settles.
   */
  putObject(key: string, body: Uint8Array, about: ObjectAbout & Condition): Promise<void>;

  /** `attempts` above 1: an earlier attempt may have made an upload whose id nobody has. */
  createUpload(key: string, about: ObjectAbout): Promise<{ readonly uploadId: string; readonly attempts: number }>;
  /** @param partNumber from 1. `body` is borrowed until this settles. */
  uploadPart(upload: UploadName, partNumber: number, body: Uint8Array, about?: Cancelable): Promise<UploadedPart>;
  /** Makes the object visible, of the parts in the order given. */
  completeUpload(upload: UploadName, parts: readonly UploadedPart[], about: Condition): Promise<void>;
  /** No error when there is no such upload any more. */
  abortUpload(upload: UploadName, about?: Cancelable): Promise<void>;
  /** Unfinished uploads whose keys begin with `prefix`. */
  listUploads(prefix: string, about?: Cancelable): AsyncIterable<UnfinishedUpload>;

  /** Undefined: there is no such object. */
  head(key: string): Promise<ObjectHead | undefined>;
  /** The whole object, or the bytes that `range` names; undefined when there is no such object. */
  get(key: string, range?: ByteRange): Promise<Uint8Array | undefined>;
  /**
   * Objects whose keys begin with `prefix`, in the order of their UTF-8 bytes. `limit`: a first page no larger than
   * that.
   */
  list(prefix: string, limit?: number): AsyncIterable<ListedObject>;
  /** No error for objects that are not there. */
  remove(keys: readonly string[], about?: Cancelable): Promise<void>;
  /** Whether the bucket is there and may be looked at. */
  headBucket(): Promise<void>;
  /** Closes connections. Requests on their way fail; reads (head, get, list, headBucket) do so at once. */
  close(): void;
}

/** Requests on their way end with an error soon after it aborts. Whether they have landed is open then. */
export interface Cancelable {
  readonly signal?: AbortSignal;
}

export interface ObjectAbout extends Cancelable {
  /** User metadata (x-amz-meta-…), ASCII. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly contentType?: string;
}

export interface Condition extends Cancelable {
  readonly ifAbsent?: boolean;
}

export interface UploadName {
  readonly key: string;
  readonly uploadId: string;
}

export interface UploadedPart {
  readonly partNumber: number;
  readonly etag: string;
  /** Base64, as it was sent; undefined where checksums are off. */
  readonly crc32: string | undefined;
}

export interface UnfinishedUpload extends UploadName {
  /** By the server's clock, ms since 1970; undefined when it does not say. */
  readonly startedMs: number | undefined;
}

export interface ObjectHead {
  readonly bytes: number;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
}
