import { seededRandom } from "../../src/bench/seeded_random.js";
import { ROOT, rebooted } from "./folder_crashes.js";
import {
  type Chooser,
  digest,
  everyImage,
  PowerMedium,
  randomChooser,
  usualChoosers,
  usualCount,
} from "./power_medium.js";
import { describeOperation, type PowerStream, type Promised } from "./power_stream.js";
import type { FsOperation, RecordingFs } from "./recording_fs.js";

/** A file system as a power cut may leave it, and what the writer had promised by then. */
export interface PowerImage {
  /** The moment and what of it is there, for messages. */
  readonly at: string;
  readonly operations: number;
  readonly fs: RecordingFs;
  readonly promised: Promised;
}

export interface ImageOptions {
  readonly seed: number;
  /** Images with a random part of what can be lost, for every moment; besides the usual ones. */
  readonly randomPerCut: number;
  /** Moments at which no more images than this are possible get them all. */
  readonly exhaustiveMax: number;
  /** Images made of all moments together, about; where there are more, random ones of them. */
  readonly madeMax: number;
  /** Moments, as numbers of operations that were done. Default: all. */
  readonly from?: number;
  readonly to?: number;
}

type Recorded = Pick<PowerStream, "base" | "log" | "sizes" | "promised">;

/** Moderate: what a test tries of one stream among many. */
export const USUAL: ImageOptions = { seed: 1, randomPerCut: 8, exhaustiveMax: 32, madeMax: 2000 };

export interface PowerImages {
  /** Different ones; of equal ones the last, which has the most promised. */
  readonly images: readonly PowerImage[];
  /** With equal ones. */
  readonly made: number;
  /** Moments of which there is every image that is possible. */
  readonly exhaustive: number;
  readonly moments: number;
}

/** Cuts the power at every moment of a stream. */
export function powerImages(stream: Recorded, options: ImageOptions): PowerImages {
  const { from = 0, to = stream.log.length, exhaustiveMax, randomPerCut } = options;
  const random = seededRandom(options.seed);
  const likelihood = options.madeMax / countImages(stream, from, to, randomPerCut);
  const medium = new PowerMedium(stream.base, stream.sizes);
  const images = new Map<string, PowerImage>();
  const counts = { made: 0, exhaustive: 0, moments: 0 };
  for (let operations = 0; operations <= to; operations++) {
    if (operations >= from) {
      counts.moments++;
      const before = describeOperation(stream.log[operations]);
      const keep = (what: string, choose: Chooser): void => {
        counts.made++;
        const fs = medium.image(choose);
        const at = `power cut after ${operations} operations, before ${before}: ${what}`;
        images.set(digest(fs), { at, operations, fs, promised: stream.promised[operations] });
      };
      let nth = 0;
      const wantsAll = exhaustiveMax > 0 && random() < likelihood;
      if (wantsAll && everyImage((choose) => keep(`choice ${nth++} of all`, choose), exhaustiveMax))
        counts.exhaustive++;
      else {
        for (const [what, choose] of usualChoosers(medium.pending())) if (random() < likelihood) keep(what, choose);
        for (let i = 0; i < randomPerCut; i++) {
          if (random() < likelihood) keep(`random image ${i}`, randomChooser(random));
        }
      }
    }
    if (operations < stream.log.length) medium.apply(stream.log[operations], operations);
  }
  return { images: [...images.values()], ...counts };
}

function countImages(stream: Recorded, from: number, to: number, randomPerCut: number): number {
  const medium = new PowerMedium(stream.base, stream.sizes);
  let count = 0;
  for (let operations = 0; operations <= to; operations++) {
    if (operations >= from) count += usualCount(medium.pending().length) + randomPerCut;
    if (operations < stream.log.length) medium.apply(stream.log[operations], operations);
  }
  return count;
}

/** A sample of at most `count`, in random order. */
export function sample<T>(all: readonly T[], count: number, seed: number): T[] {
  const random = seededRandom(seed);
  const rest = [...all];
  const taken: T[] = [];
  while (taken.length < count && rest.length > 0) {
    const i = Math.floor(random() * rest.length);
    taken.push(rest[i]);
    rest[i] = rest[rest.length - 1];
    rest.pop();
  }
  return taken;
}

/** Runs `check` on images; an error says which one it was, and the seed. */
export async function forImages(
  images: readonly PowerImage[],
  seed: number,
  check: (fs: RecordingFs, promised: Promised) => Promise<unknown>,
): Promise<void> {
  for (const { at, fs, promised } of images) {
    try {
      await check(rebooted(fs.copy()), promised);
    } catch (cause) {
      throw new Error(`seed ${seed}, ${at}: ${(cause as Error).message}`, { cause });
    }
  }
}

/**
 * The path that each sync of a log is about, by index in the log; relative to the store, ".." and further up for what
 * lies above.
 */
export function syncedPaths(stream: Pick<PowerStream, "base" | "log">): Map<number, string> {
  const paths = new Map(stream.base.tree().map(({ path, node }) => [node, path]));
  const synced = new Map<number, string>();
  for (const [at, operation] of stream.log.entries()) {
    if (operation.op === "create" || operation.op === "mkdir") paths.set(operation.node, operation.path);
    else if (operation.op === "rename") paths.set(operation.node, operation.to);
    else if (operation.op === "sync") synced.set(at, relative(paths.get(operation.node)!));
  }
  return synced;
}

function relative(path: string): string {
  return path === ROOT ? "." : path.startsWith(`${ROOT}/`) ? path.slice(ROOT.length + 1) : path;
}

/** The stream as if the syncs at these places of its log had not been made: what they would have kept may be lost. */
export function withoutSyncs<T extends Pick<PowerStream, "log">>(stream: T, left: (at: number) => boolean): T {
  const log = stream.log.map(
    (operation, at): FsOperation => (operation.op === "sync" && left(at) ? { ...operation, since: 0 } : operation),
  );
  return { ...stream, log };
}
