import type { Scenario } from "./scenario.js";

/**
 * What acquire-zarr's own benchmark writes: a shard is one chunk deep, so every epoch seals all four. Chunks of 512
 * KiB, an epoch of 537 MB.
 */
export const aqz: Scenario = {
  name: "aqz",
  summary: "camera frames of 2048 × 2048, a frame per append, chunks of 64³; takes 4 GB of memory",
  dimensions: [
    { name: "t", type: "time", size: null, chunk: 64, shard: 64 },
    { name: "y", type: "space", size: 2048, chunk: 64, shard: 1024 },
    { name: "x", type: "space", size: 2048, chunk: 64, shard: 1024 },
  ],
  appendBytes: 2048 * 2048 * 2,
};
