// Streams stores into a strict S3 server and has them read from there, every value compared: by zarr-python through
// fsspec, by TensorStore's own S3 driver, and by zarrita over plain HTTP: `node s3.js PYTHON FOLDER`.
// MILLRACE_VERSITYGW names the server's binary. INTEROP_FRAMES may name TIFF files of one size: then they are streamed
// too. The last line is "N passed, N failed, N skipped".
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { PutBucketPolicyCommand, S3Client } from "@aws-sdk/client-s3";
import { openWriter, s3Sink } from "millrace";
import * as zarr from "zarrita";
import { memorySource } from "../../dist/tiff/byte_source.js";
import { TiffFile } from "../../dist/tiff/tiff_file.js";
import { startLocalServer } from "../../scripts/s3/servers.js";

const [python, folderGiven] = process.argv.slice(2);
if (folderGiven === undefined) throw new Error("usage: node s3.js PYTHON FOLDER");
const folder = resolve(folderGiven);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const here = dirname(fileURLToPath(import.meta.url));

const server = await startLocalServer("versitygw", { binary: process.env.MILLRACE_VERSITYGW });
const { endpoint, bucket, region, credentials } = server;

/** Bytes that compress, some, and differ everywhere. */
function bytesOf(name, length) {
  const bytes = new Uint8Array(length);
  const seed = createHash("sha256").update(name).digest().readUInt32LE(0);
  let x = seed | 1;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[i] = i & 1 ? 3 : x;
  }
  return bytes;
}

const CASES = [
  // Objects of one request each, with an edge in every dimension.
  ...["none", "blosc", "zstd"].map((codec) => ({
    name: `small ${codec}`,
    dtype: "uint16",
    codec: { name: codec },
    shape: [7, 21, 33],
    dimensions: [
      { name: "t", size: null, chunk: 2, shard: 4 },
      { name: "y", size: 21, chunk: 8, shard: 16 },
      { name: "x", size: 33, chunk: 10, shard: 20 },
    ],
  })),
  // Objects of several parts: 12 MiB and more.
  ...["none", "blosc"].map((codec) => ({
    name: `parts ${codec}`,
    dtype: "uint16",
    codec: { name: codec },
    shape: [20, 1024, 1024],
    dimensions: [
      { name: "t", size: null, chunk: 2, shard: 12 },
      { name: "y", size: 1024, chunk: 256, shard: 1024 },
      { name: "x", size: 1024, chunk: 512, shard: 1024 },
    ],
  })),
];

const files = (process.env.INTEROP_FRAMES ?? "").split(" ").filter((file) => file !== "");
if (files.length > 0) {
  const frames = [];
  let height;
  let width;
  for (const file of files) {
    for await (const { layout, data } of (await TiffFile.open(memorySource(file, readFileSync(file)))).images()) {
      ({ height, width } = layout);
      frames.push(data.slice());
    }
  }
  CASES.push({
    name: "real frames",
    dtype: "uint16",
    codec: { name: "blosc" },
    shape: [frames.length, height, width],
    dimensions: [
      { name: "t", size: null, chunk: 2, shard: 4 },
      { name: "y", size: height, chunk: Math.ceil(height / 4), shard: height },
      { name: "x", size: width, chunk: Math.ceil(width / 4), shard: width },
    ],
    data: Buffer.concat(frames.map((frame) => Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength))),
  });
}

const results = { passed: 0, failed: 0, skipped: 0 };
try {
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  // zarrita signs nothing.
  const Policy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: "*", Action: ["s3:GetObject"], Resource: [`arn:aws:s3:::${bucket}/*`] }],
  });
  await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
  client.destroy();

  const manifest = [];
  for (const [i, { name, dtype, codec, shape, dimensions, data: given }] of CASES.entries()) {
    const data =
      given ??
      bytesOf(
        name,
        shape.reduce((n, size) => n * size, 2),
      );
    const prefix = `run${i}.zarr`;
    const sink = s3Sink({ bucket, prefix, endpoint, region, credentials, partBytes: 5 * 2 ** 20 });
    const writer = await openWriter({ sink, array: { dtype, codec, dimensions } });
    for (let at = 0; at < data.length; at += 3_000_002) await writer.append(data.subarray(at, at + 3_000_002));
    await writer.close();
    const expectedFile = join(folder, `expected${i}.bin`);
    writeFileSync(expectedFile, data);
    const s3 = { endpoint, region, bucket, prefix };
    manifest.push({ name, s3, dtype, shape, expectedFile, dimensionNames: dimensions.map((d) => d.name) });
    await readWithZarrita(name, `${endpoint}/${bucket}/${prefix}`, data);
  }
  const manifestFile = join(folder, "manifest.jsonl");
  writeFileSync(manifestFile, manifest.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const env = {
    ...process.env,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
  // Awaited by nobody: the server is a process of its own.
  const { stdout } = spawnSync(python, [join(here, "read_store.py"), manifestFile], {
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.stdout.write(stdout.replace(/^\d+ passed.*\n/m, ""));
  const [, passed, failed, skipped] = /^(\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(stdout) ?? [0, 0, 1, 0];
  results.passed += Number(passed);
  results.failed += Number(failed);
  results.skipped += Number(skipped);
} finally {
  await server.stop();
}
console.log(`${results.passed} passed, ${results.failed} failed, ${results.skipped} skipped`);
process.exitCode = results.failed > 0 || results.passed === 0 ? 1 : 0;

async function readWithZarrita(name, url, expected) {
  try {
    const array = await zarr.open.v3(new zarr.FetchStore(url), { kind: "array" });
    const { data } = await zarr.get(array);
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    if (Buffer.compare(bytes, expected) !== 0) throw new Error("values differ");
    results.passed++;
  } catch (error) {
    results.failed++;
    console.log(`FAILED ${name} by zarrita: ${error}`);
  }
}
