import { beforeEach, describe, expect, it } from "vitest";
import { encodeMarker, MARKER_KEY } from "../../src/journal/writer_marker.js";
import { withRows } from "../../src/zarr/with_rows.js";
import { lastJson, runCli } from "../cli/run_cli.js";
import { craftStore } from "../helpers/craft_store.js";
import type { TestBucket } from "../helpers/s3_client.js";
import { randomPrefix, type S3Server, s3Servers } from "../helpers/s3_server.js";
import { withS3Server } from "../helpers/with_s3_server.js";

describe.each(s3Servers())("millrace recover on %s", (kind) => {
  let server: S3Server;
  let bucket: TestBucket;
  let prefix: string;
  withS3Server(kind, (started, opened) => {
    server = started;
    bucket = opened;
  });
  beforeEach(() => {
    prefix = randomPrefix();
    return () => bucket.removeBelow(prefix);
  });

  const recover = async (...flags: readonly string[]) => {
    const { accessKeyId, secretAccessKey, sessionToken } = server.credentials;
    const env = {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...(sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: sessionToken }),
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
    };
    const place = [`s3://${server.bucket}/${prefix}`, "--endpoint", server.endpoint, "--region", server.region];
    return await runCli(["recover", ...place, ...flags], { env });
  };

  /** 16 rows in four shards, of which the first is published and the last is missing. */
  async function crash(): Promise<void> {
    const { objects } = await craftStore({ dtype: "uint16", shape: [16, 6], chunk: [2, 3], shard: [4, 6] });
    for (const [key, bytes] of objects) {
      if (key === "c/3/0") continue;
      await bucket.put(`${prefix}/${key}`, key === "zarr.json" ? withRows(bytes, 4) : bytes);
    }
    const marker = { writeId: "w", started: "2026-01-02T03:04:05.000Z", endsAt: undefined };
    await bucket.put(`${prefix}/${MARKER_KEY}`, encodeMarker(marker));
  }

  it("says what it would do, does it, and then finds the store clean", async () => {
    await crash();
    const keys = await bucket.keys(prefix);
    const dry = await recover("--dry-run", "--json");
    expect(dry.code).toBe(0);
    const expected = {
      location: `s3://${server.bucket}/${prefix}`,
      status: "recovered",
      writer: { started: "2026-01-02T03:04:05.000Z" },
      arrays: [{ path: "", rowsBefore: 4, rowsAfter: 12, rowsLost: 0, shardsKept: 3, shardsRemoved: 0 }],
      uploadsAborted: 0,
      objectsRemoved: 1,
    };
    expect(lastJson(dry)).toMatchObject({ ...expected, dryRun: true });
    expect(await bucket.keys(prefix)).toEqual(keys);

    const done = await recover();
    expect(done).toMatchObject({ code: 0, stderr: "" });
    for (const text of [
      "state    recovered\n",
      "4 published before, 12 after, 0 lost",
      "left no trace to count",
      "3 kept, 0 removed",
    ]) {
      expect(done.stdout).toContain(text);
    }
    expect(await bucket.keys(prefix)).toEqual(keys.filter((key) => !key.endsWith(MARKER_KEY)));

    const again = await recover("--json");
    expect(again.code).toBe(0);
    expect(lastJson(again)).toMatchObject({ status: "clean", dryRun: false, arrays: [] });
  });

  it("ends with 1 where the store is damaged, until the rows are given up", async () => {
    await crash();
    await bucket.put(
      `${prefix}/c/1/0`,
      new TextEncoder().encode("not a shard, but longer than the index of one is".repeat(3)),
    );
    const damaged = await recover();
    expect(damaged).toMatchObject({ code: 1, stderr: "" });
    expect(damaged.stdout).toMatch(/state {4}damaged/);
    expect(damaged.stdout).toMatch(/damage {2}c\/1\/0: index crc32c/);
    const discarded = await recover("--discard-damaged", "--json");
    expect(discarded.code).toBe(0);
    expect(lastJson(discarded)).toMatchObject({
      status: "recovered",
      arrays: [{ rowsAfter: 4, rowsLost: 8, shardsRemoved: 2, damage: { key: "c/1/0" } }],
    });
  });

  it("ends with 1 where nothing was ever published, and where there is nothing", async () => {
    await bucket.put(
      `${prefix}/${MARKER_KEY}`,
      encodeMarker({ writeId: "w", started: "2026-01-02T03:04:05.000Z", endsAt: undefined }),
    );
    const none = await recover();
    expect(none.code).toBe(1);
    expect(none.stdout).toContain("nothing to recover");
    const absent = await recover("--json");
    expect(absent.code).toBe(1);
    expect(lastJson(absent)).toMatchObject({ error: { code: "STORE_NOT_FOUND" } });
  });
});
