import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { recoverStore } from "../../../src/recover/recover.js";
import { fileSink, memorySink, throttledSink } from "../../../src/sinks/specs.js";

it.each([
  ["run.zarr"],
  ["./C:\\run.zarr"],
  [pathToFileURL("/not/there/run.zarr")],
  [String(pathToFileURL("/not/there/run.zarr"))],
  [fileSink("run.zarr")],
])("looks for a folder: %s", async (target) => {
  await expect(recoverStore(target)).rejects.toMatchObject({
    code: "STORE_NOT_FOUND",
    context: { path: expect.stringMatching(/^\/.*run\.zarr$/) },
  });
});

it.each<[unknown]>([
  ["s3://"],
  ["s3://bucket//prefix"],
  [new URL("s3://bucket/%")],
  ["gs://bucket/prefix"],
  [new URL("https://bucket.example/prefix")],
  [memorySink()],
  [throttledSink(fileSink("run.zarr"))],
  [undefined],
  [null],
  [7],
  [{}],
  [""],
  ["a\0b"],
])("refuses what names no store: %s", async (target) => {
  await expect(recoverStore(target as string)).rejects.toMatchObject({ code: "INVALID_OPTION" });
});
