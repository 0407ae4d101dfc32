import type { Scenario } from "./scenario.js";

/**
 * Volumes with three interleaved channels, each channel a chunk of its own: the gather picks every third element.
 * Chunks of 256 KiB, 8 shards at once, an epoch of 201 MB.
 */
export const cube256: Scenario = {
  name: "cube256",
  summary: "volumes of 256³ with 3 interleaved channels, a plane per append, chunks of 256 KiB",
  dimensions: [
    { name: "t", type: "time", size: null, chunk: 2, shard: 32 },
    { name: "z", type: "space", size: 256, chunk: 32, shard: 128 },
    { name: "y", type: "space", size: 256, chunk: 32, shard: 128 },
    { name: "x", type: "space", size: 256, chunk: 64, shard: 128 },
    { name: "c", type: "channel", size: 3, chunk: 1, shard: 3 },
  ],
  appendBytes: 256 * 256 * 3 * 2,
};
