import { randomUUID } from "node:crypto";
import { ALL_FEATURES, type S3Features, type S3Server, startLocalServer } from "../../scripts/s3/servers.js";

export type { S3Features, S3Server };

/**
 * - "s3rver": from npm, everywhere.
 * - "versitygw": strict; where MILLRACE_VERSITYGW names its binary, see scripts/versitygw.sh.
 * - "endpoint": somebody's own, where S3_CONTRACT_ENDPOINT is set; then S3_CONTRACT_BUCKET must name a bucket that is
 *   there. S3_CONTRACT_REGION (us-east-1) and the credentials in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
 *   AWS_SESSION_TOKEN go with it. S3_CONTRACT_LACKS names the features that it lacks, with commas between.
 */
export type S3Kind = "s3rver" | "versitygw" | "endpoint";

/** The servers that tests run on here, for `describe.each`. */
export function s3Servers(): S3Kind[] {
  const kinds: S3Kind[] = ["s3rver"];
  if (process.env.MILLRACE_VERSITYGW) kinds.push("versitygw");
  if (process.env.S3_CONTRACT_ENDPOINT) kinds.push("endpoint");
  return kinds;
}

/**
 * Starts a server with an empty bucket, in about a third of a second; one for a test file is enough, with a
 * `randomPrefix` for each test. Somebody's own endpoint is not started, and its bucket not empty.
 */
export async function startS3Server(kind: S3Kind): Promise<S3Server> {
  if (kind !== "endpoint") return await startLocalServer(kind, { binary: process.env.MILLRACE_VERSITYGW });
  return {
    kind,
    endpoint: needed("S3_CONTRACT_ENDPOINT"),
    bucket: needed("S3_CONTRACT_BUCKET"),
    region: process.env.S3_CONTRACT_REGION || "us-east-1",
    credentials: {
      accessKeyId: needed("AWS_ACCESS_KEY_ID"),
      secretAccessKey: needed("AWS_SECRET_ACCESS_KEY"),
      sessionToken: process.env.AWS_SESSION_TOKEN || undefined,
    },
    features: without((process.env.S3_CONTRACT_LACKS ?? "").split(",").filter((name) => name !== "")),
    stop: async () => {},
  };
}

/** A place of a test's own in a bucket that others may use at the same time. No slash at its end. */
export function randomPrefix(): string {
  return `millrace-test/${randomUUID()}`;
}

function needed(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`expected ${name} in the environment, because S3_CONTRACT_ENDPOINT is set`);
  return value;
}

function without(lacks: readonly string[]): S3Features {
  const features: Record<string, boolean> = { ...ALL_FEATURES };
  for (const name of lacks) {
    if (!(name in features)) throw new Error(`expected names of features in S3_CONTRACT_LACKS, not ${name}`);
    features[name] = false;
  }
  return features as unknown as S3Features;
}
