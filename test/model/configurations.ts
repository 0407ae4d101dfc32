import type { Call, Configuration } from "./stream_world.js";

const append: Call = { call: "append", rows: 1 };
const append2: Call = { call: "append", rows: 2 };
const flush: Call = { call: "flush" };
const close: Call = { call: "close" };
const abort: Call = { call: "abort" };
const small = { epochRows: 1, epochsPerShard: 1, shardsPerRow: 1 };

const later = (call: Call): Call => ({ ...call, await: false }) as Call;

export interface Named extends Configuration {
  readonly name: string;
  /** What it explored when it was written, at least: fewer states mean that something is no longer chosen. */
  readonly statesMin: number;
}

/** Explored in every run of the tests. */
export const SMALL: readonly Named[] = [
  { name: "depth 1, two batches", ...small, depth: 1, lanes: [[append, append, close]], statesMin: 700 },
  { name: "depth 2, two batches", ...small, depth: 2, lanes: [[append, append, close]], statesMin: 3000 },
  {
    name: "depth 2, a shard of two batches, published by a timer",
    ...small,
    epochsPerShard: 2,
    depth: 2,
    lanes: [[append, append, close]],
    publishIntervalMs: 10,
    statesMin: 1000,
  },
  { name: "depth 1, two shards a row", ...small, shardsPerRow: 2, depth: 1, lanes: [[append, close]], statesMin: 200 },
  {
    name: "depth 1, two calls at once, closed twice",
    ...small,
    depth: 1,
    lanes: [[later(append), later(append), later(close), close, append]],
    statesMin: 100,
  },
  { name: "depth 1, flush between", ...small, depth: 1, lanes: [[append, flush, append, close]], statesMin: 300 },
  {
    name: "depth 2, flush with an epoch that is not full",
    ...small,
    epochRows: 2,
    depth: 2,
    lanes: [[{ call: "append", rows: 3 }, flush, append, close]],
    statesMin: 500,
  },
  {
    name: "depth 1, flush not awaited, an end inside an epoch",
    ...small,
    epochRows: 2,
    depth: 1,
    batchEpochs: 2,
    lanes: [[{ call: "append", rows: 3 }, later(flush), append2, close]],
    statesMin: 100,
  },
  {
    name: "depth 2, a reservation across a flush",
    ...small,
    depth: 2,
    batchEpochs: 2,
    lanes: [[append, { call: "reserve", rows: 1 }, flush, { call: "commit" }, close]],
    statesMin: 500,
  },
  { name: "depth 1, tryAppend", ...small, depth: 1, lanes: [[{ call: "tryAppend", rows: 2 }, close]], statesMin: 500 },
  {
    name: "depth 1, rows skipped",
    ...small,
    depth: 1,
    lanes: [[append, { call: "skip", rows: 1 }, close]],
    statesMin: 100,
  },
  {
    name: "depth 2, no byte may be pending",
    ...small,
    depth: 2,
    maxPendingBytes: 1,
    shardsPerRow: 2,
    epochsPerShard: 2,
    lanes: [[append, append, close]],
    statesMin: 1000,
  },
  {
    name: "depth 1, abort at any moment",
    ...small,
    depth: 1,
    lanes: [[append, append, close], [abort]],
    statesMin: 5000,
  },
  {
    name: "depth 1, abort at any moment, around a flush",
    ...small,
    depth: 1,
    lanes: [
      [append, flush, close],
      [abort, abort],
    ],
    statesMin: 500,
  },
  {
    name: "depth 1, one call of the sink fails",
    ...small,
    depth: 1,
    lanes: [[append, flush, close]],
    faults: ["sink"],
    statesMin: 1000,
  },
  {
    name: "depth 1, one batch fails",
    ...small,
    depth: 1,
    lanes: [[append, append, close]],
    faults: ["backend"],
    statesMin: 2000,
  },
  {
    name: "depth 1, a thread is lost",
    ...small,
    depth: 1,
    lanes: [[append, close]],
    faults: ["engine lost", "delivery lost"],
    statesMin: 1000,
  },
  {
    name: "depth 1, opening, and what can fail there",
    ...small,
    depth: 1,
    lanes: [[close]],
    opening: true,
    faults: ["sink", "backend", "engine lost", "delivery lost"],
    statesMin: 1000,
  },
  {
    name: "depth 1, the process exits at any moment",
    ...small,
    depth: 1,
    lanes: [[append, append], [{ call: "exit" }]],
    statesMin: 1500,
  },
];

export const JOURNAL: readonly Named[] = [
  { name: "journal, shard", ...small, depth: 1, durability: "shard", lanes: [[append, append, close]], statesMin: 1 },
  {
    name: "journal, batch",
    ...small,
    depth: 1,
    epochsPerShard: 2,
    durability: "batch",
    lanes: [[append, append, close]],
    statesMin: 1,
  },
  {
    name: "journal, batch, abort",
    ...small,
    depth: 1,
    epochsPerShard: 2,
    durability: "batch",
    lanes: [[append, close], [abort]],
    statesMin: 1,
  },
  {
    name: "journal, batch, sink fails",
    ...small,
    depth: 1,
    epochsPerShard: 2,
    durability: "batch",
    lanes: [[append, append, close]],
    faults: ["sink"],
    statesMin: 1,
  },
  {
    name: "journal, shard, sink fails",
    ...small,
    depth: 1,
    durability: "shard",
    lanes: [[append, append, close]],
    faults: ["sink"],
    statesMin: 1,
  },
  {
    name: "journal, batch, two shards a row",
    ...small,
    shardsPerRow: 2,
    depth: 1,
    durability: "batch",
    lanes: [[append, append, close]],
    statesMin: 1,
  },
  {
    name: "journal, batch, depth 2, timer",
    ...small,
    depth: 2,
    durability: "batch",
    publishIntervalMs: 10,
    lanes: [[append, append, close]],
    statesMin: 1,
  },
];

/** Explored with MILLRACE_WIDE=1. */
export const WIDE: readonly Named[] = [
  { name: "depth 2, three batches", ...small, depth: 2, lanes: [[append, append, append, close]], statesMin: 20_000 },
  {
    name: "depth 3, three batches",
    ...small,
    epochsPerShard: 2,
    depth: 3,
    lanes: [[append, append, append, close]],
    statesMin: 20_000,
  },
  { name: "depth 1, four batches", ...small, depth: 1, lanes: [[append, append, append, append, close]], statesMin: 1 },
  {
    name: "depth 2, four batches, shards of two",
    ...small,
    epochsPerShard: 2,
    depth: 2,
    lanes: [[append, append, append, append, close]],
    statesMin: 1,
  },
  {
    name: "depth 2, two batches, two shards a row",
    ...small,
    shardsPerRow: 2,
    depth: 2,
    lanes: [[append, append, close]],
    statesMin: 1,
  },
  { name: "depth 2, abort at any moment", ...small, depth: 2, lanes: [[append, append, close], [abort]], statesMin: 1 },
  {
    name: "depth 2, one call of the sink fails",
    ...small,
    depth: 2,
    lanes: [[append, append, close]],
    faults: ["sink"],
    statesMin: 1,
  },
  {
    name: "depth 2, two shards a row, one call of the sink fails",
    ...small,
    shardsPerRow: 2,
    depth: 2,
    lanes: [[append, close]],
    faults: ["sink"],
    statesMin: 1,
  },
  {
    name: "depth 2, one batch fails",
    ...small,
    depth: 2,
    lanes: [[append, append, close]],
    faults: ["backend"],
    statesMin: 1,
  },
  {
    name: "depth 2, a thread is lost",
    ...small,
    depth: 2,
    lanes: [[append, append, close]],
    faults: ["engine lost", "delivery lost"],
    statesMin: 1,
  },
  {
    name: "depth 1, two faults of any kind",
    ...small,
    depth: 1,
    lanes: [[append, close]],
    faults: ["sink", "backend", "engine lost", "delivery lost"],
    faultsMax: 2,
    statesMin: 1,
  },
  {
    name: "depth 1, abort and a fault of any kind",
    ...small,
    depth: 1,
    lanes: [[append, flush, close], [abort]],
    faults: ["sink", "backend", "engine lost", "delivery lost"],
    statesMin: 1,
  },
  { name: "depth 2, flush between", ...small, depth: 2, lanes: [[append, later(flush), append, close]], statesMin: 1 },
  {
    name: "depth 2, the process exits at any moment",
    ...small,
    depth: 2,
    lanes: [[append, append, append], [{ call: "exit" }]],
    statesMin: 1,
  },
];
