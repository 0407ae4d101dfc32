import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lastJson, runCli } from "./run_cli.js";

const ARGS = ["--dtype", "uint16", "--dims", "t:0:2:4,y:3:3,x:4:4", "--backend", "cpu"];
const input = new Uint8Array(2 * 24);

let folder: string;
let storeCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-write-array-"));
});
afterAll(() => rm(folder, { recursive: true }));

const newStore = () => join(folder, `run-${storeCount++}.zarr`);

async function metadataOf(store: string): Promise<string> {
  return await readFile(join(store, "zarr.json"), "utf8");
}

describe("millrace write says of the array", () => {
  it("units, scales and attributes, which inspect shows and resume keeps", async () => {
    const store = newStore();
    const attributes = join(folder, "scope.json");
    await writeFile(attributes, '{"sample": "A1", "gain": [1, 2.5]}');
    const said = ["--unit", "t:second, y:micrometer,x:micrometer", "--scale", "y:0.325,x:3.25e-1"];
    const described = [...said, "--attributes", attributes];
    expect(await runCli(["write", store, ...ARGS, ...described], { input })).toMatchObject({ code: 0 });
    const { attributes: stored } = JSON.parse(await metadataOf(store));
    expect(stored).toMatchObject({ sample: "A1", gain: [1, 2.5] });
    expect(stored.millrace.dimensions).toEqual([
      { name: "t", type: "time", unit: "second" },
      { name: "y", type: "space", unit: "micrometer", scale: 0.325 },
      { name: "x", type: "space", unit: "micrometer", scale: 0.325 },
    ]);
    const { stdout } = await runCli(["inspect", store]);
    expect(stdout).toMatch(/t +size 2, chunk 2, shard 4, every 1 second$/m);
    expect(stdout).toMatch(/x +size 4, chunk 4, shard 4, every 0.325 micrometer$/m);
    expect(stdout).toMatch(/attributes +\{"sample":"A1"/);

    const resume = ["write", store, "--mode", "resume"];
    expect(await runCli([...resume, ...described], { input })).toMatchObject({ code: 0 });
    expect(await runCli(resume, { input })).toMatchObject({ code: 0 });
    expect(JSON.parse(await metadataOf(store))).toMatchObject({ shape: [6, 3, 4], attributes: stored });
    const other = await runCli([...resume, "--unit", "y:nanometer"], { input });
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining("unit of y") });
  });

  it.each([
    ["uint16", "65535", "65535"],
    ["int64", "-9007199254740993", "-9007199254740993"],
    ["float32", "-1.5e3", "-1500.0"],
    ["float32", "NaN", '"NaN"'],
    ["float32", "0x7fc00001", '"0x7fc00001"'],
  ])("for %s the fill value %s", async (dtype, fill, json) => {
    const store = newStore();
    const args = ["write", store, "--backend", "cpu", "--dtype", dtype, "--dims", "t:0:1"];
    const result = await runCli([...args, `--fill=${fill}`]);
    expect(result).toMatchObject({ code: 0 });
    expect((await metadataOf(store)).includes(`"fill_value": ${json},`), await metadataOf(store)).toBe(true);
  });

  it("attributes as JSON, and bounds of memory and threads", async () => {
    const store = newStore();
    const bounds = ["--memory", "64MiB", "--threads", "1"];
    const args = ["write", store, ...ARGS, ...bounds, "--attributes", ' {"note": "ü"}'];
    expect(await runCli(args, { input })).toMatchObject({ code: 0 });
    expect(JSON.parse(await metadataOf(store)).attributes.note).toBe("ü");
    const small = await runCli(["write", newStore(), ...ARGS, "--memory", "1KiB", "--json"], { input });
    expect(small.code).toBe(2);
    expect(lastJson(small)).toMatchObject({ error: { code: "MEMORY_BUDGET_EXCEEDED" } });
  });

  it.each<[string[], RegExp]>([
    [["--unit", "z:micrometer"], /--unit names dimension "z", but the array has no such dimension\. Known: t, y, x/],
    [["--scale", "yy:2"], /--scale names dimension "yy", .*Did you mean "y"\?/],
    [["--scale", "y:0"], /"y:0": expected a finite number above 0/],
    [["--scale", "y:1,y:2"], /Dimension y is there twice/],
    [["--unit", "micrometer"], /"micrometer" is not name:value; expected for example t:second/],
    [["--fill", "65536"], /must be an integer from 0 to 65535/],
    [["--fill", "grey"], /must be an integer from 0 to 65535, got "grey"/],
    [["--attributes", "absent.json"], /--attributes absent\.json cannot be read: there is no such file/],
    [["--attributes", "{sample: 1}"], /--attributes is no JSON: .* in double quotes/],
    [["--attributes", '{"millrace": 1}'], /millrace is Millrace's own/],
    [["--memory", "much"], /Expected a number of bytes/],
    [["--threads", "0"], /Expected a whole number from 1/],
    [["--theads", "1"], /unknown option '--theads'.*Did you mean --threads\?/],
  ])("refuses %j and makes no store", async (flags, message) => {
    const store = newStore();
    const result = await runCli(["write", store, ...ARGS, ...flags], { input });
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    await expect(metadataOf(store)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("refuses attributes of a file that holds no object", async () => {
    const list = join(folder, "list.json");
    await writeFile(list, "[1]");
    const result = await runCli(["write", newStore(), ...ARGS, "--attributes", list], { input });
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining("is JSON, but no object") });
  });
});
