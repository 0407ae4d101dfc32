/** What a memory plan adds up: its `totalBytes` is the sum of these. */
export const MEMORY_ITEMS = [
  "staging",
  "output",
  "sizes",
  "shardIndexes",
  "encoderScratch",
  "gpuHost",
  "sink",
  "threads",
  "control",
] as const;
