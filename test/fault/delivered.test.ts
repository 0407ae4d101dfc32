import { join } from "node:path";
import { expect, it } from "vitest";
import { deferred } from "../../src/base/deferred.js";
import { FileSink } from "../../src/sinks/file.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { hookedFs } from "../helpers/faulty_fs.js";
import { inlineSpec } from "../helpers/map_sink.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";

/** What counts as delivered outlives the process: recovery goes by the journal, so the journal has it first. */
it.each(["none", "shard", "batch"] as const)(
  "at durability %s no row is delivered before the journal has it",
  async (durability) => {
    const folder = await makeTempFolder();
    const reached = deferred();
    const gate = deferred();
    const { fs } = hookedFs(async (call, _, path) => {
      if (call !== "file.writev") return;
      if (path.endsWith(".partial")) hasData = true;
      // Not the frame that begins it, which stands before the data.
      if (!hasData || !path.includes("journal.")) return;
      reached.resolve();
      await gate.promise;
    });
    let hasData = false;
    try {
      const writer = await openWriter({
        sink: inlineSpec(new FileSink({ root: join(folder, "run.zarr"), fs })),
        threads: "inline",
        backend: "cpu",
        durability,
        batchEpochs: 1,
        array: {
          dtype: "uint16",
          codec: "none",
          dimensions: [
            { name: "t", size: null, chunk: 2, shard: 8 },
            { name: "x", size: 16, chunk: 8 },
          ],
        },
      });
      await writer.append(new Uint16Array(32).fill(7));
      await reached.promise;
      expect(writer.watermarks).toMatchObject({ accepted: 2, encoded: 2, delivered: 0, durable: 0 });
      gate.resolve();
      await writer.close();
      expect(writer.watermarks).toMatchObject({ delivered: 2, durable: 2, published: 2 });
    } finally {
      await removeFolder(folder);
    }
  },
);
