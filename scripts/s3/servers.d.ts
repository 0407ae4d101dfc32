/**
 * What a server does as S3 does it. test/s3/servers.test.ts finds each one out by trying, so that none of these goes
 * stale.
 */
export interface S3Features {
  /** Refuses a request that was signed with another secret or for another region. */
  readonly signatures: boolean;
  /** Answers 403 InvalidAccessKeyId to a key id that it does not know. */
  readonly unknownKeyId: boolean;
  /** Refuses PutObject and CompleteMultipartUpload with `If-None-Match: *` where there is an object, with 412. */
  readonly ifNoneMatch: boolean;
  /** Refuses an object or a part whose x-amz-checksum-crc32 is another than its bytes have. */
  readonly checksumRefused: boolean;
  /** Gives the checksum of an object back to who asks for it. */
  readonly checksumKept: boolean;
  /** AbortMultipartUpload. Without it, unfinished uploads stay for good. */
  readonly abortUpload: boolean;
  /** ListMultipartUploads. */
  readonly listUploads: boolean;
  /** ListParts. */
  readonly listParts: boolean;
  /** CompleteMultipartUpload refuses parts below 5 MiB in front of the last one, with EntityTooSmall. */
  readonly partMinimum: boolean;
  /** CompleteMultipartUpload refuses an ETag that is not the part's, with InvalidPart. */
  readonly partsCompared: boolean;
  /** `Range: bytes=-20` means the last 20 bytes. */
  readonly suffixRange: boolean;
  /** `Range: bytes=0-0` means one byte. */
  readonly firstByteRange: boolean;
  /** Lists keys in the order of their bytes. */
  readonly orderedListing: boolean;
  /** Lists keys as they were given, also those with `&` and `'`. */
  readonly anyKey: boolean;
  /** Takes an object `a` beside an object `a/b`. */
  readonly keyBelowKey: boolean;
  /** A reader of an object that is replaced gets the old or the new one, data and metadata, and never a mixture. */
  readonly wholePuts: boolean;
}

export interface S3Server {
  readonly kind: string;
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  readonly features: S3Features;
  /** Ends the server and removes its folder, unless one was given. Resolves once the process is gone. Idempotent. */
  stop(): Promise<void>;
}

export type LocalServerKind = "s3rver" | "versitygw";

export interface LocalServerOptions {
  /** On 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /** Where objects go; stays when the server ends. Default: a temporary folder. */
  readonly folder?: string;
  /** The binary of versitygw; see scripts/versitygw.sh. */
  readonly binary?: string;
}

export const ALL_FEATURES: S3Features;

/** Starts a server as a process of its own, which ends with this one, however that ends. */
export function startLocalServer(kind: LocalServerKind, options?: LocalServerOptions): Promise<S3Server>;
