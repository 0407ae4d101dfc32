import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { hasZstd } from "../helpers/zstd.js";

/** A program may be started with any flag of Node, of V8 or of the process: a writer opens, with all its threads. */
const dist = new URL("../../dist/index.js", import.meta.url).href;
const PROGRAM = `
const { fileSink, openWriter, verifyStore } = await import(${JSON.stringify(dist)});
const [path, codec] = process.argv.slice(-2);
const writer = await openWriter({
  sink: fileSink(path),
  backend: "cpu",
  encodeThreads: 2,
  array: {
    dtype: "uint16",
    codec,
    dimensions: [{ name: "t", size: null, chunk: 2 }, { name: "x", size: 64, chunk: 64 }],
  },
});
await writer.append(new Uint16Array(64 * 6).map((_, i) => i));
await writer.close();
const { ok } = await verifyStore(path);
console.log(JSON.stringify({ rows: writer.watermarks.durable, ok }));
`;

let folder: string;
let runs = 0;
beforeAll(async () => {
  folder = await makeTempFolder();
});
afterAll(() => removeFolder(folder));

function run(flags: readonly string[], env: Record<string, string> = {}, codec = hasZstd ? "zstd:1" : "none") {
  const path = join(folder, `run-${runs++}.zarr`);
  const args = [...flags, "--eval", `(async () => {${PROGRAM}})()`, path, codec];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { status, stdout: stdout.trim(), stderr };
}

const right = expect.objectContaining({ status: 0, stdout: expect.stringContaining('"rows":6,"ok":true') });

describe("flags of the command", () => {
  it.each([
    ["--max-old-space-size=2048"],
    ["--expose-gc"],
    ["--stack-trace-limit=50"],
    ["--use-openssl-ca"],
    ["--title=camera"],
    ["--no-warnings", "--enable-source-maps"],
    ["--conditions", "development"],
    ["--input-type=module"],
    ["--input-type=module", "--expose-gc", "--max-old-space-size=2048", "--trace-warnings"],
  ])("%s %s %s %s", (...flags) => {
    expect(run(flags.filter((flag) => flag !== undefined))).toEqual(right);
  });
});

describe("NODE_OPTIONS", () => {
  it.each([
    "--max-old-space-size=2048 --no-warnings",
    "--use-openssl-ca",
    "--input-type=module --stack-trace-limit=20",
  ])("%s", (NODE_OPTIONS) => {
    expect(run([], { NODE_OPTIONS })).toEqual(right);
  });
});
