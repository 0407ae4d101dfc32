import { createRequire } from "node:module";
import type * as Sdk from "@aws-sdk/client-s3";
import type { S3Api } from "../s3/s3_api.js";
import { toS3Error } from "../s3/s3_error.js";
import { checkS3Options, s3Location } from "../s3/s3_options.js";
import { openSdkApi } from "../s3/sdk_api.js";
import type { Finding } from "./finding.js";
import { failedFinding, probeBucket } from "./s3_probe.js";
import { placeOf, type S3Flags, type S3WriteFlags } from "./store_arg.js";

export type S3ProbeFlags = S3Flags & Pick<S3WriteFlags, "checksum">;

/** The probe asks one thing at a time. */
const SOCKETS = 2;
const INSTALL = "npm install @aws-sdk/client-s3";

/** Environment variables that name S3 credentials. Looked for by name; their values are never read. */
const CREDENTIAL_VARIABLES = [
  "AWS_ACCESS_KEY_ID",
  "AWS_PROFILE",
  "AWS_SHARED_CREDENTIALS_FILE",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/** What the SDK says about where credentials come from, in words. */
const SOURCES: Readonly<Record<string, string>> = {
  CREDENTIALS_ENV_VARS: "the environment",
  CREDENTIALS_ENV_VARS_STS_WEB_ID_TOKEN: "a web identity token",
  CREDENTIALS_STS_ASSUME_ROLE: "an assumed role",
  CREDENTIALS_STS_ASSUME_ROLE_WEB_ID: "a role assumed by web identity",
  CREDENTIALS_PROFILE: "a profile",
  CREDENTIALS_PROFILE_SOURCE_PROFILE: "a profile's source_profile",
  CREDENTIALS_PROFILE_NAMED_PROVIDER: "a profile's credential_source",
  CREDENTIALS_PROFILE_STS_WEB_ID_TOKEN: "a profile's web identity token",
  CREDENTIALS_PROFILE_SSO: "a profile's SSO session",
  CREDENTIALS_PROFILE_SSO_LEGACY: "a profile's SSO session",
  CREDENTIALS_PROFILE_PROCESS: "a profile's credential_process",
  CREDENTIALS_PROFILE_LOGIN: "a profile's login",
  CREDENTIALS_SSO: "SSO",
  CREDENTIALS_SSO_LEGACY: "SSO",
  CREDENTIALS_PROCESS: "a credential_process",
  CREDENTIALS_LOGIN: "a login",
  CREDENTIALS_HTTP: "the container",
  CREDENTIALS_IMDS: "the instance",
};

/**
 * Without a place to try: what is installed, and what the environment names. @param env names are looked at, values are
 * not
 */
export function s3Finding(version: string | undefined, env: Readonly<Record<string, string | undefined>>): Finding {
  const found = CREDENTIAL_VARIABLES.filter((name) => env[name] !== undefined);
  const credentials =
    found.length > 0 ? `credentials named by ${found.join(", ")}` : "no credentials in the environment";
  return version === undefined
    ? { name: "S3", state: "absent", detail: `client not installed; ${credentials}`, fix: INSTALL }
    : {
        name: "S3",
        state: "ok",
        detail: `client ${version}; ${credentials}; doctor --s3 s3://bucket/prefix tries a place out`,
      };
}

/** Of the package @aws-sdk/client-s3, an optional peer; undefined where it is not installed. Does not load it. */
export function s3ClientVersion(): string | undefined {
  try {
    return (createRequire(import.meta.url)("@aws-sdk/client-s3/package.json") as { version: string }).version;
  } catch {
    return undefined;
  }
}

/**
 * Tries out a place for stores, step by step, until something fails. Writes a few small objects below
 * `<prefix>/.millrace/` and removes them.
 * @param id names the objects
 * @throws MillraceError INVALID_OPTION
 */
export async function tryS3(store: string, flags: S3ProbeFlags, id: string, signal?: AbortSignal): Promise<Finding[]> {
  const { checksum } = flags;
  // What is down does not come up while somebody waits for a diagnosis.
  const patience = { maxAttempts: 2, idleTimeoutMs: 10_000 };
  const place = checkS3Options("doctor", { ...placeOf(store, flags), checksum, ...patience });
  let api: S3Api;
  try {
    api = await openSdkApi(place, SOCKETS);
  } catch (error) {
    return [failedFinding("S3 client", error)];
  }
  try {
    const client: Finding = { name: "S3 client", state: "ok", detail: `@aws-sdk/client-s3 ${s3ClientVersion()}` };
    const credentials = await credentialsOf(store, flags);
    if (credentials.state === "bad") return [client, credentials];
    const options = { where: whereOf(s3Location(place), flags), id, signal, checksum: place.checksum };
    return [client, credentials, ...(await probeBucket(api, options))];
  } finally {
    api.close();
  }
}

/** Where the SDK finds credentials for a place, and until when; never what they are. */
async function credentialsOf(store: string, { profile }: S3Flags): Promise<Finding> {
  const name = "S3 credentials";
  const { bucket } = placeOf(store, {});
  try {
    const sdk: typeof Sdk = await import("@aws-sdk/client-s3");
    // The region has no part in it; without any the SDK complains of that first.
    const client = new sdk.S3Client({ region: "us-east-1", ...(profile === undefined ? {} : { profile }) });
    const { $source = {}, expiration } = (await client.config.credentials()) as {
      readonly $source?: Readonly<Record<string, string>>;
      readonly expiration?: Date;
    };
    const sources = Object.keys($source).map((source) => SOURCES[source] ?? source);
    const until = expiration === undefined ? "" : `, until ${expiration.toISOString()}`;
    return { name, state: "ok", detail: `from ${sources.join(" by way of ") || "the SDK's chain"}${until}` };
  } catch (error) {
    return failedFinding(name, toS3Error(error, { operation: "Looking for credentials", bucket }));
  }
}

/** Which server, in words. */
function whereOf(location: string, { endpoint }: S3Flags): string {
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL } = process.env;
  return `${location} at ${endpoint ?? AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL ?? "AWS"}`;
}
