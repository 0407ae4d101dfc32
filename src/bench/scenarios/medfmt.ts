import type { Scenario } from "./scenario.js";

/**
 * A medium-format camera: a plane is 315 MB. Chunks of 1 MiB (19 bits of elements, shared out 1 : 0 : 8 : 8), 20 shards
 * at once of 12 epochs each, an epoch of 629 MB.
 */
export const medfmt: Scenario = {
  name: "medfmt",
  summary: "camera planes of 10240 × 15360, a plane per append, chunks of 1 MiB; takes 5 GB of memory",
  dimensions: [
    { name: "z", type: "space", size: null, chunk: 2, shard: 24 },
    { name: "c", type: "channel", size: 1, chunk: 1, shard: 1 },
    { name: "y", type: "space", size: 10_240, chunk: 512, shard: 2560 },
    { name: "x", type: "space", size: 15_360, chunk: 512, shard: 3072 },
  ],
  appendBytes: 10_240 * 15_360 * 2,
};
