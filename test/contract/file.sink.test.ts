import { fileHarness } from "../helpers/file_harness.js";
import { sinkContract } from "./sink.contract.js";

sinkContract(
  "file, buffered",
  fileHarness(16, () => ({ maxOpenFiles: 16 })),
);
sinkContract(
  "file, one handle",
  fileHarness(10, () => ({ maxOpenFiles: 1 })),
);
