import { isMillraceError, MillraceError } from "../base/errors.js";
import type { S3Api } from "../s3/s3_api.js";
import { checkS3Options, type S3Options, s3Location } from "../s3/s3_options.js";
import { checkPath, type StoreEntry, type StoreReader } from "./store_reader.js";

/** Connections at once. Verifying takes eight by default; whoever reads more at a time waits in line. */
const SOCKETS = 32;

/**
 * A store in a bucket of S3, or of a server that speaks its protocol. The client is loaded, and credentials are looked
 * for, at the first read. Idle connections stay open for the next read and do not keep the process alive.
 */
export class S3Store implements StoreReader, AsyncDisposable {
  /** `s3://bucket/prefix`. */
  readonly location: string;
  readonly #open: () => Promise<S3Api>;
  #api: Promise<S3Api> | undefined;

  /** @internal Callers of the library have {@link s3Store}. */
  constructor(location: string, open: () => Promise<S3Api>) {
    this.location = location;
    this.#open = open;
  }

  /** The whole object; undefined: there is none. */
  get(key: string): Promise<Uint8Array | undefined> {
    return this.#ask(key, (api) => api.get(key));
  }

  /** `length` bytes from `offset`, fewer where the object ends before; undefined: there is none. */
  getRange(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.#ask(key, (api) => api.get(key, { offset, length }));
  }

  /** Bytes of an object; undefined: there is none. */
  size(key: string): Promise<number | undefined> {
    return this.#ask(key, async (api) => (await api.head(key))?.bytes);
  }

  /** Every object below `prefix`, at any depth, sorted by key. */
  async *list(prefix: string): AsyncIterable<StoreEntry> {
    checkPath(prefix);
    try {
      const api = await this.#opened();
      // A key with a backslash or with two slashes in a row is still an object lying in the store; it is listed, never
      // read.
      for await (const { key, bytes } of api.list(prefix === "" ? "" : `${prefix}/`)) yield { key, size: bytes };
    } catch (error) {
      throw readError(error, prefix);
    }
  }

  /** Ends its connections; reads on their way fail. A later read opens new ones. Never fails. */
  async close(): Promise<void> {
    const opened = this.#api;
    this.#api = undefined;
    // A client that did not load has been reported to whoever wanted to read.
    await opened?.then(
      (api) => api.close(),
      () => {},
    );
  }

  /** `await using`: {@link S3Store.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #opened(): Promise<S3Api> {
    this.#api ??= this.#open();
    return this.#api;
  }

  async #ask<T>(key: string, run: (api: S3Api) => Promise<T>): Promise<T> {
    checkPath(key);
    try {
      return await run(await this.#opened());
    } catch (error) {
      throw readError(error, key);
    }
  }
}

/** What the client cannot name is, to it, an error of the sink; here nothing is written. */
function readError(error: unknown, key: string): unknown {
  if (isMillraceError(error) && error.code !== "SINK_FAILED") return error;
  const context = isMillraceError(error) ? error.context : {};
  const message = error instanceof Error ? error.message : String(error);
  return new MillraceError("STORE_READ_FAILED", message, { context: { key, ...context }, cause: error });
}

/**
 * A store in a bucket, to read with `openArray`, `inspectStore` or `verifyStore`. They also take the text
 * `s3://bucket/prefix`, with everything else from the environment: use this for another endpoint, region or profile, or
 * to close connections early. Needs the package `@aws-sdk/client-s3`, loaded at the first read.
 *
 * Reading takes `s3:GetObject`, and `s3:ListBucket` for listing and to tell an object that is absent from one that is
 * not allowed. Failures while reading: S3_CLIENT_MISSING, S3_CREDENTIALS, S3_ACCESS_DENIED, S3_NO_BUCKET,
 * S3_WRONG_REGION, S3_CLOCK_SKEW, S3_UNREACHABLE, S3_SERVER_ERROR, S3_UNSUPPORTED, S3_REFUSED, STORE_READ_FAILED.
 * @throws MillraceError INVALID_OPTION
 */
export function s3Store(options: S3Options): S3Store {
  const place = checkS3Options("s3Store", options);
  return new S3Store(s3Location(place), async () => {
    const { openSdkApi } = await import("../s3/sdk_api.js");
    return await openSdkApi(place, SOCKETS);
  });
}
