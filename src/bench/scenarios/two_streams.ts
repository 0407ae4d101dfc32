import { cube256 } from "./cube256.js";
import type { Scenario } from "./scenario.js";

/** Two cameras in one process: two writers with threads and slots of their own share its cores. */
export const twoStreams: Scenario = {
  ...cube256,
  name: "two_streams",
  summary: "cube256 twice in one process, appends in turns; GB/s of both together",
  streams: 2,
};
