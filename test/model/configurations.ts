import type { Call, Configuration, Fault } from "./configuration.js";

const append: Call = { call: "append", rows: 1 };
/** Four batches: no slot holds them. */
const skipWhole: Call = { call: "skip", rows: 4 };
const flush: Call = { call: "flush" };
const close: Call = { call: "close" };
const abort: Call = { call: "abort" };
const exit: Call = { call: "exit" };
const appends = (batches: number): Call[] => new Array(batches).fill(append);
const later = (call: Call): Call => ({ ...call, await: false }) as Call;

/** The smallest array: a batch is one row, one chunk, one shard. */
const TINY = { epochRows: 1, epochsPerShard: 1, shardsPerRow: 1, depth: 1 };
const ANYTHING: readonly Fault[] = ["sink", "backend", "engine lost", "delivery lost"];

export interface Named extends Configuration {
  readonly name: string;
  /** What was there when this was written, or a little less: fewer mean that something is not chosen any more. */
  readonly statesMin: number;
}

/** Of the wide ones those with more states are explored by `npm run test:wide` alone, not in CI: they take minutes. */
const STATES_LONGEST_MIN = 15_000;
const isLongest = ({ statesMin }: Named): boolean => statesMin >= STATES_LONGEST_MIN;

/** Explored whenever the tests run: all goes well. */
export const SMALL: readonly Named[] = [
  { ...TINY, name: "depth 1, two batches", lanes: [[...appends(2), close]], statesMin: 700 },
  {
    ...TINY,
    name: "depth 2, a shard of two batches, published by a timer",
    depth: 2,
    epochsPerShard: 2,
    lanes: [[...appends(2), close]],
    publishIntervalMs: 10,
    statesMin: 1400,
  },
  { ...TINY, name: "two shards side by side", shardsPerRow: 2, lanes: [[append, close]], statesMin: 300 },
  {
    ...TINY,
    name: "calls that are not awaited, closed twice, and an append too late",
    lanes: [[later(append), later(append), later(close), close, append]],
    statesMin: 1200,
  },
  { ...TINY, name: "a flush between", lanes: [[append, flush, append, close]], statesMin: 300 },
  {
    ...TINY,
    name: "depth 2, a flush inside an epoch",
    depth: 2,
    epochRows: 2,
    lanes: [[{ call: "append", rows: 3 }, flush, append, close]],
    statesMin: 1100,
  },
  {
    ...TINY,
    name: "depth 2, a reservation across a flush",
    depth: 2,
    batchEpochs: 2,
    lanes: [[append, { call: "reserve", rows: 1 }, flush, { call: "commit" }, close]],
    statesMin: 600,
  },
  { ...TINY, name: "tryAppend until all is taken", lanes: [[{ call: "tryAppend", rows: 2 }, close]], statesMin: 600 },
  { ...TINY, name: "rows that are skipped", lanes: [[append, { call: "skip", rows: 1 }, close]], statesMin: 400 },
  {
    ...TINY,
    name: "rows of shards that are skipped whole, a journal",
    durability: "batch",
    lanes: [[skipWhole, append, close]],
    statesMin: 280,
  },
  {
    ...TINY,
    name: "depth 2, one chunk may be pending in the sink",
    depth: 2,
    epochRows: 2,
    epochsPerShard: 2,
    maxPendingBytes: 1,
    lanes: [[{ call: "append", rows: 4 }, close]],
    statesMin: 1000,
  },
  {
    ...TINY,
    name: "epochs that are kicked for their age",
    batchEpochs: 2,
    maxBatchAgeMs: 10,
    lanes: [[...appends(2), close]],
    statesMin: 870,
  },
  {
    ...TINY,
    name: "the same with a skipped row and a flush inside an epoch",
    epochRows: 2,
    batchEpochs: 2,
    maxBatchAgeMs: 10,
    lanes: [[{ call: "skip", rows: 2 }, append, flush, append, close]],
    statesMin: 450,
  },
  {
    ...TINY,
    name: "a journal, synced with every batch",
    epochsPerShard: 2,
    durability: "batch",
    lanes: [[...appends(2), close]],
    statesMin: 400,
  },
];

/** Explored whenever the tests run: somebody aborts, or something fails. */
export const SMALL_FAULTS: readonly Named[] = [
  {
    ...TINY,
    name: "rows of shards that are skipped whole, a call of the sink fails",
    lanes: [[skipWhole, append, close]],
    faults: ["sink"],
    statesMin: 3400,
  },
  {
    ...TINY,
    name: "epochs that are kicked for their age, a batch fails",
    batchEpochs: 2,
    maxBatchAgeMs: 10,
    lanes: [[...appends(2), close]],
    faults: ["backend"],
    statesMin: 3400,
  },
  {
    ...TINY,
    name: "a batch fails",
    epochsPerShard: 2,
    lanes: [[...appends(2), close]],
    faults: ["backend"],
    statesMin: 1000,
  },
  {
    ...TINY,
    name: "a thread is lost",
    lanes: [[append, close]],
    faults: ["engine lost", "delivery lost"],
    statesMin: 4900,
  },
  {
    ...TINY,
    name: "opening, and what can go wrong there",
    lanes: [[close]],
    opening: true,
    faults: ANYTHING,
    statesMin: 1300,
  },
  { ...TINY, name: "the process exits at any moment", lanes: [[...appends(2)], [exit]], statesMin: 1600 },
  {
    ...TINY,
    name: "a journal, abort at any moment",
    durability: "shard",
    lanes: [[append, close], [abort]],
    statesMin: 1000,
  },
];

/** Explored with MILLRACE_WIDE=1: longer streams. */
export const WIDE: readonly Named[] = [
  { ...TINY, name: "depth 1, four batches", lanes: [[...appends(4), close]], statesMin: 10_000 },
  { ...TINY, name: "depth 2, two batches", depth: 2, lanes: [[...appends(2), close]], statesMin: 3500 },
  { ...TINY, name: "depth 2, three batches", depth: 2, lanes: [[...appends(3), close]], statesMin: 20_000 },
  {
    ...TINY,
    name: "depth 2, four batches, shards of two",
    depth: 2,
    epochsPerShard: 2,
    lanes: [[...appends(4), close]],
    statesMin: 20_000,
  },
  {
    ...TINY,
    name: "depth 3, three batches, shards of two",
    depth: 3,
    epochsPerShard: 2,
    lanes: [[...appends(3), close]],
    statesMin: 20_000,
  },
  {
    ...TINY,
    name: "depth 2, two batches, two shards side by side",
    depth: 2,
    shardsPerRow: 2,
    lanes: [[...appends(2), close]],
    statesMin: 20_000,
  },
  {
    ...TINY,
    name: "depth 2, two shards side by side, one chunk may be pending",
    depth: 2,
    epochsPerShard: 2,
    shardsPerRow: 2,
    maxPendingBytes: 1,
    lanes: [[...appends(2), close]],
    statesMin: 3000,
  },
  {
    ...TINY,
    name: "depth 2, a flush that is not awaited",
    depth: 2,
    lanes: [[append, later(flush), append, close]],
    statesMin: 7000,
  },
  {
    ...TINY,
    name: "depth 1, a flush that is not awaited, inside an epoch",
    epochRows: 2,
    batchEpochs: 2,
    lanes: [[{ call: "append", rows: 3 }, later(flush), { call: "append", rows: 2 }, close]],
    statesMin: 2000,
  },
  { ...TINY, name: "a journal, two batches", durability: "shard", lanes: [[...appends(2), close]], statesMin: 1700 },
  {
    ...TINY,
    name: "a journal, two shards side by side",
    shardsPerRow: 2,
    durability: "batch",
    lanes: [[...appends(2), close]],
    statesMin: 9000,
  },
  {
    ...TINY,
    name: "epochs that are kicked for their age, three of a batch",
    batchEpochs: 3,
    maxBatchAgeMs: 10,
    lanes: [[...appends(3), close]],
    statesMin: 4800,
  },
  {
    ...TINY,
    name: "depth 2, epochs that are kicked for their age, with a skipped epoch and a flush inside one",
    depth: 2,
    epochRows: 2,
    batchEpochs: 3,
    maxBatchAgeMs: 10,
    lanes: [[{ call: "append", rows: 2 }, { call: "skip", rows: 2 }, append, flush, append, close]],
    statesMin: 17_000,
  },
  {
    ...TINY,
    name: "depth 2, rows of shards that are skipped whole, twice, a journal",
    depth: 2,
    durability: "batch",
    lanes: [[append, skipWhole, skipWhole, append, close]],
    statesMin: 54_000,
  },
  {
    ...TINY,
    name: "a journal, depth 2, published by a timer",
    depth: 2,
    durability: "batch",
    publishIntervalMs: 10,
    lanes: [[...appends(2), close]],
    statesMin: 12_000,
  },
];

/** The same, and something goes wrong. */
export const WIDE_FAULTS: readonly Named[] = [
  {
    ...TINY,
    name: "depth 2, abort at any moment, around a flush",
    depth: 2,
    lanes: [[append, flush, close], [abort]],
    statesMin: 3000,
  },
  {
    ...TINY,
    name: "a call of the sink fails",
    epochsPerShard: 2,
    lanes: [[...appends(2), close]],
    faults: ["sink"],
    statesMin: 3900,
  },
  {
    ...TINY,
    name: "epochs that are kicked for their age, a batch fails, abort at any moment",
    batchEpochs: 2,
    maxBatchAgeMs: 10,
    lanes: [[...appends(2), close], [abort]],
    faults: ["backend"],
    statesMin: 21_000,
  },
  {
    ...TINY,
    name: "a journal, a call of the sink fails",
    durability: "batch",
    epochsPerShard: 2,
    lanes: [[append, close]],
    faults: ["sink"],
    statesMin: 1000,
  },
  {
    ...TINY,
    name: "two batches of a shard, abort at any moment",
    epochsPerShard: 2,
    lanes: [[...appends(2), close], [abort]],
    statesMin: 2000,
  },
  {
    ...TINY,
    name: "depth 2, two batches of a shard, a batch fails",
    depth: 2,
    epochsPerShard: 2,
    lanes: [[...appends(2), close]],
    faults: ["backend"],
    statesMin: 8000,
  },
  {
    ...TINY,
    name: "depth 2, one chunk may be pending in the sink, a thread is lost",
    depth: 2,
    epochRows: 2,
    epochsPerShard: 2,
    maxPendingBytes: 1,
    lanes: [[{ call: "append", rows: 4 }, close]],
    faults: ["engine lost", "delivery lost"],
    statesMin: 1000,
  },
  {
    ...TINY,
    name: "depth 2, abort at any moment",
    depth: 2,
    lanes: [[...appends(2), close], [abort]],
    statesMin: 20_000,
  },
  {
    ...TINY,
    name: "depth 2, a call of the sink fails",
    depth: 2,
    lanes: [[...appends(2), close]],
    faults: ["sink"],
    statesMin: 50_000,
  },
  {
    ...TINY,
    name: "two shards side by side, a call of the sink fails",
    depth: 2,
    shardsPerRow: 2,
    lanes: [[append, close]],
    faults: ["sink"],
    statesMin: 5500,
  },
  {
    ...TINY,
    name: "depth 2, two shards of one batch each, a batch fails",
    depth: 2,
    lanes: [[...appends(2), close]],
    faults: ["backend"],
    statesMin: 12_000,
  },
  {
    ...TINY,
    name: "depth 2, a thread is lost",
    depth: 2,
    lanes: [[append, close]],
    faults: ["engine lost", "delivery lost"],
    statesMin: 3500,
  },
  {
    ...TINY,
    name: "depth 2, two batches, a thread is lost",
    depth: 2,
    lanes: [[...appends(2), close]],
    faults: ["engine lost", "delivery lost"],
    statesMin: 80_000,
  },
  {
    ...TINY,
    name: "two things go wrong",
    lanes: [[append, close]],
    faults: ANYTHING,
    faultsMax: 2,
    statesMin: 50_000,
  },
  {
    ...TINY,
    name: "something goes wrong, and an abort at any moment",
    lanes: [[append, flush, close], [abort]],
    faults: ANYTHING,
    statesMin: 60_000,
  },
  {
    ...TINY,
    name: "depth 2, the process exits at any moment",
    depth: 2,
    lanes: [[...appends(3)], [exit]],
    statesMin: 40_000,
  },
  {
    ...TINY,
    name: "a journal, two batches, a call of the sink fails",
    epochsPerShard: 2,
    durability: "batch",
    lanes: [[...appends(2), close]],
    faults: ["sink"],
    statesMin: 10_500,
  },
  {
    ...TINY,
    name: "rows of shards that are skipped whole, a journal, something goes wrong",
    durability: "shard",
    lanes: [[skipWhole, append, close]],
    faults: ["sink", "engine lost"],
    statesMin: 12_000,
  },
  {
    ...TINY,
    name: "a journal, something goes wrong",
    durability: "shard",
    lanes: [[append, close]],
    faults: ANYTHING,
    statesMin: 5000,
  },
];

export const LONGEST: readonly Named[] = [...WIDE, ...WIDE_FAULTS].filter(isLongest);
export const withoutLongest = (configurations: readonly Named[]): readonly Named[] =>
  configurations.filter((c) => !isLongest(c));
