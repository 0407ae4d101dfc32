import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SinkSpec } from "../../../src/handoff/sink.js";
import { recoverStore } from "../../../src/recover/recover.js";
import { DiscardSink } from "../../../src/sinks/discard.js";
import { makeSink } from "../../../src/sinks/make_sink.js";
import { discardSink, fileSink, memorySink, moduleSink, throttledSink } from "../../../src/sinks/specs.js";
import { openArray } from "../../../src/store/array_reader.js";
import { failureOf } from "../../helpers/outcome.js";
import { makeTempFolder, readIfThere, removeFolder } from "../../helpers/temp_folder.js";

let folder: string;
beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => removeFolder(folder));

/** As the delivery worker gets it. */
const make = (spec: SinkSpec) => {
  const { kind, options, location } = structuredClone({
    kind: spec.kind,
    options: spec.options,
    location: spec.location,
  });
  return makeSink(kind, options, location);
};

describe("fileSink", () => {
  it("is plain data about an absolute path", async () => {
    const spec = fileSink("some/run.zarr");
    expect(spec).toMatchObject({ kind: "file", location: resolve("some/run.zarr") });
    expect(fileSink(pathToFileURL("/a b/run.zarr")).location).toBe("/a b/run.zarr");
    const sink = await make(fileSink(join(folder, "run.zarr"), { maxOpenFiles: 3 }));
    expect(sink).toMatchObject({ kind: "file", location: join(folder, "run.zarr") });
    await sink.close();
  });

  it("needs memory by open shard", () => {
    const { memoryBytes } = fileSink("x");
    expect(memoryBytes(0, 1000)).toBe(0);
    expect(memoryBytes(200, 1000)).toBe(2 * memoryBytes(100, 1000));
    expect(fileSink("x", { directIo: "auto" }).memoryBytes(100, 1000)).toBeGreaterThan(memoryBytes(100, 1000) + 4e6);
  });

  it.each([
    [() => fileSink("")],
    [() => fileSink("a\0b")],
    [() => fileSink(undefined as never)],
    [() => fileSink(5 as never)],
    [() => fileSink(new URL("https://example.org/x"))],
    [() => fileSink(new URL("file://server/share/x"))],
    [() => fileSink(new URL("file:///a%2Fb"))],
    [() => fileSink("x", { maxOpenFiles: 0 })],
    [() => fileSink("x", { maxOpenFiles: 1.5 })],
    [() => fileSink("x", { directIo: "yes" as never })],
    [() => fileSink("x", { maxFiles: 3 } as never)],
    [() => fileSink("x", null as never)],
  ])("refuses what is no path or no option (%#)", (call) => {
    expect(call).toThrow(expect.objectContaining({ name: "MillraceError", code: "INVALID_OPTION" }));
  });
});

const drives: [string, RegExp][] = [
  ["C:\\data\\run.zarr", /\.\//],
  ["d:/run.zarr", /\.\//],
];

describe("a text that is no path", () => {
  it.each<[string, RegExp]>([
    ["s3://bucket/run.zarr", /s3Sink/],
    ["S3://bucket", /s3Sink/],
    ["s3:/bucket/run.zarr", /s3Sink/],
    ["file:///data/run.zarr", /new URL/],
    ["https://example.org/run.zarr", /\.\//],
    ["gs://bucket/run.zarr", /\.\//],
    ["~", /homedir/],
    ["~/run.zarr", /homedir/],
    ["~ann/run.zarr", /homedir/],
    ...(process.platform === "win32" ? [] : drives),
  ])("%s is refused, and what works is named", (path, hint) => {
    expect(() => fileSink(path)).toThrow(
      expect.objectContaining({
        code: "INVALID_OPTION",
        context: { option: "path", given: path },
        hint: expect.stringMatching(hint),
      }),
    );
  });

  it("is a path with ./ in front, or where it only looks a little like one", () => {
    for (const path of ["./~/run.zarr", "./s3:/b", "run~", "~run.zarr", "12:30/run.zarr", "a/b:/c", "t:0"]) {
      expect(fileSink(path).location).toBe(resolve(path));
    }
  });

  it("is not recovered either", async () => {
    for (const path of ["~/run.zarr", "s3:/bucket", "gs://b/x"]) {
      await expect(recoverStore(path)).rejects.toMatchObject({ code: "INVALID_OPTION" });
    }
  });

  it("is not found by readers, who say why", async () => {
    const error = await failureOf(openArray("~/run.zarr"));
    expect(error).toMatchObject({ code: "STORE_NOT_FOUND", hint: expect.stringContaining("homedir") });
    await expect(openArray("file://server/x")).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });
});

describe("throttledSink", () => {
  it("carries the inner sink along", async () => {
    const spec = throttledSink(fileSink(join(folder, "run.zarr")), { bytesPerSecond: 1e6, latencyMs: 1 });
    expect(spec.memoryBytes(10, 1000)).toBe(fileSink("x").memoryBytes(10, 1000));
    const sink = await make(spec);
    expect(sink).toMatchObject({ kind: "throttled", location: join(folder, "run.zarr") });
    await sink.close();
  });

  it("hands on the port of a memory sink", () => {
    const memory = memorySink();
    const spec = throttledSink(memory);
    expect(spec.transfer).toEqual([memory.options.port]);
    expect((spec.options.inner as SinkSpec).options.port).toBe(memory.options.port);
  });

  it("wraps a ready-made sink", async () => {
    const inner = new DiscardSink();
    const spec = throttledSink({ ...discardSink(), instance: inner }, { latencyMs: 1 });
    await spec.instance!.putObject("x", new Uint8Array(7), false);
    expect(inner.bytes).toBe(7);
  });

  it.each([
    [() => throttledSink(undefined as never)],
    [() => throttledSink({} as never)],
    [() => throttledSink(discardSink(), { bytesPerSecond: 0 })],
    [() => throttledSink(discardSink(), { bytesPerSecond: Number.NaN })],
    [() => throttledSink(discardSink(), { latencyMs: -1 })],
    [() => throttledSink(discardSink(), { latencyMs: Number.POSITIVE_INFINITY })],
    [() => throttledSink(discardSink(), { rate: 1 } as never)],
  ])("refuses wrong settings (%#)", (call) => {
    expect(call).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });
});

describe("moduleSink", () => {
  async function moduleAt(name: string, source: string): Promise<URL> {
    const path = join(folder, name);
    await writeFile(path, source);
    return pathToFileURL(path);
  }

  it("imports a module and gives it the options", async () => {
    const url = await moduleAt(
      "mine.mjs",
      "export default async (o) => ({ kind: o.kind, location: 'l', open() {}, openShard() {}, putObject() {}, " +
        "close() {} })",
    );
    const spec = moduleSink(url, { kind: "mine" }, { location: "here", memoryBytesPerShard: 50 });
    expect(spec.location).toBe("here");
    expect(spec.memoryBytes(3, 1000)).toBe(150);
    expect((await make(spec)).kind).toBe("mine");
  });

  it.each([
    ["no such file", undefined],
    ["a module that throws", "throw new Error('no')"],
    ["no default export", "export const x = 1"],
    ["a default export that returns no sink", "export default () => ({})"],
    ["a sink that cannot be closed", "export default () => ({ open() {}, openShard() {}, putObject() {} })"],
    ["a default export that returns nothing", "export default () => undefined"],
  ])("refuses %s", async (name, source) => {
    const file = `${name.replaceAll(" ", "_")}.mjs`;
    const url = source === undefined ? pathToFileURL(join(folder, file)) : await moduleAt(file, source);
    await expect(make(moduleSink(url))).rejects.toMatchObject({ code: "INVALID_OPTION", context: { url: url.href } });
  });

  it("wants an absolute URL", () => {
    for (const url of ["./mine.js", "", 5]) {
      expect(() => moduleSink(url as string)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    }
    expect(() => moduleSink("data:text/javascript,1", {}, { memoryBytesPerShard: -1 })).toThrow(/whole number/);
    expect(() => moduleSink("data:text/javascript,1", {}, { location: 3 as never })).toThrow(/string/);
  });
});

describe("makeSink", () => {
  it("makes discard sinks, and counts", async () => {
    const sink = (await make(discardSink())) as DiscardSink;
    await sink.open();
    const shard = await sink.openShard();
    await shard.write([new Uint8Array(10), new Uint8Array(5)]);
    await shard.seal(new Uint8Array(4), true);
    await (await sink.openShard()).abandon(true);
    await sink.putObject("x", new Uint8Array(100));
    await sink.close();
    expect([sink.bytes, sink.shards, sink.objects]).toEqual([119, 1, 1]);
  });

  it("does not know other kinds", async () => {
    await expect(makeSink("tape", {}, "x")).rejects.toMatchObject({
      code: "INVALID_OPTION",
      context: { kind: "tape" },
    });
  });
});

describe("fileSink directIo without the addon", () => {
  it("true says what is missing; auto goes through the cache", async () => {
    vi.resetModules();
    vi.stubEnv("MILLRACE_ADDON", "off");
    try {
      const fresh = await import("../../../src/sinks/make_sink.js");
      const place = join(folder, "run.zarr");
      await expect(fresh.makeSink("file", { directIo: true }, place)).rejects.toMatchObject({
        code: "INVALID_OPTION",
        context: { option: "directIo", path: place },
      });
      const sink = await fresh.makeSink("file", { directIo: "auto" }, place);
      await sink.open("create");
      await (await sink.openShard("c/0", { maxBytes: 10 })).seal(new Uint8Array(7), false);
      await sink.close();
      expect(await readIfThere(join(place, "c/0"))).toEqual(new Uint8Array(7));
    } finally {
      vi.unstubAllEnvs();
      vi.resetModules();
    }
  });
});
