import type { ArrayOptions } from "../../src/options.js";
import { rebooted, rowsOf } from "./folder_crashes.js";
import { checkKept, checkPowerCut, checkUnsynced, recoverImage, type UnsyncedOutcome } from "./power_checks.js";
import { digest, FINE_SIZES } from "./power_medium.js";
import {
  forImages,
  type ImageOptions,
  type PowerImage,
  powerImages,
  sample,
  USUAL,
  withoutSyncs,
} from "./power_run.js";
import {
  closedStore,
  endedAndRecovered,
  type PowerScene,
  type PowerStream,
  recordRecovery,
  recordStream,
} from "./power_stream.js";
import { appended, type Stretch, skipped } from "./resume_stream.js";

/** Two shards side by side, each in a folder of its own, ragged at the edge; two epochs of two rows deep. */
export const powerArray = (size: number | null = null, codec = "none", fillValue = 9): ArrayOptions => ({
  dtype: "uint16",
  codec,
  fillValue,
  dimensions: [
    { name: "t", size, chunk: 2, shard: 4 },
    { name: "y", size: 7, chunk: 2, shard: 4 },
    { name: "x", size: 5, chunk: 5 },
  ],
});

/** Rows of 4 KiB, so that pages are torn as disks tear them. */
const wideArray: ArrayOptions = {
  dtype: "uint16",
  codec: "none",
  dimensions: [
    { name: "t", size: null, chunk: 1, shard: 2 },
    { name: "y", size: 2, chunk: 1 },
    { name: "x", size: 1024, chunk: 1024 },
  ],
};

/** A stream, and the store that it goes on with or overwrites. */
export interface PowerCase extends PowerScene {
  readonly first?: readonly Stretch[];
}

const fine = { sizes: FINE_SIZES, batchEpochs: 1 };

export const POWER_SCENES: readonly (readonly [string, PowerCase])[] = [
  ["several rows of shards", { array: powerArray(), rows: [appended(9)], ...fine }],
  ["pages as disks have them", { array: wideArray, rows: [appended(5)], batchEpochs: 1 }],
  [
    "several epochs a batch, published in the end",
    {
      array: powerArray(null, "blosc"),
      rows: [appended(14)],
      sizes: FINE_SIZES,
      batchEpochs: 3,
      publishIntervalMs: 1e9,
    },
  ],
  [
    "skipped epochs",
    { array: powerArray(), rows: [appended(2), skipped(2), appended(3), skipped(3), appended(1)], ...fine },
  ],
  [
    "skipped rows of shards and flushes",
    {
      array: powerArray(),
      rows: [appended(5), skipped(9), appended(3)],
      flushes: true,
      sizes: FINE_SIZES,
      batchEpochs: 2,
    },
  ],
  [
    "rows of shards that pass all slots by",
    { array: powerArray(), rows: [appended(5), skipped(25), appended(5), skipped(7)], ...fine },
  ],
  [
    "a store that is resumed inside a chunk, and passes all slots by",
    { array: powerArray(), mode: "resume", first: [appended(5)], rows: [skipped(25), appended(5)], ...fine },
  ],
  [
    "an end, one handle and one slot",
    { array: powerArray(7, "blosc"), rows: [appended(7)], maxOpenFiles: 1, depth: 1, ...fine },
  ],
  ["an abort", { array: powerArray(), rows: [appended(7)], flushes: true, ends: "abort", batchEpochs: 1 }],
  [
    "a store that is resumed on a row of shards",
    { array: powerArray(), mode: "resume", first: [appended(8)], rows: [appended(7)], ...fine },
  ],
  [
    "a store that is resumed on an epoch",
    { array: powerArray(), mode: "resume", first: [appended(6)], rows: [appended(7)], ...fine },
  ],
  [
    "a store that is resumed inside a chunk",
    { array: powerArray(null, "blosc"), mode: "resume", first: [appended(5)], rows: [appended(8)], ...fine },
  ],
  [
    "a store that is resumed inside a chunk, and aborted",
    {
      array: powerArray(),
      mode: "resume",
      first: [appended(7)],
      rows: [appended(4)],
      flushes: true,
      ends: "abort",
      publishIntervalMs: 1e9,
      batchEpochs: 1,
    },
  ],
  [
    "a store that is overwritten",
    { array: powerArray(), mode: "overwrite", first: [appended(9)], rows: [appended(5)], ...fine },
  ],
];

/** Streams the case on what its `first` stretches leave, which is closed and on the medium. */
export async function recordCase({ first, ...scene }: PowerCase): Promise<PowerStream> {
  if (first === undefined) return await recordStream(scene);
  const fillValue = scene.mode === "overwrite" ? 3 : scene.array.fillValue;
  const before = { array: { ...scene.array, fillValue }, rows: first, durability: scene.durability, batchEpochs: 1 };
  const { base, content } = await closedStore(before);
  return await recordStream(scene, base, content);
}

export interface TryOptions extends ImageOptions {
  /** At most so many images of the stream are checked. */
  readonly images: number;
  /**
   * Of so many of them recovery is cut as well, and at so many moments the process ends before the power is cut while
   * it is recovered.
   */
  readonly recoveries: number;
  /** Images of each of those that are checked. */
  readonly imagesPerRecovery: number;
}

export interface Tried {
  streams: number;
  /** Different images that the model gives, and how many of them were checked. */
  possible: number;
  checked: number;
  /** Recoveries that were cut, and the images checked. */
  recoveries: number;
  ofRecoveries: number;
}

export const nothingTried = (): Tried => ({ streams: 0, possible: 0, checked: 0, recoveries: 0, ofRecoveries: 0 });

/** Cuts the power of a stream, and of its recovery, and checks what is left. Counts in `tried`. */
export async function tryStream(stream: PowerStream, options: TryOptions, tried: Tried): Promise<void> {
  const { seed } = options;
  if (stream.durability === "none") {
    await tryUnsynced(stream, options, tried);
    return;
  }
  const { images } = powerImages(stream, options);
  const chosen = sample(images, options.images, seed);
  tried.streams++;
  tried.possible += images.length;
  tried.checked += chosen.length;
  await forImages(chosen, seed, (fs, promised) => checkPowerCut(fs, promised, stream));

  const [latest] = images.slice(-1);
  for (const image of new Set([...sample(chosen, options.recoveries - 1, seed + 1), latest])) {
    tried.recoveries++;
    tried.ofRecoveries += await tryRecovery(image, stream, options);
  }
  const moments = sample([...stream.log.keys(), stream.log.length], options.recoveries, seed + 2);
  for (const operations of moments) {
    const ended = await endedAndRecovered(stream, operations, (fs) => recoverImage(fs, true));
    if (ended === undefined) continue;
    tried.recoveries++;
    tried.ofRecoveries += await tryEnded(ended, operations, options);
  }
}

/** Cuts the recovery of an image: done again, it comes to the same rows. Returns the images checked. */
async function tryRecovery(image: PowerImage, stream: PowerStream, options: TryOptions): Promise<number> {
  const base = rebooted(image.fs.copy());
  const { log, promised, end } = await recordRecovery(base, image.promised, recoverImage);
  const rows = rowsOf(end);
  const cut = { base, log, promised, sizes: stream.sizes };
  const chosen = await chooseWithEnd(cut, 0, options);
  await forImages(chosen, options.seed, async (fs, said) => {
    const again = await checkPowerCut(fs, said, stream);
    if (rowsOf(again) !== rows) throw new Error(`recovered to ${rowsOf(again)} rows, undisturbed to ${rows}`);
  }).catch((cause) => {
    throw new Error(`${image.at}; then, of its recovery, ${(cause as Error).message}`, { cause });
  });
  return chosen.length;
}

/** The process ends, and the power is cut while the store is recovered from what was in memory. */
async function tryEnded(ended: PowerStream, operations: number, options: TryOptions): Promise<number> {
  const chosen = await chooseWithEnd(ended, operations, options);
  await forImages(chosen, options.seed, (fs, promised) => checkPowerCut(fs, promised, ended)).catch((cause) => {
    throw new Error(`process ended after ${operations} operations; then ${(cause as Error).message}`, { cause });
  });
  return chosen.length;
}

/** Half of them from the moment when recovery is done. */
async function chooseWithEnd(
  cut: Pick<PowerStream, "base" | "log" | "promised" | "sizes">,
  from: number,
  options: TryOptions,
): Promise<PowerImage[]> {
  const { seed, imagesPerRecovery } = options;
  const half = Math.ceil(imagesPerRecovery / 2);
  const { images: all } = powerImages(cut, { ...options, from });
  const { images: last } = powerImages(cut, { ...options, from: cut.log.length });
  return [...sample(last, half, seed), ...sample(all, half, seed)];
}

/** The same at durability "none". */
export async function tryUnsynced(stream: PowerStream, options: TryOptions, tried: Tried): Promise<UnsyncedOutcome[]> {
  const { images } = powerImages(stream, options);
  const chosen = sample(images, options.images, options.seed);
  tried.streams++;
  tried.possible += images.length;
  tried.checked += chosen.length;
  const outcomes: UnsyncedOutcome[] = [];
  await forImages(chosen, options.seed, async (fs) => outcomes.push(await checkUnsynced(fs, stream)));
  return outcomes;
}

/**
 * What goes wrong where some syncs of a log are left out: the first failure of images that cannot come up with them.
 * Undefined: nothing does.
 * @param from moments before it are not looked at
 */
export async function whatNotices(
  stream: PowerStream,
  left: ReadonlySet<number>,
  from = 0,
  options: ImageOptions = { ...USUAL, exhaustiveMax: 0 },
): Promise<string | undefined> {
  const isPromised = stream.durability !== "none";
  // Nothing is promised but by a recovery that is done.
  const moments = isPromised
    ? { ...options, from: Math.max(from, Math.min(...left)), to: madeGoodAt(stream, left) }
    : { ...options, from: stream.log.length };
  const usual = new Map(powerImages(stream, moments).images.map(({ fs, promised }) => [digest(fs), promised]));
  const { images } = powerImages(
    withoutSyncs(stream, (at) => left.has(at)),
    moments,
  );
  const fresh = images.filter(({ fs, promised: { durable, published } }) => {
    const known = usual.get(digest(fs));
    return known === undefined || known.durable < durable || known.published < published;
  });
  try {
    await forImages(sample(fresh, 200, options.seed), options.seed, (fs, promised) =>
      isPromised ? checkPowerCut(fs, promised, stream) : checkKept(fs, promised, stream),
    );
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
}

/** When other syncs have kept all that these would have. */
function madeGoodAt({ log }: PowerStream, left: ReadonlySet<number>): number {
  const ends = [...left].map((at) => {
    const operation = log[at];
    const next = log.findIndex(
      (later, i) =>
        later.op === "sync" &&
        operation.op === "sync" &&
        later.node === operation.node &&
        later.since > at &&
        !left.has(i),
    );
    return next < 0 ? log.length : next;
  });
  return Math.max(...ends);
}

/** Any case, from a source of random numbers. */
export function randomCase(random: () => number): PowerCase {
  const upTo = (max: number): number => 1 + Math.floor(random() * max);
  const one = <T>(...values: readonly T[]): T => values[Math.floor(random() * values.length)];
  const [t, y] = [upTo(3), upTo(3)];
  const size = upTo(6);
  const stretches = (): Stretch[] =>
    Array.from({ length: upTo(4) }, () => (random() < 0.3 ? skipped(upTo(9)) : appended(upTo(9))));
  const mode = one("create", "create", "resume", "resume", "overwrite" as const);
  const waits = Array.from({ length: 16 }, () => Math.floor(random() * 4));
  const ends = one("close", "close", "abort" as const);
  return {
    array: {
      dtype: one("uint8", "uint16"),
      codec: one("none", "blosc"),
      fillValue: 7,
      dimensions: [
        { name: "t", size: null, chunk: t, shard: t * upTo(3) },
        { name: "y", size, chunk: y, shard: y * upTo(2) },
        { name: "x", size: upTo(40) },
      ].map((dimension) => ({ ...dimension, chunk: dimension.chunk ?? dimension.size! })),
    },
    mode,
    first: mode === "create" ? undefined : [appended(upTo(9))],
    rows: stretches(),
    flushes: random() < 0.4,
    ends,
    durability: one("shard", "shard", "batch", "batch", "none"),
    batchEpochs: one(undefined, 1, 2, 3),
    depth: upTo(3),
    publishIntervalMs: one(0, 1e9),
    maxOpenFiles: upTo(4),
    // The marker is written over in place when a stream ends badly: a sector that is torn in itself is not what disks
    // do.
    sizes: ends === "abort" ? undefined : FINE_SIZES,
    delay: ({ index }) => turns(waits[index % waits.length]),
  };
}

function turns(count: number): Promise<void> {
  return new Promise((resolve) => (count > 0 ? setImmediate(() => resolve(turns(count - 1))) : resolve()));
}
