import zlib from "node:zlib";
import type * as Sdk from "@aws-sdk/client-s3";
import { type ErrorCode, isMillraceError, MillraceError } from "../base/errors.js";
import { forEachLimited } from "../base/limited.js";
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
} from "./s3_api.js";
import { s3CodeOf, statusOf, toS3Error } from "./s3_error.js";
import { type S3Place, s3Location } from "./s3_options.js";
import { makeClient, type SdkModule } from "./sdk_client.js";
import { exactly, rangeHeader } from "./sdk_ranges.js";

/** Objects of one DeleteObjects request (S3 API reference). */
const REMOVED_AT_ONCE = 1000;
/** DeleteObject requests at a time, on servers without the other. */
const REMOVED_SIDE_BY_SIDE = 8;

/**
 * Opens the AWS SDK on a place. Loads `@aws-sdk/client-s3`, an optional peer, only here.
 *
 * @param sockets connections to the server at once.
 * @throws MillraceError S3_CLIENT_MISSING
 */
export async function openSdkApi(place: S3Place, sockets: number): Promise<S3Api> {
  let sdk: SdkModule;
  try {
    sdk = await import("@aws-sdk/client-s3");
  } catch (cause) {
    throw new MillraceError("S3_CLIENT_MISSING", `the package @aws-sdk/client-s3 did not load: ${String(cause)}.`, {
      context: { package: "@aws-sdk/client-s3" },
      hint: "npm install @aws-sdk/client-s3",
      cause,
    });
  }
  return new SdkApi(sdk, place, sockets);
}

function base64Crc32(bytes: Uint8Array): string {
  const word = Buffer.alloc(4);
  word.writeUInt32BE(zlib.crc32(bytes));
  return word.toString("base64");
}

class SdkApi implements S3Api {
  readonly location: string;
  readonly #sdk: SdkModule;
  readonly #client: Sdk.S3Client;
  readonly #place: S3Place;
  readonly #prefix: string;
  #closed = false;
  /** The server has refused DeleteObjects and has taken DeleteObject. */
  #removesOneByOne = false;
  /** One for each read on its way: ending a connection alone makes the SDK ask again, minutes long. */
  readonly #reads = new Set<AbortController>();

  constructor(sdk: SdkModule, place: S3Place, sockets: number) {
    this.#sdk = sdk;
    this.#place = place;
    this.#client = makeClient(sdk, place, sockets);
    this.#prefix = place.prefix === "" ? "" : `${place.prefix}/`;
    this.location = s3Location(place);
  }

  async putObject(key: string, body: Uint8Array, about: ObjectAbout & Condition): Promise<void> {
    await this.#ask("PutObject", key, () =>
      this.#client.send(
        new this.#sdk.PutObjectCommand({
          ...this.#name(key),
          Body: body,
          ContentLength: body.byteLength,
          ContentType: about.contentType ?? "application/octet-stream",
          Metadata: about.metadata,
          ...this.#checksumOf(body),
          ...(about.ifAbsent ? { IfNoneMatch: "*" } : {}),
        }),
        { abortSignal: about.signal },
      ),
    );
  }

  async createUpload(key: string, about: ObjectAbout): Promise<{ uploadId: string; attempts: number }> {
    const made = await this.#ask("CreateMultipartUpload", key, () =>
      this.#client.send(
        new this.#sdk.CreateMultipartUploadCommand({
          ...this.#name(key),
          ContentType: about.contentType ?? "application/octet-stream",
          Metadata: about.metadata,
          ...(this.#place.checksum === "none" ? {} : { ChecksumAlgorithm: "CRC32" }),
        }),
        { abortSignal: about.signal },
      ),
    );
    if (made.UploadId === undefined) throw this.#malformed("CreateMultipartUpload", key, "an UploadId");
    return { uploadId: made.UploadId, attempts: made.$metadata.attempts ?? 1 };
  }

  async uploadPart(
    { key, uploadId }: UploadName,
    partNumber: number,
    body: Uint8Array,
    about: Cancelable = {},
  ): Promise<UploadedPart> {
    const checksum = this.#checksumOf(body);
    const part = await this.#ask("UploadPart", key, () =>
      this.#client.send(
        new this.#sdk.UploadPartCommand({
          ...this.#name(key),
          UploadId: uploadId,
          PartNumber: partNumber,
          Body: body,
          ContentLength: body.byteLength,
          ...checksum,
        }),
        { abortSignal: about.signal },
      ),
    );
    if (part.ETag === undefined) throw this.#malformed("UploadPart", key, "an ETag");
    return { partNumber, etag: part.ETag, crc32: checksum.ChecksumCRC32 };
  }

  async completeUpload({ key, uploadId }: UploadName, parts: readonly UploadedPart[], about: Condition): Promise<void> {
    await this.#ask("CompleteMultipartUpload", key, () =>
      this.#client.send(
        new this.#sdk.CompleteMultipartUploadCommand({
          ...this.#name(key),
          UploadId: uploadId,
          MultipartUpload: {
            Parts: parts.map(({ partNumber, etag, crc32 }) => ({
              PartNumber: partNumber,
              ETag: etag,
              ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32 }),
            })),
          },
          ...(about.ifAbsent ? { IfNoneMatch: "*" } : {}),
        }),
        { abortSignal: about.signal },
      ),
    );
  }

  async abortUpload({ key, uploadId }: UploadName, about: Cancelable = {}): Promise<void> {
    try {
      await this.#ask("AbortMultipartUpload", key, () =>
        this.#client.send(new this.#sdk.AbortMultipartUploadCommand({ ...this.#name(key), UploadId: uploadId }), {
          abortSignal: about.signal,
        }),
      );
    } catch (error) {
      // Some servers have no code for it; a bucket or a user that is not there is another 404.
      const isGone =
        s3CodeOf(error) === "NoSuchUpload" || (statusOf(error) === 404 && isMillraceError(error, "S3_REFUSED"));
      if (!isGone) throw error;
    }
  }

  async *listUploads(prefix: string, about: Cancelable = {}): AsyncIterable<UnfinishedUpload> {
    let keyMarker: string | undefined;
    let uploadIdMarker: string | undefined;
    do {
      const page = await this.#ask("ListMultipartUploads", prefix, () =>
        this.#client.send(
          new this.#sdk.ListMultipartUploadsCommand({
            Bucket: this.#place.bucket,
            Prefix: this.#prefix + prefix,
            KeyMarker: keyMarker,
            UploadIdMarker: uploadIdMarker,
          }),
          { abortSignal: about.signal },
        ),
      );
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        const key = this.#keyOf(Key);
        if (key === undefined || UploadId === undefined || !key.startsWith(prefix)) continue;
        yield { key, uploadId: UploadId, startedMs: Initiated?.getTime() };
      }
      keyMarker = page.IsTruncated ? page.NextKeyMarker : undefined;
      uploadIdMarker = page.NextUploadIdMarker;
    } while (keyMarker !== undefined);
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    const found = await this.#find("HeadObject", key, () =>
      this.#reading((about) => this.#client.send(new this.#sdk.HeadObjectCommand(this.#name(key)), about)),
    );
    return found && { bytes: found.ContentLength ?? 0, metadata: found.Metadata ?? {} };
  }

  async get(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    if (range?.length === 0) return (await this.head(key)) && new Uint8Array(0);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#getOnce(key, range);
      } catch (error) {
        // Behind the object's end.
        if (statusOf(error) === 416) return new Uint8Array(0);
        // The SDK asks again until there is an answer, but not where its body breaks off; such an error counts no
        // attempts.
        const brokeOff = isMillraceError(error, "S3_UNREACHABLE") && error.context.attempts === undefined;
        if (!brokeOff || this.#closed || attempt >= this.#place.maxAttempts) throw error;
      }
    }
  }

  async #getOnce(key: string, range: ByteRange | undefined): Promise<Uint8Array | undefined> {
    const found = await this.#find("GetObject", key, async () => {
      const command = new this.#sdk.GetObjectCommand({ ...this.#name(key), Range: range && rangeHeader(range) });
      return await this.#reading(async (about) => {
        const answer = await this.#client.send(command, about);
        // Inside: a connection that ends in the middle of the body is an error of this operation too.
        const bytes = (await answer.Body?.transformToByteArray()) ?? new Uint8Array(0);
        return { bytes, contentRange: answer.ContentRange };
      });
    });
    return found && exactly(range, found.bytes, found.contentRange);
  }

  async *list(prefix: string, limit?: number): AsyncIterable<ListedObject> {
    let token: string | undefined;
    do {
      const command = new this.#sdk.ListObjectsV2Command({
        Bucket: this.#place.bucket,
        Prefix: this.#prefix + prefix,
        ContinuationToken: token,
        MaxKeys: limit,
      });
      const page = await this.#ask("ListObjectsV2", prefix, () =>
        this.#reading((about) => this.#client.send(command, about)),
      );
      for (const { Key, Size } of page.Contents ?? []) {
        const key = this.#keyOf(Key);
        // Consoles make "folders": empty objects whose names end in a slash.
        if (key === undefined || key === "" || key.endsWith("/")) continue;
        yield { key, bytes: Size ?? 0 };
      }
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async remove(keys: readonly string[], about: Cancelable = {}): Promise<void> {
    let at = 0;
    while (at < keys.length && !this.#removesOneByOne) {
      const some = keys.slice(at, at + REMOVED_AT_ONCE);
      try {
        await this.#removeMany(some, about);
        at += some.length;
      } catch (error) {
        // Not every server has it, and they refuse it with many words. What is wrong otherwise, DeleteObject meets too.
        if (!isMillraceError(error, "S3_UNSUPPORTED") && !isMillraceError(error, "S3_REFUSED")) throw error;
        await this.#removeOne(some[0], about);
        this.#removesOneByOne = true;
        at++;
      }
    }
    await forEachLimited(keys.slice(at), REMOVED_SIDE_BY_SIDE, (key) => this.#removeOne(key, about));
  }

  async #removeMany(keys: readonly string[], about: Cancelable): Promise<void> {
    const answer = await this.#ask("DeleteObjects", keys[0], () =>
      this.#client.send(
        new this.#sdk.DeleteObjectsCommand({
          Bucket: this.#place.bucket,
          Delete: { Objects: keys.map((key) => ({ Key: this.#prefix + key })), Quiet: true },
        }),
        { abortSignal: about.signal },
      ),
    );
    const refused = (answer.Errors ?? []).filter(({ Code }) => Code !== "NoSuchKey");
    if (refused.length === 0) return;
    const { Key, Code, Message } = refused[0];
    throw toS3Error(Object.assign(new Error(Message ?? "not deleted"), { Code, $metadata: answer.$metadata }), {
      operation: "DeleteObjects",
      bucket: this.#place.bucket,
      key: Key,
    });
  }

  async #removeOne(key: string, about: Cancelable): Promise<void> {
    await this.#find("DeleteObject", key, () =>
      this.#client.send(new this.#sdk.DeleteObjectCommand(this.#name(key)), { abortSignal: about.signal }),
    );
  }

  async headBucket(): Promise<void> {
    const command = new this.#sdk.HeadBucketCommand({ Bucket: this.#place.bucket });
    try {
      await this.#ask("HeadBucket", undefined, () => this.#reading((about) => this.#client.send(command, about)));
    } catch (error) {
      // An answer to HEAD has no body, so nothing but the status tells which of the two it was.
      if (statusOf(error) === 404)
        throw this.#error("S3_NO_BUCKET", "HeadBucket", undefined, "there is no such bucket", error);
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    for (const controller of this.#reads) controller.abort();
    this.#client.destroy();
  }

  /** A request that `close` ends. */
  async #reading<T>(send: (about: { readonly abortSignal: AbortSignal }) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#reads.add(controller);
    try {
      return await send({ abortSignal: controller.signal });
    } finally {
      this.#reads.delete(controller);
    }
  }

  #name(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#place.bucket, Key: this.#prefix + key };
  }

  #keyOf(full: string | undefined): string | undefined {
    return full?.startsWith(this.#prefix) ? full.slice(this.#prefix.length) : undefined;
  }

  #checksumOf(body: Uint8Array): { readonly ChecksumCRC32?: string } {
    return this.#place.checksum === "none" ? {} : { ChecksumCRC32: base64Crc32(body) };
  }

  async #ask<T>(operation: string, key: string | undefined, send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      const full = key === undefined ? undefined : this.#prefix + key;
      throw toS3Error(error, { operation, bucket: this.#place.bucket, key: full });
    }
  }

  /** Undefined where the object is absent; a bucket that is absent, or a user, stays an error. */
  async #find<T>(operation: string, key: string, send: () => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#ask(operation, key, send);
    } catch (error) {
      if (statusOf(error) === 404 && isMillraceError(error, "S3_REFUSED")) return undefined;
      throw error;
    }
  }

  #malformed(operation: string, key: string, missing: string): MillraceError {
    const why = `the response lacks ${missing}; the endpoint does not look like S3`;
    return this.#error("S3_UNSUPPORTED", operation, key, why);
  }

  #error(code: ErrorCode, operation: string, key: string | undefined, why: string, cause?: unknown): MillraceError {
    const { bucket } = this.#place;
    return new MillraceError(code, `${operation} on ${this.location} failed: ${why}.`, {
      context: { operation, bucket, ...(key === undefined ? {} : { key: this.#prefix + key }) },
      cause,
    });
  }
}
