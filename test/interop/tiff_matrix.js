// Reads what tiff_matrix.py has written, as `millrace write` does, and compares: `node tiff_matrix.js FOLDER`.
// The last line is "N passed, N failed, N skipped".
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { parseDims } from "../../dist/cli/dims.js";
import { readInputs } from "../../dist/cli/inputs.js";
import { itemBytes } from "../../dist/geometry/dtype.js";

const folder = process.argv[2];
if (folder === undefined) throw new Error("usage: node tiff_matrix.js FOLDER");
const lines = readFileSync(join(folder, "manifest.jsonl"), "utf8").trimEnd().split("\n");
const stdin = Readable.from([]);
const { signal } = new AbortController();

async function outcome({ file, dtype, dims }) {
  const hash = createHash("sha256");
  const options = {
    format: "auto",
    dtype,
    itemBytes: itemBytes(dtype),
    dimensions: parseDims(dims),
    appendBytes: 65536,
    stdin,
    signal,
  };
  try {
    for await (const piece of readInputs({ inputs: [join(folder, file)], ...options })) hash.update(piece);
  } catch (error) {
    return { code: error.code ?? "no code", message: error.message };
  }
  return { sha256: hash.digest("hex") };
}

let passed = 0;
let failed = 0;
for (const line of lines) {
  const expected = JSON.parse(line);
  const got = await outcome(expected);
  const right =
    expected.refused === undefined
      ? got.sha256 === expected.sha256
      : got.code === "INVALID_DATA" && got.message.includes(expected.refused);
  if (right) passed++;
  else {
    failed++;
    const what = expected.refused === undefined ? "the values of tifffile" : `a refusal with "${expected.refused}"`;
    console.log(
      `${expected.file} as ${expected.dtype} ${expected.dims}: expected ${what}, got ${got.message ?? "other values"}`,
    );
  }
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exitCode = failed === 0 ? 0 : 1;
