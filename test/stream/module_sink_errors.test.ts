import { describe, expect, it } from "vitest";
// Threads run what was built.
import { type MillraceError, moduleSink, openWriter, type SinkSpec, throttledSink } from "../../dist/index.js";
import { inlineSpec } from "../helpers/map_sink.js";
import makeThrowingSink from "../helpers/throwing_sink.js";

/** What somebody else's sink throws is the sink's failure, with what it said: never "a bug in Millrace". */
const url = new URL("../helpers/throwing_sink.js", import.meta.url);

/** The first failure of a stream of four shards, from opening to closing. */
async function firstFailure(sink: SinkSpec, threads: "workers" | "inline"): Promise<MillraceError> {
  try {
    await using writer = await openWriter({
      sink,
      threads,
      backend: "cpu",
      array: {
        dtype: "uint8",
        codec: "none",
        dimensions: [
          { name: "t", size: null, chunk: 1 },
          { name: "x", size: 4, chunk: 4 },
        ],
      },
    });
    await writer.append(new Uint8Array(16).fill(1));
    await writer.close();
  } catch (error) {
    return error as MillraceError;
  }
  throw new Error("it succeeded");
}

describe.each(["inline", "workers"] as const)("a module sink with threads %s", (threads) => {
  const thrown = async (options: object) => await firstFailure(moduleSink(url, options), threads);

  it.each(["make", "open", "putObject", "openShard", "write", "seal", "close"])("that throws in %s", async (where) => {
    const error = await thrown({ where, what: "error" });
    expect(error).toMatchObject({ name: "MillraceError", code: "SINK_FAILED" });
    expect(error.message).toContain("the robot arm is offline");
    expect((error.cause as Error).message).toBe("the robot arm is offline");
  });

  it.each(["text", "nothing", "bare", "type"])("that throws %s, and no Error of its own", async (what) => {
    expect(await thrown({ where: "seal", what })).toMatchObject({ code: "SINK_FAILED", context: { key: "c/0/0" } });
  });

  it("that rejects later", async () => {
    expect(await thrown({ where: "write", what: "error", late: true })).toMatchObject({ code: "SINK_FAILED" });
  });

  it("whose error is one of the operating system", async () => {
    expect(await thrown({ where: "write", what: "full" })).toMatchObject({
      code: "DISK_FULL",
      context: { errno: "ENOSPC" },
    });
  });

  it("that makes no handle of a shard", async () => {
    const error = await thrown({ where: "noHandle" });
    expect(error).toMatchObject({ code: "SINK_FAILED", context: { key: "c/0/0" } });
    expect(error.message).toContain("write()");
  });
});

it("a sink behind throttledSink, and one that is there already, are no exception", async () => {
  const options = { where: "write", what: "error", late: false };
  const slow = await firstFailure(throttledSink(moduleSink(url, options)), "inline");
  expect(slow).toMatchObject({ code: "SINK_FAILED" });
  const ready = await firstFailure(inlineSpec(makeThrowingSink(options)), "inline");
  expect(ready).toMatchObject({ code: "SINK_FAILED" });
});
