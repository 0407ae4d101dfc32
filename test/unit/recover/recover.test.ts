import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { recoverStore } from "../../../src/recover/recover.js";
import { fileSink, memorySink, throttledSink } from "../../../src/sinks/specs.js";

it.each([
  ["run.zarr"],
  ["C:\\run.zarr"],
  [pathToFileURL("/data/run.zarr")],
  [String(pathToFileURL("/data/run.zarr"))],
  [fileSink("run.zarr")],
])("says that folders come later: %s", async (target) => {
  await expect(recoverStore(target)).rejects.toMatchObject({
    code: "NOT_YET",
    hint: expect.stringContaining("verify"),
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
])("refuses what is no store on S3: %s", async (target) => {
  await expect(recoverStore(target as string)).rejects.toMatchObject({ code: "INVALID_OPTION" });
});
