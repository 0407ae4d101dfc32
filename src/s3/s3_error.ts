import { type ErrorCode, type ErrorContext, isMillraceError, MillraceError } from "../base/errors.js";

/** What an error of the SDK may carry. Nothing of it is certain: networks, proxies and servers all speak here. */
interface SdkError {
  readonly name?: string;
  readonly message?: string;
  /** Of Node: ECONNREFUSED, ENOTFOUND …; of older servers: the S3 code. */
  readonly code?: string;
  readonly Code?: string;
  readonly Region?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string; readonly attempts?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
}

/** What was asked when it failed. */
interface S3Operation {
  /** As S3's API reference names it. */
  readonly operation: string;
  readonly bucket: string;
  /** With the place's prefix. */
  readonly key?: string;
}

const BY_S3_CODE: Readonly<Record<string, ErrorCode>> = {
  CredentialsProviderError: "S3_CREDENTIALS",
  TokenProviderError: "S3_CREDENTIALS",
  InvalidAccessKeyId: "S3_CREDENTIALS",
  SignatureDoesNotMatch: "S3_CREDENTIALS",
  InvalidToken: "S3_CREDENTIALS",
  TokenRefreshRequired: "S3_CREDENTIALS",
  ExpiredToken: "S3_CREDENTIALS",
  ExpiredTokenException: "S3_CREDENTIALS",
  RequestExpired: "S3_CREDENTIALS",
  AuthFailure: "S3_CREDENTIALS",
  XAdminUserNotFound: "S3_CREDENTIALS",
  AccessDenied: "S3_ACCESS_DENIED",
  AllAccessDisabled: "S3_ACCESS_DENIED",
  AccountProblem: "S3_ACCESS_DENIED",
  Forbidden: "S3_ACCESS_DENIED",
  NoSuchBucket: "S3_NO_BUCKET",
  InvalidBucketName: "S3_NO_BUCKET",
  PermanentRedirect: "S3_WRONG_REGION",
  TemporaryRedirect: "S3_WRONG_REGION",
  AuthorizationHeaderMalformed: "S3_WRONG_REGION",
  IllegalLocationConstraintException: "S3_WRONG_REGION",
  RequestTimeTooSkewed: "S3_CLOCK_SKEW",
  RequestInTheFuture: "S3_CLOCK_SKEW",
  PreconditionFailed: "S3_CONFLICT",
  ConditionalRequestConflict: "S3_CONFLICT",
  NotImplemented: "S3_UNSUPPORTED",
  MethodNotAllowed: "S3_UNSUPPORTED",
  TimeoutError: "S3_UNREACHABLE",
  // Only an aborted writer cancels requests.
  AbortError: "WRITER_ABORTED",
  SlowDown: "S3_SERVER_ERROR",
  RequestTimeout: "S3_UNREACHABLE",
};

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  301: "S3_WRONG_REGION",
  307: "S3_WRONG_REGION",
  401: "S3_CREDENTIALS",
  403: "S3_ACCESS_DENIED",
  405: "S3_UNSUPPORTED",
  409: "S3_CONFLICT",
  412: "S3_CONFLICT",
  501: "S3_UNSUPPORTED",
};

const HINTS: Readonly<Record<string, string>> = {
  S3_CREDENTIALS:
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or AWS_PROFILE, or log in " +
    "again: `millrace doctor` says what is found.",
  S3_ACCESS_DENIED:
    "The key's policy must allow the operation on this bucket and prefix; docs/s3.md has one that is enough.",
  INVALID_OPTION: "Name the bucket's region: the option region, AWS_REGION, or the profile's.",
  S3_NO_BUCKET: "Check the name and the endpoint; Millrace makes no buckets.",
  S3_CLOCK_SKEW: "Set this machine's clock (NTP).",
  S3_UNREACHABLE: "Check the endpoint, the network, and whether the server is up.",
  S3_SERVER_ERROR: "Look at the server; where it asks to slow down, use fewer or larger parts, or raise maxAttempts.",
  S3_CONFLICT: "Only one writer may work on a store.",
  S3_UNSUPPORTED: "docs/s3.md lists what is needed of a server; `millrace doctor --s3` tries it.",
};

/** Operations whose requests carry a checksum, which is what servers refuse most often in them. */
const WITH_CHECKSUM = /^(PutObject|CreateMultipartUpload|UploadPart|CompleteMultipartUpload)$/;
const CHECKSUM_HINT = 'Servers without checksums want checksum: "none"; docs/s3.md lists what is needed.';

/** Node's codes for a connection that did not come about or ended. */
const NETWORK = new RegExp(
  "^(ECONN|ENOTFOUND$|EAI_|EHOST|ENET|EPIPE$|EPROTO$|ETIMEDOUT$|EADDR|ERR_TLS|ERR_SSL|ERR_HTTP2|HPE_|" +
    "CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED)",
);

/** S3's own code of an error ("NoSuchUpload"), "" when it has none. */
export function s3CodeOf(error: unknown): string {
  if (isMillraceError(error)) return String(error.context.s3Code ?? "");
  const { name = "", Code, code } = (error ?? {}) as SdkError;
  if (Code !== undefined) return Code;
  return name !== "" && name !== "Error" && name !== "TypeError" ? name : (code ?? "");
}

/** HTTP status of an error, 0 when there was no answer. */
export function statusOf(error: unknown): number {
  if (isMillraceError(error)) return Number(error.context.status ?? 0);
  const { $metadata, $response } = (error ?? {}) as SdkError;
  return $metadata?.httpStatusCode ?? $response?.statusCode ?? 0;
}

const NO_REGION = "Region is missing";

function codeOf(error: SdkError, s3Code: string, status: number): ErrorCode {
  const known = BY_S3_CODE[s3Code];
  if (known !== undefined) return known;
  if (status === 0) {
    // A plain Error of the SDK, before anything is asked.
    if (error.message === NO_REGION) return "INVALID_OPTION";
    const network =
      NETWORK.test(error.code ?? "") || /socket hang up|aborted|network|timed? ?out/i.test(error.message ?? "");
    return network ? "S3_UNREACHABLE" : "SINK_FAILED";
  }
  return BY_STATUS[status] ?? (status >= 500 ? "S3_SERVER_ERROR" : "S3_REFUSED");
}

/** The error as its MillraceError. One that is a MillraceError already passes unchanged. */
export function toS3Error(thrown: unknown, { operation, bucket, key }: S3Operation): MillraceError {
  if (isMillraceError(thrown)) return thrown;
  const error = (thrown ?? {}) as SdkError;
  const s3Code = s3CodeOf(thrown);
  const status = statusOf(thrown);
  const code = codeOf(error, s3Code, status);
  const { requestId, attempts } = error.$metadata ?? {};
  const region = error.Region ?? error.$response?.headers?.["x-amz-bucket-region"];
  const context: Record<string, ErrorContext[string]> = { operation, bucket };
  if (key !== undefined) context.key = key;
  if (status !== 0) context.status = status;
  if (s3Code !== "") context.s3Code = s3Code;
  if (error.code !== undefined && error.code !== s3Code) context.errno = error.code;
  if (requestId !== undefined) context.requestId = requestId;
  if (attempts !== undefined) context.attempts = attempts;
  if (region !== undefined) context.region = region;
  if (code === "INVALID_OPTION") context.option = "region";

  const said = (error.message ?? String(thrown)).replace(/\.$/, "");
  const parts = [
    said === "" || said === "UnknownError" ? s3Code || "no reason given" : said,
    ...(status === 0 ? [] : [`HTTP ${status}`]),
    ...(s3Code === "" || said.includes(s3Code) ? [] : [s3Code]),
    ...(requestId === undefined ? [] : [`request ${requestId}`]),
    ...(attempts === undefined || attempts < 2 ? [] : [`${attempts} attempts`]),
  ];
  const where = key === undefined ? `s3://${bucket}` : `s3://${bucket}/${key}`;
  const hint = hintOf(code, operation, region);
  return new MillraceError(code, `${operation} on ${where} failed: ${parts.join(", ")}.`, {
    context,
    hint,
    cause: slim(thrown),
  });
}

function hintOf(code: ErrorCode, operation: string, region: string | undefined): string | undefined {
  if (code === "S3_UNSUPPORTED" && WITH_CHECKSUM.test(operation)) return CHECKSUM_HINT;
  if (code !== "S3_WRONG_REGION") return HINTS[code];
  return region === undefined ? "Name the bucket's region." : `The bucket is in ${region}: name that region.`;
}

/**
 * Without the request and the answer: they hold sockets, signed headers and parts of shards, and a log would print
 * them.
 */
function slim(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const cause = new Error(thrown.message);
  cause.name = thrown.name;
  cause.stack = thrown.stack;
  const { code } = thrown as NodeJS.ErrnoException;
  return code === undefined ? cause : Object.assign(cause, { code });
}
