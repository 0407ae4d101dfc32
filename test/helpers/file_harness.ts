import { join } from "node:path";
import { FileSink, type FileSinkSettings } from "../../src/sinks/file.js";
import type { SinkHarness } from "../contract/sink.contract.js";
import { filesBelow, makeTempFolder, readIfThere, removeFolder } from "./temp_folder.js";

const PARTIAL = ".partial";
const JOURNALS = ".millrace";

/**
 * File sinks on a folder that does not exist yet, nor its parents.
 * @param openMax what `settings` lets it hold open
 * @param makeFolder where the folder is
 */
export function fileHarness(
  openMax: number,
  settings: () => Partial<FileSinkSettings>,
  makeFolder: () => Promise<string> = makeTempFolder,
): () => Promise<SinkHarness> {
  return async () => {
    const folder = await makeFolder();
    const root = join(folder, "not", "there", "yet.zarr");
    return {
      manyShards: 3 * openMax,
      make: async () => new FileSink({ root, ...settings() }),
      read: (key) => readIfThere(join(root, key)),
      keys: async () =>
        (await filesBelow(root)).filter((name) => !name.endsWith(PARTIAL) && !name.startsWith(JOURNALS)),
      journals: async () => {
        const names = await filesBelow(join(root, JOURNALS));
        return new Map(
          await Promise.all(
            names.map(async (name) => [name, (await readIfThere(join(root, JOURNALS, name)))!] as const),
          ),
        );
      },
      keptKeys: async () => {
        const names = (await filesBelow(root)).filter((name) => name.endsWith(PARTIAL));
        return names.map((name) => name.slice(0, -PARTIAL.length));
      },
      remove: () => removeFolder(folder),
    };
  };
}
