import { describe } from "vitest";
import { loadAddon } from "../../src/native/binding.js";
import { DirectFiles } from "../../src/sinks/direct_file.js";
import { fileHarness } from "../helpers/file_harness.js";
import { makeDiskFolder } from "../helpers/temp_folder.js";
import { sinkContract } from "./sink.contract.js";

const addon = loadAddon();

describe.runIf(addon !== undefined)("with the native addon", () => {
  // Half of the shards that the suite opens find no direct handle left, and go through the cache.
  const settings = () => (addon === undefined ? {} : { maxOpenFiles: 8, direct: new DirectFiles(addon, 24) });
  sinkContract("file, direct", fileHarness(16, settings, makeDiskFolder));
});
