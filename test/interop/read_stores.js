// Reads stores that others wrote, through the public API: `node read_stores.js MANIFEST`. Compares every byte, and
// verifies and inspects each store. Ends with "N passed, N failed, N skipped".
import { readFileSync } from "node:fs";
import { inspectStore, isMillraceError, openArray, verifyStore } from "millrace";

const cases = readFileSync(process.argv[2], "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
let passed = 0;
let failed = 0;

async function check({ path, node = "", dtype, shape, expectedFile, fillHex }) {
  const reader = await openArray(path, node);
  const { metadata } = reader;
  if (metadata.dtype !== dtype) throw new Error(`dtype ${metadata.dtype}, expected ${dtype}`);
  const region = await reader.readRegion();
  if (region.shape.join() !== shape.join()) throw new Error(`shape ${region.shape}, expected ${shape}`);
  if (Buffer.compare(region.data, readFileSync(expectedFile)) !== 0) throw new Error("the data differs");
  const fill = Buffer.from(metadata.fill.bytes).toString("hex");
  if (fill !== fillHex) throw new Error(`fill value ${fill}, expected ${fillHex}`);
  const report = await verifyStore(path);
  if (!report.ok) throw new Error(`verify: ${JSON.stringify(report.defects.slice(0, 3))}`);
  if (report.warnings.length > 0) throw new Error(`verify warns: ${JSON.stringify(report.warnings.slice(0, 3))}`);
  const [array] = report.arrays;
  if (array.chunksChecked === 0) throw new Error("verify checked no chunk");
  const [inspected] = (await inspectStore(path)).arrays;
  if (inspected.bytesStored !== array.bytesStored) throw new Error("inspect and verify count different bytes");
}

for (const item of cases) {
  try {
    if (item.unsupported) {
      const error = await check(item).then(
        () => undefined,
        (reason) => reason,
      );
      if (!isMillraceError(error, "STORE_UNSUPPORTED"))
        throw new Error(`expected STORE_UNSUPPORTED, got ${error ?? "a result"}`);
      const { ok } = await verifyStore(item.path);
      if (ok) throw new Error("verify passed a store that cannot be read");
    } else await check(item);
    passed++;
  } catch (error) {
    failed++;
    console.log(`FAILED ${item.name}: ${error.stack}`);
  }
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
