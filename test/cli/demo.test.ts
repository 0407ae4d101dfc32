import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SyntheticCamera } from "../../src/cli/camera.js";
import { openArray } from "../../src/store/array_reader.js";
import { lastJson, runCli } from "./run_cli.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-demo-"));
});
afterAll(() => rm(folder, { recursive: true }));

const SMALL = ["--frames", "37", "--size", "150", "--codec", "none"];

describe("millrace demo", () => {
  it("writes what the camera gives, compares it, and replaces only a store of its own", async () => {
    const store = join(folder, "a.zarr");
    const first = await runCli(["demo", store, ...SMALL, "--json"]);
    expect(first).toMatchObject({ code: 0 });
    expect(lastJson(first)).toMatchObject({
      store,
      rows: 37,
      bytesIn: 37 * 150 * 150 * 2,
      codec: "none",
      checked: { values: 37 * 150 * 150, wrong: 0 },
    });
    const camera = new SyntheticCamera({ size: 150, seed: 1 });
    const expected = new Uint16Array(camera.frameElements);
    camera.expose(36, expected);
    const { data } = await (await openArray(store)).readRegion([36, 0, 0], [37, 150, 150]);
    expect(Buffer.compare(data, Buffer.from(expected.buffer))).toBe(0);

    const kept = await runCli(["demo", store, ...SMALL, "--keep"]);
    expect(kept).toMatchObject({ code: 1, stderr: expect.stringContaining("STORE_EXISTS") });
    const second = await runCli(["demo", store, "--frames", "2", "--size", "20", "--seed", "9"]);
    expect(second).toMatchObject({ code: 0, stdout: expect.stringContaining(store) });
    expect((await openArray(store)).metadata.shape).toEqual([2, 20, 20]);
  });

  it("leaves a store alone that it did not write", async () => {
    const store = join(folder, "b.zarr");
    const args = ["write", store, "--dtype", "uint8", "--dims", "t:0:1", "--codec", "none"];
    expect((await runCli(args, { input: Uint8Array.of(1, 2, 3) })).code).toBe(0);
    const before = await readFile(join(store, "zarr.json"));
    const result = await runCli(["demo", store, ...SMALL]);
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("STORE_EXISTS") });
    expect(await readFile(join(store, "zarr.json"))).toEqual(before);
    await writeFile(join(store, "zarr.json"), "{");
    expect((await runCli(["demo", store, ...SMALL])).code).toBe(1);
  });

  it("stops after the time given", async () => {
    const result = await runCli(["demo", join(folder, "c.zarr"), "--seconds", "0.3", "--size", "64", "--json"]);
    expect(result.code).toBe(0);
    expect((lastJson(result) as { rows: number }).rows).toBeGreaterThan(0);
  });
});
