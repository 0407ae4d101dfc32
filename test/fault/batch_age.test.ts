/**
 * What a slow camera has sent is in the store when its process is killed, and its idle writer keeps no process alive.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { recoverStore } from "../../src/recover/recover.js";
import { openArray } from "../../src/store/array_reader.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";

const ROWS = 24;

const program = (options: string, ending: string): string => `
import { fileSink, openWriter } from ${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)};
const writer = await openWriter({
  sink: fileSink(process.argv[1]),
  backend: "cpu",
  array: {
    dtype: "uint16",
    codec: "none",
    dimensions: [{ name: "t", size: null, chunk: 1, shard: 4000 }, { name: "x", size: 64, chunk: 64 }],
  },
  ${options}
});
for (let i = 0; i < ${ROWS}; i++) await writer.append(new Uint16Array(64).fill(1 + i));
${ending}
`;

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
});

let folder: string;
let runs = 0;
beforeAll(async () => {
  folder = await makeTempFolder();
});
afterAll(() => removeFolder(folder));

function start(options: string, ending: string): { child: ChildProcess; store: string } {
  const store = join(folder, `run-${runs++}.zarr`);
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program(options, ending), store], {
    env: { ...process.env, MILLRACE_DEBUG: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  return { child, store };
}

it.each([
  ["batch", "durable"],
  ["shard", "delivered"],
  ["none", "delivered"],
] as const)("at durability %s all rows that have become %s survive kill -9", async (durability, mark) => {
  // The batch would be full after thousands of rows: their age alone brings these to the disk.
  const { child, store } = start(
    `durability: "${durability}", maxBatchAgeMs: 20,`,
    `while (writer.watermarks.${mark} < ${ROWS}) await new Promise((resolve) => setTimeout(resolve, 1));
    console.log("there");
    setInterval(() => {}, 1000);`,
  );
  await once(child.stdout as NonNullable<typeof child.stdout>, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  await recoverStore(store);
  const array = await openArray(store);
  expect(array.metadata.shape).toEqual([ROWS, 64]);
  const { values: data } = await array.readRegion();
  const values = new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
  expect(Array.from(values)).toEqual(Array.from(values, (_, i) => 1 + Math.floor(i / 64)));
});

it.each(["workers", "inline"])("a writer whose rows wait keeps no process alive, threads %s", async (threads) => {
  // The longest age there is: a process that waited for it would still be there in weeks.
  const { child } = start(`threads: "${threads}", maxBatchAgeMs: ${2 ** 31 - 1},`, "");
  expect(await once(child, "exit")).toEqual([0, null]);
});
