import type { Scenario } from "./scenario.js";

/** Two sCMOS cameras side by side. Chunks of 1 MiB, 16 shards at once, an epoch of 302 MB. */
export const orca2: Scenario = {
  name: "orca2",
  summary: "camera frames of 2304 × 4096, a frame per append, chunks of 1 MiB",
  dimensions: [
    { name: "t", type: "time", size: null, chunk: 16, shard: 64 },
    { name: "y", type: "space", size: 2304, chunk: 128, shard: 1152 },
    { name: "x", type: "space", size: 4096, chunk: 256, shard: 512 },
  ],
  appendBytes: 2304 * 4096 * 2,
};
