import { describe, expect, it } from "vitest";
// Worker threads run compiled code: these tests use what `npm run build` made.
import { discardSink, openWriter } from "../../dist/index.js";
import { noGpu } from "../helpers/gpu.js";
import { coordinateRows } from "../helpers/outcome.js";
import { PATIENCE_MS } from "../helpers/patience.js";

/**
 * The engine's thread drives its device alone: a caller that is busy, for however long, does not hold up what it has
 * handed over.
 */
const ROW_BYTES = 2 * 3000;
const SLOTS = 4;
const rows = coordinateRows(ROW_BYTES);

describe.skipIf(noGpu)("a caller that is busy", () => {
  it("finds what it has handed over encoded on the GPU, delivered and published, and slots free again", async () => {
    const writer = await openWriter({
      sink: discardSink(),
      backend: "gpu",
      allowSoftwareAdapter: true,
      depth: SLOTS,
      batchEpochs: 1,
      publishIntervalMs: 0,
      array: {
        dtype: "uint16",
        codec: "none",
        dimensions: [
          { name: "t", size: null, chunk: 4, shard: 8 },
          { name: "x", size: 3000, chunk: 1000, shard: 2000 },
        ],
      },
    });
    const deadline = Date.now() + PATIENCE_MS / 2;
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    for (let row = 0; row < 12 * SLOTS; row += 4 * SLOTS) {
      const given = rows(row, row + 4 * SLOTS);
      // The device's memory for the last slot may be mapped a moment after its batch was published.
      for (let at = 0; at < given.byteLength; at += writer.tryAppend(given.subarray(at))) {
        if (Date.now() > deadline) throw new Error(JSON.stringify(writer.metrics().waiting));
      }
      // Seen in shared memory; no message is read in this loop.
      while (writer.watermarks.published < row + 4 * SLOTS) {
        if (Date.now() > deadline) throw new Error(JSON.stringify(writer.metrics().waiting));
      }
    }
    expect(turned).toBe(false);
    expect(writer.metrics()).toMatchObject({ chunksByRoute: { cpu: 0, gpu: 36 }, shardsSealed: 12 });
    await writer.close();
  });
});
