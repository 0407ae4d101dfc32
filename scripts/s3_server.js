// Runs an S3 server in the foreground, for people and benchmarks:
//   node scripts/s3_server.js [s3rver|versitygw] [--port N] [--folder DIR]
// Prints what a client needs, as lines for a shell. Ctrl-C ends it, and removes what was stored, unless --folder says
// where to. versitygw's binary is the one that MILLRACE_VERSITYGW names, or what scripts/versitygw.sh has installed.
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startLocalServer } from "./s3/servers.js";

const USAGE = "usage: node scripts/s3_server.js [s3rver|versitygw] [--port N] [--folder DIR]";

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { port: { type: "string" }, folder: { type: "string" } },
  });
  const [kind = "s3rver", ...rest] = positionals;
  if (!["s3rver", "versitygw"].includes(kind) || rest.length > 0) throw new Error("expected s3rver or versitygw");
  const port = Number(values.port ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Error("expected a port from 1 to 65535");
  const folder = values.folder === undefined ? undefined : resolve(values.folder);
  return { kind, port, folder };
}

function versitygwBinary() {
  const installed = join(dirname(dirname(fileURLToPath(import.meta.url))), "build", "versitygw", "versitygw");
  return process.env.MILLRACE_VERSITYGW ?? (existsSync(installed) ? installed : undefined);
}

let settings;
try {
  settings = readArguments();
} catch (error) {
  console.error(`${error.message}\n${USAGE}`);
  process.exit(2);
}
const { kind, port, folder } = settings;
const server = await startLocalServer(kind, { port, folder, binary: versitygwBinary() }).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
const { accessKeyId, secretAccessKey } = server.credentials;
console.log(`# ${kind}, storing in ${folder ?? "a temporary folder"}; Ctrl-C ends it
export S3_CONTRACT_ENDPOINT=${server.endpoint}
export S3_CONTRACT_BUCKET=${server.bucket}
export S3_CONTRACT_REGION=${server.region}
export AWS_REGION=${server.region}
export AWS_ENDPOINT_URL_S3=${server.endpoint}
export AWS_ACCESS_KEY_ID=${accessKeyId}
export AWS_SECRET_ACCESS_KEY=${secretAccessKey}`);

// The server's own handles do not keep this process.
const awake = setInterval(() => {}, 2 ** 30);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await server.stop();
    clearInterval(awake);
  });
}
