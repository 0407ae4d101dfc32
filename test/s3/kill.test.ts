import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { recoverStore } from "../../src/recover/recover.js";
import { s3Sink } from "../../src/sinks/s3_spec.js";
import { openArray } from "../../src/store/array_reader.js";
import { s3Store } from "../../src/store/s3_store.js";
import { verifyStore } from "../../src/store/verify.js";
import { TestBucket } from "../helpers/s3_client.js";
import { randomPrefix, type S3Server, s3Servers, startS3Server } from "../helpers/s3_server.js";

const MIB = 2 ** 20;
const ROW_ELEMENTS = MIB / 4;
/** A shard of 12 MiB: three parts. */
const SHARD_ROWS = 12;

/** Rows that the writer gets: the third shard begins, and its upload cannot end. */
const ROWS = 2 * SHARD_ROWS + 8;

/**
 * Streams rows, each filled with its number and the columns', says on stdout how many are durable, and then waits to be
 * killed.
 */
const program = (dist: string): string => `
import { openWriter, s3Sink } from ${JSON.stringify(dist)};
const writer = await openWriter({
  sink: s3Sink({ ...JSON.parse(process.argv[1]), partBytes: ${5 * MIB} }),
  backend: "cpu",
  publishIntervalMs: 1e9,
  array: {
    dtype: "uint32",
    codec: "none",
    dimensions: [
      { name: "t", size: null, chunk: 2, shard: ${SHARD_ROWS} },
      { name: "x", size: ${ROW_ELEMENTS}, chunk: ${ROW_ELEMENTS} },
    ],
  },
});
for (let row = 0; row < ${ROWS}; row++) {
  await writer.append(new Uint32Array(${ROW_ELEMENTS}).map((_, x) => row * 1000003 + x));
}
setInterval(() => console.log(writer.watermarks.durable), 5);
`;

describe.each(s3Servers())("a writer on %s that is killed", (kind) => {
  const prefix = randomPrefix();
  let server: S3Server;
  let bucket: TestBucket;
  let child: ChildProcess | undefined;
  beforeAll(async () => {
    server = await startS3Server(kind);
    bucket = new TestBucket(server);
  });
  afterEach(() => {
    if (child?.exitCode === null) child.kill("SIGKILL");
  });
  afterAll(async () => {
    await bucket?.removeBelow(prefix);
    bucket?.close();
    await server?.stop();
  });

  it("in the middle of an upload leaves a store that is recovered with every durable row", async () => {
    const { endpoint, region, credentials, features } = server;
    const place = { bucket: server.bucket, prefix: `${prefix}/run.zarr`, endpoint, region, credentials };
    const dist = new URL("../../dist/index.js", import.meta.url).href;
    child = spawn(process.execPath, ["--input-type=module", "--eval", program(dist), JSON.stringify(place)], {
      env: { ...process.env, MILLRACE_DEBUG: "0", AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const gone = once(child, "exit");
    let durable = 0;
    createInterface(child.stdout!).on("line", (line) => {
      durable = Number(line);
    });
    for (;;) {
      expect(child.exitCode).toBe(null);
      const uploads = await bucket.uploads(place.prefix);
      if (durable > 0 && (uploads === undefined || uploads.some(({ key }) => key.endsWith("/c/2/0")))) break;
      await sleep(5);
    }
    child.kill("SIGKILL");
    expect(await gone).toEqual([null, "SIGKILL"]);
    // What had reached the server when its client went away may still be at work there.
    const uploads = await settled(async () => (await bucket.uploads(place.prefix))?.length);

    const report = await recoverStore(s3Sink(place));
    expect(report).toMatchObject({ status: "recovered", arrays: [{ rowsBefore: 0, damage: undefined }] });
    const { rowsAfter } = report.arrays[0];
    expect(rowsAfter).toBeGreaterThanOrEqual(durable);
    expect(rowsAfter % SHARD_ROWS).toBe(0);
    if (features.listUploads) {
      expect(uploads).toBeGreaterThan(0);
      expect(report.uploadsAborted).toBe(uploads);
      expect(await bucket.uploads(place.prefix)).toEqual([]);
      expect(report.notes).toEqual([]);
    } else {
      expect(report.notes).toEqual([expect.stringContaining("cannot list unfinished uploads")]);
    }

    await using store = s3Store(place);
    expect(await verifyStore(store)).toMatchObject({ ok: true, defects: [], warnings: [], notes: [] });
    const array = await openArray(store);
    for (const row of [0, SHARD_ROWS - 1, rowsAfter - 1]) {
      const { data } = await array.readRegion([row, 0], [row + 1, ROW_ELEMENTS]);
      const expected = new Uint32Array(ROW_ELEMENTS).map((_, x) => row * 1000003 + x);
      expect(Buffer.compare(data, new Uint8Array(expected.buffer)), `row ${row}`).toBe(0);
    }
    expect(await recoverStore(s3Sink(place))).toMatchObject({ status: "clean" });
  });
});

/** The value once it has stayed the same for a while. */
async function settled<T>(look: () => Promise<T>): Promise<T> {
  let value = await look();
  for (let same = 0; same < 5; ) {
    await sleep(50);
    const next = await look();
    same = next === value ? same + 1 : 0;
    value = next;
  }
  return value;
}
