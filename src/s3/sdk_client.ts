import type * as Sdk from "@aws-sdk/client-s3";
import type { S3Place } from "./s3_options.js";

/** The package `@aws-sdk/client-s3`, once it is loaded. */
export type SdkModule = typeof Sdk;

/** @param sockets connections to the server at once. */
export function makeClient(sdk: SdkModule, place: S3Place, sockets: number): Sdk.S3Client {
  const { env } = process;
  const endpointInEnvironment = env.AWS_ENDPOINT_URL_S3 !== undefined || env.AWS_ENDPOINT_URL !== undefined;
  const agent = { keepAlive: true, maxSockets: sockets };
  const client = new sdk.S3Client({
    endpoint: place.endpoint,
    credentials: place.credentials,
    profile: place.profile,
    forcePathStyle: place.forcePathStyle ?? endpointInEnvironment,
    maxAttempts: place.maxAttempts,
    retryMode: "standard",
    // The parts' checksums are computed here and sent as plain headers: what the SDK adds on its own are trailers and
    // checks that many servers answer with 501.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: place.connectTimeoutMs,
      socketTimeout: place.idleTimeoutMs,
      httpAgent: agent,
      httpsAgent: agent,
    },
    ...regionOf(place, endpointInEnvironment),
  });
  // Hashing every part for the signature takes half a core at 1 GB/s. Behind TLS nobody can change a body, and its
  // checksum is in a signed header; over plain HTTP the hash stays.
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { protocol?: string; headers: Record<string, string> };
      const hasBody = "Body" in (args.input as object);
      if (request.protocol === "https:" && hasBody) request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
      return next(args);
    },
    { step: "build", name: "millraceUnsignedPayload" },
  );
  return client;
}

/**
 * The SDK's own search for a region must not even be given `undefined`; with an endpoint from the environment it may
 * find none.
 */
function regionOf(place: S3Place, endpointInEnvironment: boolean): { readonly region?: string } {
  if (place.region !== undefined) return { region: place.region };
  const { AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  if (AWS_REGION !== undefined) return {};
  if (AWS_DEFAULT_REGION !== undefined) return { region: AWS_DEFAULT_REGION };
  return endpointInEnvironment ? { region: "us-east-1" } : {};
}
