// One stream through Millrace, in a process of its own; the counterpart of peer.py, with the same clock. Prints one
// JSON object.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileSink, isMillraceError, openWriter } from "../../dist/index.js";

const job = JSON.parse(process.argv[2]);
const ring = readFileSync(job.frames);
const [, height, width] = job.shape;
const frameBytes = height * width * 2;
const frames = [];
for (let at = 0; at < ring.byteLength; at += frameBytes) frames.push(ring.subarray(at, at + frameBytes));

const baselineRssBytes = process.memoryUsage.rss();
const cpuFrom = process.cpuUsage();
const startNs = process.hrtime.bigint();
try {
  await stream();
} catch (error) {
  if (!isMillraceError(error, "NOT_YET")) throw error;
  process.stdout.write(JSON.stringify({ notYet: error.message }));
  process.exit(0);
}
const seconds = Number(process.hrtime.bigint() - startNs) / 1e9;
const { user, system } = process.cpuUsage(cpuFrom);
process.stdout.write(
  JSON.stringify({
    seconds,
    cpuSeconds: (user + system) / 1e6,
    bytesStored: storedBytes(job.store),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    baselineRssBytes,
  }),
);

async function stream() {
  const writer = await openWriter({
    sink: fileSink(job.store),
    array: {
      dtype: "uint16",
      dimensions: ["t", "y", "x"].map((name, i) => ({
        name,
        size: i === 0 ? null : job.shape[i],
        chunk: job.chunk[i],
        shard: job.shard[i],
      })),
      codec: job.codec === "zstd" ? { name: "zstd", level: 1 } : { name: job.codec },
    },
    durability: job.durable ? "shard" : "none",
  });
  for (let row = 0; row < job.rows; row++) await writer.append(frames[row % frames.length]);
  await writer.close();
}

function storedBytes(root) {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath ?? entry.path, entry.name)).size, 0);
}
