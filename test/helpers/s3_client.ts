import {
  AbortMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import type { S3Server } from "./s3_server.js";

/** What a client has to know of a server. A proxy's endpoint may stand in for the server's own. */
export type S3Place = Pick<S3Server, "endpoint" | "bucket" | "region" | "credentials"> & {
  readonly features?: Pick<S3Server["features"], "abortUpload" | "listUploads">;
};

export interface S3Head {
  readonly byteLength: number;
  readonly etag: string;
  /** The x-amz-meta-… headers, by what follows that. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface S3Upload {
  readonly key: string;
  readonly uploadId: string;
}

/** How tests look into a bucket, with nothing of what they test in between. Missing objects are undefined. */
export class TestBucket {
  readonly sdk: S3Client;
  readonly #place: S3Place;

  constructor(place: S3Place, config: S3ClientConfig = {}) {
    this.#place = place;
    this.sdk = new S3Client({
      endpoint: place.endpoint,
      region: place.region,
      credentials: place.credentials,
      forcePathStyle: true,
      // Not every server knows checksums that nobody asked for.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      ...config,
    });
  }

  /** `range` as HTTP has it: "bytes=0-9". */
  async get(key: string, range?: string): Promise<Uint8Array | undefined> {
    const { bucket: Bucket } = this.#place;
    const answer = await ifThere(this.sdk.send(new GetObjectCommand({ Bucket, Key: key, Range: range })));
    return await answer?.Body?.transformToByteArray();
  }

  async head(key: string): Promise<S3Head | undefined> {
    const { bucket: Bucket } = this.#place;
    const answer = await ifThere(this.sdk.send(new HeadObjectCommand({ Bucket, Key: key })));
    if (answer === undefined) return undefined;
    return { byteLength: answer.ContentLength!, etag: answer.ETag!, metadata: answer.Metadata ?? {} };
  }

  async put(key: string, bytes: Uint8Array, metadata?: Record<string, string>): Promise<void> {
    const { bucket: Bucket } = this.#place;
    await this.sdk.send(new PutObjectCommand({ Bucket, Key: key, Body: bytes, Metadata: metadata }));
  }

  /** Every key that starts with `prefix`, whole, sorted by its characters. */
  async keys(prefix: string): Promise<string[]> {
    const keys: string[] = [];
    let token: string | undefined;
    do {
      const page = await this.sdk.send(
        new ListObjectsV2Command({ Bucket: this.#place.bucket, Prefix: prefix, ContinuationToken: token }),
      );
      for (const object of page.Contents ?? []) keys.push(object.Key!);
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return keys.sort();
  }

  /** Unfinished multipart uploads of keys that start with `prefix`; undefined when the server cannot tell. */
  async uploads(prefix: string): Promise<S3Upload[] | undefined> {
    if (this.#place.features?.listUploads === false) return undefined;
    const uploads: S3Upload[] = [];
    let page: ListMultipartUploadsCommandOutput | undefined;
    do {
      page = await this.sdk.send(
        new ListMultipartUploadsCommand({
          Bucket: this.#place.bucket,
          Prefix: prefix,
          KeyMarker: page?.NextKeyMarker,
          UploadIdMarker: page?.NextUploadIdMarker,
        }),
      );
      for (const upload of page.Uploads ?? []) uploads.push({ key: upload.Key!, uploadId: upload.UploadId! });
    } while (page.IsTruncated);
    return uploads;
  }

  /** Removes every object and every unfinished upload below `prefix`, which may not be empty. */
  async removeBelow(prefix: string): Promise<void> {
    if (prefix === "") throw new Error("expected a prefix: the bucket may be somebody's");
    const { bucket: Bucket } = this.#place;
    const keys = await this.keys(prefix);
    for (let i = 0; i < keys.length; i += 1000) {
      const Objects = keys.slice(i, i + 1000).map((Key) => ({ Key }));
      const answer = await this.sdk.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }));
      if (answer.Errors?.length) throw new Error(`not removed: ${JSON.stringify(answer.Errors)}`);
    }
    if (this.#place.features?.abortUpload === false) return;
    for (const { key, uploadId } of (await this.uploads(prefix)) ?? []) {
      await this.sdk.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId: uploadId }));
    }
  }

  /** Closes its connections. */
  close(): void {
    this.sdk.destroy();
  }
}

async function ifThere<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && (error.name === "NoSuchKey" || error.name === "NotFound")) return undefined;
    throw error;
  }
}
