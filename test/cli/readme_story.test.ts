import { spawn } from "node:child_process";
import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { decodeMarker, MARKER_KEY } from "../../src/journal/writer_marker.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { root } from "./run_cli.js";

const FRAME_ELEMENTS = 520 * 696;

let folder: string;
let env: NodeJS.ProcessEnv;
beforeEach(async () => {
  folder = await makeTempFolder();
  // The story is told from the project's folder, and must not write there.
  await symlink(join(root, "bin"), join(folder, "bin"));
  await mkdir(join(folder, "tools"));
  // npx of a project that has installed the package: no download, and the same process, so that a kill reaches it.
  const npx = `#!/bin/sh\n[ "$1" = millrace ] && shift\nexec "${process.execPath}" bin/millrace.js "$@"\n`;
  await writeFile(join(folder, "tools", "npx"), npx, { mode: 0o755 });
  env = { ...process.env, PATH: `${join(folder, "tools")}:${process.env.PATH}` };
});
afterEach(() => removeFolder(folder));

/** A camera whose frame n is full of n, from `first` on; `count` of them. */
async function cameraTool(first: number, count: number): Promise<void> {
  const path = join(folder, "tools", "camera-tool");
  const script = `#!${process.execPath}
const frame = new Uint16Array(${FRAME_ELEMENTS});
(async () => {
  for (let n = ${first}; n < ${first + count}; n++) {
    frame.fill(n);
    const taken = process.stdout.write(Buffer.from(frame.buffer.slice(0)));
    if (!taken) await new Promise((r) => process.stdout.once("drain", r));
  }
})();
process.stdout.on("error", () => process.exit(0));
`;
  await writeFile(path, script);
  await chmod(path, 0o755);
}

function shell(line: string): Promise<{ code: number | null; output: string }> {
  const child = spawn("sh", ["-c", line], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (part) => (output += part));
  child.stderr.on("data", (part) => (output += part));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}

const rowsPublished = async (): Promise<number> => {
  try {
    return (JSON.parse(await readFile(join(folder, "run.zarr/zarr.json"), "utf8")) as { shape: number[] }).shape[0];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
};

it.skipIf(process.platform === "win32")("README's story of a crash is true", async () => {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const story = /## After a crash\s+```sh\n(?<lines>[^`]+)```/.exec(readme)?.groups?.lines.trimEnd().split("\n") ?? [];
  expect(story).toHaveLength(3);
  const [write, recover, resume] = story;

  await cameraTool(0, 60_000);
  const killed = shell(write);
  while ((await rowsPublished()) === 0) await sleep(20);
  const marker = decodeMarker(await readFile(join(folder, "run.zarr", MARKER_KEY)));
  process.kill(marker!.writer!.pid, "SIGKILL");
  expect((await killed).code).not.toBe(0);
  const published = await rowsPublished();

  const recovered = await shell(recover);
  expect(recovered).toMatchObject({ code: 0, output: expect.stringMatching(/published before, \d+ after, 0 lost/) });
  const rows = await rowsPublished();
  expect(rows).toBeGreaterThanOrEqual(published);

  const more = 70;
  await cameraTool(rows, more);
  expect((await shell(resume)).code).toBe(0);
  expect(await verifyStore(join(folder, "run.zarr"))).toMatchObject({ ok: true, defects: [], warnings: [], notes: [] });
  const array = await openArray(join(folder, "run.zarr"));
  expect(array.metadata.shape).toEqual([rows + more, 520, 696]);
  for (const row of [0, published - 1, rows - 1, rows, rows + more - 1]) {
    const { data } = await array.readRegion([row, 0, 0], [row + 1, 520, 696]);
    expect(Buffer.compare(data, Buffer.from(new Uint16Array(FRAME_ELEMENTS).fill(row).buffer)), `row ${row}`).toBe(0);
  }
});
