import type { Scenario } from "./scenario.js";

/** A small detector: a row is 512 bytes, a chunk holds 2048 of them, one file at a time. */
export const smallepoch: Scenario = {
  name: "smallepoch",
  summary: "detector frames of 16 × 16, 64 KiB per append, chunks of 1 MiB",
  dimensions: [
    { name: "t", type: "time", size: null, chunk: 2048, shard: 131_072 },
    { name: "y", type: "space", size: 16, chunk: 16, shard: 16 },
    { name: "x", type: "space", size: 16, chunk: 16, shard: 16 },
  ],
  appendBytes: 65_536,
};
