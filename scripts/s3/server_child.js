// Runs one S3 server for servers.js, in a process of its own. Its one argument holds the settings as JSON; the first
// line on standard output says that the server answers. It ends when standard input does, so that it never outlives
// whoever started it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const settings = JSON.parse(process.argv[2]);
const folder = settings.folder ?? mkdtempSync(join(tmpdir(), "millrace-s3-"));
process.on("exit", () => {
  if (settings.folder === undefined) rmSync(folder, { recursive: true, force: true });
});

const asked = new Promise((resolve) => {
  process.stdin.on("end", resolve).on("error", resolve).resume();
  process.on("SIGTERM", resolve);
});

const { start } = await import(`./${settings.kind}.js`);
const server = await start({ ...settings, folder });
process.stdout.on("error", () => {});
process.stdout.write(`${JSON.stringify({ port: server.port, pid: server.pid, features: server.features })}\n`);
const complaint = await Promise.race([asked, server.ended]);
await server.stop();
if (complaint instanceof Error) {
  process.stderr.write(`${complaint.message}\n`);
  process.exit(1);
}
process.exit(0);
