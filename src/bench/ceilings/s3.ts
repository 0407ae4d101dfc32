import { nowNs } from "../../base/clock.js";
import { forEachLimited } from "../../base/limited.js";
import { PartPool } from "../../s3/part_pool.js";
import type { S3Api } from "../../s3/s3_api.js";
import { checkS3Options, type S3Options } from "../../s3/s3_options.js";
import { openSdkApi } from "../../s3/sdk_api.js";
import type { CeilingRun, S3Upload } from "../job.js";
import { cpuSecondsSince, gbPerSecond } from "../statistics.js";

/** Objects being uploaded side by side; their parts share the connections. */
const OBJECTS_AT_ONCE = 4;

/**
 * The server by itself: the same volume in as many objects, in parts of the same size, through the same client with as
 * many connections, from a buffer for each: a single one would stay in the cache, which data that arrives does not.
 * What it uploaded is removed when the clock has stopped.
 */
export async function measureS3({ place, partBytes, concurrency, bytes, objects }: S3Upload): Promise<CeilingRun> {
  const prefix = `bare-${crypto.randomUUID()}`;
  const { prefix: parent = "" } = place;
  const own = checkS3Options("bench", { ...place, prefix: parent === "" ? prefix : `${parent}/${prefix}` });
  const api = await openSdkApi(own, concurrency + OBJECTS_AT_ONCE);
  const buffers = Array.from({ length: concurrency }, (_, b) => {
    const data = new Uint8Array(Math.min(partBytes, Math.ceil(bytes / objects)));
    for (let i = 0; i < data.length; i++) data[i] = Math.imul(i + b, 0x9e3779b1) >>> 24;
    return data;
  });
  const pool = new PartPool(concurrency);
  const sizes = Array.from(
    { length: objects },
    (_, i) => Math.floor((bytes * (i + 1)) / objects) - Math.floor((bytes * i) / objects),
  );
  try {
    const cpuFrom = process.cpuUsage();
    const fromNs = nowNs();
    await forEachLimited(sizes, OBJECTS_AT_ONCE, (size, i) => uploadObject(api, `object-${i}`, size, buffers, pool));
    const rate = gbPerSecond(bytes, nowNs() - fromNs);
    const cpuSeconds = cpuSecondsSince(cpuFrom);
    return {
      kind: "s3",
      what:
        `${objects} objects uploaded in parts of ${buffers[0].length} bytes, ${concurrency} at once, ` +
        "the stored bytes",
      threads: 1,
      bytes,
      gbPerSecond: rate,
      cpuSeconds,
      gbPerCpuSecond: bytes / 1e9 / cpuSeconds,
    };
  } finally {
    api.close();
    await clearPlace(own);
  }
}

async function uploadObject(
  api: S3Api,
  key: string,
  bytes: number,
  buffers: readonly Uint8Array[],
  pool: PartPool,
): Promise<void> {
  const partBytes = buffers[0].length;
  if (bytes <= partBytes) {
    await pool.send(() => api.putObject(key, buffers[0].subarray(0, bytes), {}));
    return;
  }
  const { uploadId } = await api.createUpload(key, {});
  const upload = { key, uploadId };
  const count = Math.ceil(bytes / partBytes);
  const parts = await Promise.all(
    Array.from({ length: count }, (_, i) => {
      const body = buffers[i % buffers.length].subarray(0, Math.min(partBytes, bytes - i * partBytes));
      return pool.send(() => api.uploadPart(upload, i + 1, body));
    }),
  );
  await api.completeUpload(upload, parts, {});
}

/** Removes every object below the place. */
export async function clearPlace(place: S3Options): Promise<void> {
  const api = await openSdkApi(checkS3Options("bench", place), 1);
  try {
    const keys: string[] = [];
    for await (const { key } of api.list("")) keys.push(key);
    if (keys.length > 0) await api.remove(keys);
  } finally {
    api.close();
  }
}
