// S3 servers on this machine, for tests, benchmarks and people. Types and contracts are in servers.d.ts.
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const CHILD = join(dirname(fileURLToPath(import.meta.url)), "server_child.js");
/** Bounds on what may hang, well above what a busy machine needs. */
const START_MS = 15_000;
const CHILD_START_MS = 12_000;
const STOP_MS = 5_000;
const BUCKET = "millrace-test";
const REGION = "us-east-1";

export const ALL_FEATURES = {
  signatures: true,
  unknownKeyId: true,
  ifNoneMatch: true,
  checksumRefused: true,
  checksumKept: true,
  abortUpload: true,
  listUploads: true,
  listParts: true,
  partMinimum: true,
  partsCompared: true,
  suffixRange: true,
  firstByteRange: true,
  orderedListing: true,
  anyKey: true,
  keyBelowKey: true,
  wholePuts: true,
};

const SERVERS = {
  // Small and forgiving, from npm: what every machine can run.
  s3rver: {
    // The only pair that it knows.
    credentials: { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" },
    features: {
      ...ALL_FEATURES,
      // It reckons with /bucket where the SDK signs /bucket/, and calls every list a forgery; so it is told not to
      // compare.
      signatures: false,
      // A second PutObject and a second CompleteMultipartUpload with it are answered 200.
      ifNoneMatch: false,
      // A PutObject and an UploadPart with x-amz-checksum-crc32: AAAAAA== are answered 200.
      checksumRefused: false,
      // No answer has an x-amz-checksum header.
      checksumKept: false,
      // 405 MethodNotAllowed.
      abortUpload: false,
      // 501 NotImplemented.
      listUploads: false,
      // 405 MethodNotAllowed.
      listParts: false,
      // Two parts of 1000 bytes make an object.
      partMinimum: false,
      // Any ETag in CompleteMultipartUpload will do.
      partsCompared: false,
      // bytes=-5 gives bytes 0 to 5.
      suffixRange: false,
      // bytes=0-0 gives the whole object.
      firstByteRange: false,
      // Folder by folder: c/0 comes before c-x.
      orderedListing: false,
      // A listing has &amp;amp; for &.
      anyKey: false,
    },
  },
  // Strict, in Go: what CI runs besides.
  versitygw: {
    credentials: { accessKeyId: "millrace", secretAccessKey: "millrace-secret" },
    features: {
      ...ALL_FEATURES,
      // 404 XAdminUserNotFound.
      unknownKeyId: false,
      // Keys are paths: 409 ObjectParentIsFile.
      keyBelowKey: false,
    },
  },
};

export async function startLocalServer(kind, options = {}) {
  const { credentials, features } = SERVERS[kind];
  const settings = {
    kind,
    port: 0,
    bucket: BUCKET,
    region: REGION,
    credentials,
    deadlineMs: CHILD_START_MS,
    ...options,
  };
  // A process group of its own: Ctrl-C is for the parent to hear, and the child ends when its standard input does. The
  // option is for s3rver's continuation tokens, which are enciphered with DES; a listing of more than 1000 keys is
  // answered 500 without.
  const child = spawn(process.execPath, ["--openssl-legacy-provider", CHILD, JSON.stringify(settings)], {
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.stdin.on("error", () => {});
  let ready;
  try {
    ready = await firstLine(child, ended);
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`${kind} did not start: ${error.message}`);
  }
  // Nothing more is to be said; what is said all the same must not fill the pipe.
  child.stdout.resume();
  child.stderr.resume();
  // A parent that forgets to stop its server may leave all the same.
  for (const handle of [child, child.stdin, child.stdout, child.stderr]) handle.unref();

  return {
    kind,
    endpoint: `http://127.0.0.1:${ready.port}`,
    bucket: BUCKET,
    region: REGION,
    credentials,
    features: { ...features, ...ready.features },
    stop: async () => {
      child.stdin.end();
      for (const handle of [child, child.stdout, child.stderr]) handle.ref();
      const timer = setTimeout(() => {
        // The server behind the child would outlive it.
        if (ready.pid !== child.pid) killIfThere(ready.pid);
        child.kill("SIGKILL");
      }, STOP_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** What the child says once it answers requests. Rejects with what it said on standard error when it ends before. */
async function firstLine(child, ended) {
  let said = "";
  let complaint = "";
  child.stderr.on("data", (text) => {
    complaint = (complaint + text).slice(-4000);
  });
  let timer;
  try {
    return await Promise.race([
      new Promise((resolve) => {
        child.stdout.on("data", (text) => {
          said += text;
          const end = said.indexOf("\n");
          if (end >= 0) resolve(JSON.parse(said.slice(0, end)));
        });
      }),
      new Promise((_, reject) => child.once("error", reject)),
      ended.then((code) => {
        throw new Error(`it ended with ${code}: ${complaint}`);
      }),
      new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`nothing heard for ${START_MS} ms: ${complaint}`)), START_MS);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}

function killIfThere(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}
