import { describe, expect, it } from "vitest";
import { MillraceError } from "../../../src/base/errors.js";
import { s3CodeOf, statusOf, toS3Error } from "../../../src/s3/s3_error.js";

const OPERATION = { operation: "UploadPart", bucket: "b", key: "run.zarr/c/0" };

function sdkError(name: string, status: number | undefined, more: object = {}): Error {
  const error = Object.assign(new Error(`${name} it said`), { name, ...more });
  const $metadata = { httpStatusCode: status, requestId: "R1", attempts: 3 };
  return Object.assign(error, status === undefined ? {} : { $metadata });
}

describe("errors of S3", () => {
  it.each([
    ["NoSuchBucket", 404, "S3_NO_BUCKET"],
    ["AccessDenied", 403, "S3_ACCESS_DENIED"],
    ["403", 403, "S3_ACCESS_DENIED"],
    ["InvalidAccessKeyId", 403, "S3_CREDENTIALS"],
    ["SignatureDoesNotMatch", 403, "S3_CREDENTIALS"],
    ["XAdminUserNotFound", 404, "S3_CREDENTIALS"],
    ["ExpiredToken", 400, "S3_CREDENTIALS"],
    ["CredentialsProviderError", undefined, "S3_CREDENTIALS"],
    ["RequestTimeTooSkewed", 403, "S3_CLOCK_SKEW"],
    ["PermanentRedirect", 301, "S3_WRONG_REGION"],
    ["AuthorizationHeaderMalformed", 400, "S3_WRONG_REGION"],
    ["SlowDown", 503, "S3_SERVER_ERROR"],
    ["InternalError", 500, "S3_SERVER_ERROR"],
    ["Whatever", 502, "S3_SERVER_ERROR"],
    ["PreconditionFailed", 412, "S3_CONFLICT"],
    ["ConditionalRequestConflict", 409, "S3_CONFLICT"],
    ["NotImplemented", 501, "S3_UNSUPPORTED"],
    ["EntityTooLarge", 400, "S3_REFUSED"],
    ["TimeoutError", undefined, "S3_UNREACHABLE"],
  ])("%s (%s) is %s", (name, status, code) => {
    const error = toS3Error(sdkError(name, status), OPERATION);
    expect(error).toBeInstanceOf(MillraceError);
    expect(error.code).toBe(code);
    expect(error.context).toMatchObject({ operation: "UploadPart", bucket: "b", key: "run.zarr/c/0", s3Code: name });
    if (status !== undefined) expect(error.context).toMatchObject({ status, requestId: "R1", attempts: 3 });
    expect(error.message).toContain("s3://b/run.zarr/c/0");
  });

  it.each(["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "EPIPE", "EPROTO", "ETIMEDOUT", "CERT_HAS_EXPIRED"])(
    "%s is a server that does not answer",
    (code) => {
      const error = toS3Error(Object.assign(new Error(`connect ${code}`), { code }), OPERATION);
      expect(error.code).toBe("S3_UNREACHABLE");
    },
  );

  it("asks for a region where there is none", () => {
    const error = toS3Error(new Error("Region is missing"), OPERATION);
    expect(error).toMatchObject({ code: "INVALID_OPTION", context: { option: "region" } });
    expect(error.message).toContain("AWS_REGION");
  });

  it("names the region that the bucket is in", () => {
    const more = { $response: { headers: { "x-amz-bucket-region": "eu-central-1" } } };
    const error = toS3Error(sdkError("PermanentRedirect", 301, more), OPERATION);
    expect(error.message).toContain("eu-central-1: name that region");
    expect(error.context.region).toBe("eu-central-1");
  });

  it("does not take a mistake of ours for the network's", () => {
    expect(toS3Error(new TypeError("x is not a function"), OPERATION).code).toBe("SINK_FAILED");
  });

  it("keeps request and answer, with what was signed, out of what is logged", () => {
    const thrown = sdkError("AccessDenied", 403, { $response: { headers: { authorization: "AWS4-HMAC" } } });
    const { cause } = toS3Error(thrown, OPERATION);
    expect(cause).toMatchObject({ name: "AccessDenied", message: thrown.message, stack: thrown.stack });
    expect(Object.keys(cause as Error)).not.toContain("$response");
  });

  it("reads its own errors again", () => {
    const error = toS3Error(sdkError("NoSuchUpload", 404), OPERATION);
    expect([s3CodeOf(error), statusOf(error)]).toEqual(["NoSuchUpload", 404]);
    expect(toS3Error(error, OPERATION)).toBe(error);
  });
});
