import { MillraceError } from "../base/errors.js";
import { describeValue } from "../base/option_values.js";

/** Long-lived or temporary keys, written out. Better left to the chain of the AWS SDK, which also renews them. */
export interface S3Credentials {
  /** The key's public part. */
  readonly accessKeyId: string;
  /** The key's secret part. Never logged, never part of an error. */
  readonly secretAccessKey: string;
  /** Of temporary keys. Default: none. */
  readonly sessionToken?: string;
}

/** A place in a bucket, and how to reach it. Plain data: it crosses to the delivery worker. */
export interface S3Options {
  /** Name of the bucket; it must exist. */
  readonly bucket: string;
  /** Key prefix of the store, without a slash at either end. Default "": the store is the bucket's root. */
  readonly prefix?: string;
  /**
   * Region of the bucket. Default: AWS_REGION, or the profile's; "us-east-1" where `endpoint` is given, because most
   * S3-compatible servers ignore it but sign with it.
   */
  readonly region?: string;
  /** URL of an S3-compatible server. Default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or AWS itself. */
  readonly endpoint?: string;
  /** Default: the SDK's own chain (environment, SSO, profile, container, instance). */
  readonly credentials?: S3Credentials;
  /** Profile of ~/.aws/config. Default: AWS_PROFILE, or "default". */
  readonly profile?: string;
  /** Bucket in the path instead of the host name. Default: true where `endpoint` is given. */
  readonly forcePathStyle?: boolean;
  /**
   * What each upload carries so that the server can refuse damaged bytes. "none" for servers that answer 501 to it.
   * Default "crc32".
   */
  readonly checksum?: "crc32" | "none";
  /**
   * Attempts of each request, the first included, with growing random pauses between. Default 8: an outage of about ten
   * seconds.
   */
  readonly maxAttempts?: number;
  /** Time for a connection to be made. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Time without a byte in either direction after which an attempt counts as lost. Default 60,000. */
  readonly idleTimeoutMs?: number;
}

/** The same with every default in, but for those that the SDK finds itself. */
export interface S3Place {
  readonly bucket: string;
  readonly prefix: string;
  readonly region: string | undefined;
  readonly endpoint: string | undefined;
  readonly credentials: S3Credentials | undefined;
  readonly profile: string | undefined;
  readonly forcePathStyle: boolean | undefined;
  readonly checksum: "crc32" | "none";
  readonly maxAttempts: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

const S3_OPTION_NAMES = [
  "bucket",
  "prefix",
  "region",
  "endpoint",
  "credentials",
  "profile",
  "forcePathStyle",
  "checksum",
  "maxAttempts",
  "connectTimeoutMs",
  "idleTimeoutMs",
] as const satisfies readonly (keyof S3Options)[];

const ATTEMPTS_MAX = 100;
/** Node's timers cannot wait longer. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;
/** Of the whole key, in UTF-8 (S3 user guide, "Creating object key names"). */
const KEY_BYTES_MAX = 1024;

/** @param what the function the option was given to, for the message. */
export function invalidS3Option(what: string, option: string, expected: string, got: unknown): MillraceError {
  const shown = describeValue(got);
  return new MillraceError(
    "INVALID_OPTION",
    `${what} ${option} must be ${expected}, but is ${shown} (${typeof got}).`,
    {
      context: { option, expected, got: shown },
    },
  );
}

/**
 * Checks what a caller gave and puts the defaults in.
 * @param extra names of further options that the caller checks itself.
 * @throws MillraceError INVALID_OPTION
 */
export function checkS3Options(what: string, given: S3Options, extra: readonly string[] = []): S3Place {
  const options = given as unknown;
  if (typeof options !== "object" || options === null) throw invalidS3Option(what, "options", "an object", options);
  const known = [...S3_OPTION_NAMES, ...extra];
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw invalidS3Option(what, name, `left out; it knows ${known.join(", ")}`, name);
  }
  const text = (name: "region" | "endpoint" | "profile"): string | undefined => {
    const value: unknown = given[name];
    if (value === undefined) return undefined;
    if (typeof value !== "string" || value === "") throw invalidS3Option(what, name, "a text that is not empty", value);
    return value;
  };
  const whole = (name: "maxAttempts" | "connectTimeoutMs" | "idleTimeoutMs", preset: number, max: number): number => {
    const value: unknown = given[name] ?? preset;
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1 || value > max) {
      throw invalidS3Option(what, name, `a whole number from 1 to ${max}`, value);
    }
    return value;
  };
  const endpoint = text("endpoint");
  if (endpoint !== undefined && !/^https?:$/.test(URL.canParse(endpoint) ? new URL(endpoint).protocol : "")) {
    throw invalidS3Option(what, "endpoint", "a URL with http: or https:", endpoint);
  }
  const { forcePathStyle, checksum = "crc32" } = given;
  if (forcePathStyle !== undefined && typeof forcePathStyle !== "boolean") {
    throw invalidS3Option(what, "forcePathStyle", "true or false", forcePathStyle);
  }
  if (checksum !== "crc32" && checksum !== "none") {
    throw invalidS3Option(what, "checksum", '"crc32" or "none"', checksum);
  }
  return {
    bucket: checkBucket(what, given.bucket),
    prefix: checkPrefix(what, given.prefix ?? ""),
    region: text("region") ?? (endpoint === undefined ? undefined : "us-east-1"),
    endpoint,
    credentials: checkCredentials(what, given.credentials),
    profile: text("profile"),
    // Undefined rather than false: an endpoint from the environment is not known here, see the client.
    forcePathStyle: forcePathStyle ?? (endpoint === undefined ? undefined : true),
    checksum,
    maxAttempts: whole("maxAttempts", 8, ATTEMPTS_MAX),
    connectTimeoutMs: whole("connectTimeoutMs", 5_000, TIMEOUT_MS_MAX),
    idleTimeoutMs: whole("idleTimeoutMs", 60_000, TIMEOUT_MS_MAX),
  };
}

function checkBucket(what: string, bucket: unknown): string {
  // Names of AWS are narrower; access points are names with colons. A slash would become part of the key.
  if (typeof bucket !== "string" || bucket === "" || /[\s/\\?#\0]/.test(bucket)) {
    throw invalidS3Option(what, "bucket", "the name of a bucket, without slashes (prefix has the rest)", bucket);
  }
  return bucket;
}

function checkPrefix(what: string, prefix: unknown): string {
  if (typeof prefix !== "string") throw invalidS3Option(what, "prefix", "a text", prefix);
  const trimmed = prefix.replace(/\/$/, "");
  const names = trimmed.split("/");
  const bad = names.some((name) => name === "" || name === "." || name === ".." || /[\\\0]/.test(name));
  if (trimmed !== "" && bad) {
    throw invalidS3Option(what, "prefix", "names joined by single slashes, without . and ..", prefix);
  }
  if (new TextEncoder().encode(trimmed).length > KEY_BYTES_MAX / 2) {
    throw invalidS3Option(what, "prefix", `no longer than ${KEY_BYTES_MAX / 2} bytes`, prefix);
  }
  return trimmed;
}

function checkCredentials(what: string, credentials: unknown): S3Credentials | undefined {
  if (credentials === undefined) return undefined;
  if (typeof credentials === "function") {
    throw new MillraceError(
      "INVALID_OPTION",
      `${what} credentials must be plain keys: a function cannot cross threads.`,
      {
        context: { option: "credentials" },
        hint: "Leave them out and let the SDK find them: a profile with credential_process can call any program.",
      },
    );
  }
  const { accessKeyId, secretAccessKey, sessionToken } = (credentials ?? {}) as Partial<S3Credentials>;
  const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
  if (!isText(accessKeyId) || !isText(secretAccessKey) || !(sessionToken === undefined || isText(sessionToken))) {
    // What came is not shown: it may be half a secret.
    throw new MillraceError(
      "INVALID_OPTION",
      `${what} credentials must have accessKeyId and secretAccessKey, texts that are not empty, and may have ` +
        "a sessionToken.",
      { context: { option: "credentials" } },
    );
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

/** `s3://bucket/prefix`. */
export function s3Location(place: { readonly bucket: string; readonly prefix?: string }): string {
  return place.prefix ? `s3://${place.bucket}/${place.prefix}` : `s3://${place.bucket}`;
}

export function isS3Url(text: string): boolean {
  return /^s3:\/\//i.test(text);
}

/**
 * Bucket and prefix of `s3://bucket/prefix`. Of a text nothing is decoded: what stands there is the key. A URL object
 * has encoded it.
 * @throws MillraceError INVALID_OPTION
 */
export function parseS3Url(url: string | URL): { readonly bucket: string; readonly prefix: string } {
  const text = typeof url === "string" ? url : decoded(url);
  const match = /^s3:\/\/([^/]*)(?:\/(.*))?$/is.exec(text);
  if (match === null) throw invalidS3Option("a store", "URL", "s3://bucket/prefix", text);
  return { bucket: checkBucket(text, match[1]), prefix: checkPrefix(text, match[2] ?? "") };
}

function decoded({ href }: URL): string {
  try {
    return decodeURIComponent(href);
  } catch (cause) {
    throw new MillraceError("INVALID_OPTION", `${href} is no URL of a store: a % stands before no two digits.`, {
      context: { option: "store", url: href },
      cause,
    });
  }
}
