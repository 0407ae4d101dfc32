import { describe, expect, it } from "vitest";
import { encodeMarker, MARKER_KEY } from "../../src/journal/writer_marker.js";
import { recoverStore } from "../../src/recover/recover.js";
import { s3Sink } from "../../src/sinks/s3_spec.js";
import { s3Store } from "../../src/store/s3_store.js";
import { verifyStore } from "../../src/store/verify.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { failureOf } from "../helpers/outcome.js";
import type { TestBucket } from "../helpers/s3_client.js";
import type { Fault, S3Proxy } from "../helpers/s3_proxy.js";
import type { S3Server } from "../helpers/s3_server.js";
import { placeOn } from "../helpers/s3_stream.js";
import { withProxiedServer } from "../helpers/with_s3_server.js";

/** A server without DeleteObjects: every object is removed by a request of its own, wherever something is removed. */
const REFUSALS: readonly (readonly [string, Fault])[] = [
  ["NotImplemented", { refuse: "NotImplemented" }],
  ["MethodNotAllowed", { refuse: "MethodNotAllowed" }],
  ["a bare 501", { status: 501 }],
  ["a bare 405", { status: 405 }],
  ["InvalidRequest, as where only an MD5 will do", { refuse: "InvalidRequest" }],
];

describe("a server without DeleteObjects", () => {
  let server: S3Server;
  let bucket: TestBucket;
  let proxy: S3Proxy;
  let prefix: string;
  withProxiedServer("s3rver", (place) => {
    ({ server, bucket, proxy, prefix } = place);
  });

  const sink = () => s3Sink(placeOn(server, prefix, proxy.endpoint));
  const refuse = (fault: Fault, one?: Fault) =>
    proxy.setPlan(({ operation }) =>
      operation === "DeleteObjects" ? fault : operation === "DeleteObject" ? one : undefined,
    );
  const open = (mode: "create" | "overwrite" | "resume" = "create"): Promise<ArrayWriter> =>
    openWriter({
      sink: sink(),
      mode,
      backend: "cpu",
      threads: "inline",
      publishIntervalMs: 0,
      array: {
        dtype: "uint8",
        codec: "none",
        dimensions: [
          { name: "t", size: null, chunk: 1 },
          { name: "x", size: 24, chunk: 1 },
        ],
      },
    });
  const markers = async () => (await bucket.keys(prefix)).filter((key) => key.includes("/.millrace/"));

  it.each(REFUSALS)("that says %s: closes, resumes, recovers and overwrites", async (_, fault) => {
    refuse(fault);
    const writer = await open();
    await writer.append(new Uint8Array(48).fill(1));
    await writer.close();
    expect(await markers()).toEqual([]);

    const resumed = await open("resume");
    await resumed.append(new Uint8Array(24).fill(2));
    await resumed.close();
    expect(resumed.watermarks.published).toBe(3);

    // A writer that crashed, with one shard of the row it had begun.
    const marker = { writeId: "w", started: "2026-01-02T03:04:05.000Z", endsAt: undefined };
    await bucket.put(`${prefix}/${MARKER_KEY}`, encodeMarker(marker));
    await bucket.put(`${prefix}/c/3/0`, (await bucket.get(`${prefix}/c/0/0`)) as Uint8Array);
    const recovered = await recoverStore(sink());
    expect(recovered).toMatchObject({ status: "recovered", arrays: [{ rowsAfter: 3, shardsRemoved: 1 }] });
    expect(await markers()).toEqual([]);

    proxy.clear();
    const again = await open("overwrite");
    await again.append(new Uint8Array(24).fill(4));
    await again.close();
    // The refusal is remembered: one request finds out. All objects of the old store went, several at a time.
    expect(proxy.requests("DeleteObjects")).toHaveLength(1);
    expect(proxy.requests("DeleteObject")).toHaveLength(1 + 3 * 24 + 1);
    expect(proxy.maxInFlight("DeleteObject")).toBeGreaterThan(1);
    expect(proxy.maxInFlight("DeleteObject")).toBeLessThanOrEqual(8);
    await using store = s3Store(placeOf());
    const report = await verifyStore(store);
    expect(report).toMatchObject({ ok: true, warnings: [], arrays: [{ shape: [1, 24], objectsChecked: 24 }] });
  });

  function placeOf() {
    const { partBytes: _, concurrency: __, ...place } = placeOn(server, prefix);
    return place;
  }

  it("is not taken for one whose key may not delete", async () => {
    refuse({ refuse: "AccessDenied" });
    const writer = await open();
    await writer.append(new Uint8Array(24));
    await expect(writer.close()).rejects.toMatchObject({
      code: "S3_ACCESS_DENIED",
      context: { operation: "DeleteObjects" },
    });
    expect(proxy.requests("DeleteObject")).toEqual([]);
  });

  it("that refuses DeleteObject too says why, without talk of checksums", async () => {
    refuse({ refuse: "NotImplemented" }, { refuse: "MethodNotAllowed" });
    const writer = await open();
    await writer.append(new Uint8Array(24));
    const error = await failureOf(writer.close());
    expect(error).toMatchObject({ code: "S3_UNSUPPORTED", context: { operation: "DeleteObject" } });
    expect(error.hint).not.toContain("checksum");
  });
});
