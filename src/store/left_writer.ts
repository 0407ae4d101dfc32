import { hostname } from "node:os";
import type { MillraceError } from "../base/errors.js";
import { isJsonObject, type Json } from "../base/json.js";
import { JOURNAL_FOLDER, MARKER_KEY } from "../journal/writer_marker.js";
import { isAtWork } from "../journal/writer_process.js";
import { memberKey } from "../zarr/chunk_key.js";
import { isAboutOneObject, type ObjectReader } from "./store_reader.js";

/** Where a writer says that it has the store open, and keeps its journal. */
export const WRITER_FOLDER = JOURNAL_FOLDER;
export const WRITER_MARKER = MARKER_KEY;

/** A marker has some hundred bytes; more is none, and is not read. */
const MARKER_BYTES_MAX = 65536;
const TEXT_CHARS_MAX = 200;
/** Nodes that are remembered: no store makes this grow without bound. */
const LOOKED_MAX = 100_000;

/** A writer that has not closed its store, as far as its marker tells. */
export interface LeftWriter {
  /** The node that it writes, which is a store of its own; "" is the root. */
  readonly path: string;
  /** "process 77 of host a, since 2026-01-02T03:04:05Z", for people. */
  readonly who: string;
  /** Undefined: nobody here can tell. */
  readonly ended: boolean | undefined;
}

/**
 * @param path the node that it would have open
 * @throws what the store rejects with
 */
async function findLeftWriter(store: ObjectReader, path: string): Promise<LeftWriter | undefined> {
  const bytes = await store.getRange(memberKey(path, WRITER_MARKER), 0, MARKER_BYTES_MAX);
  return bytes && { path, ...(await describe(bytes)) };
}

async function describe(bytes: Uint8Array): Promise<Omit<LeftWriter, "path">> {
  let document: Json;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return { who: "a writer whose marker does not read", ended: undefined };
  }
  if (!isJsonObject(document)) return { who: "a writer whose marker does not read", ended: undefined };
  const { host, pid, processStart, started, ended } = document;
  const words = [typeof host === "string" && Number.isSafeInteger(pid) ? `process ${pid} of host ${host}` : "a writer"];
  if (typeof started === "string") words.push(`since ${started}`);
  const who = words.join(", ").slice(0, TEXT_CHARS_MAX);
  if (ended === true) return { who, ended };
  if (typeof host !== "string" || host !== hostname()) return { who, ended: undefined };
  if (!Number.isSafeInteger(pid) || (pid as number) < 1) return { who, ended: true };
  const start = typeof processStart === "string" ? processStart : undefined;
  return { who, ended: !(await isAtWork({ host, pid: pid as number, processStart: start, ended: false })) };
}

/** What to do about it, as the end of a message. `location` is that of the store which was looked at. */
export function adviceOn({ ended, path }: LeftWriter, location: string): string {
  const recover = `run "millrace recover ${path === "" ? location : `${location}/${path}`}"`;
  if (ended === true) return `It has ended without closing the store: ${recover}`;
  if (ended === false)
    return (
      "It seems to be at work: then nothing is wrong, and what it has not published yet is " +
      "not checked against the shape"
    );
  return `If it is at work, nothing is wrong. If it has ended: ${recover}`;
}

/**
 * The writers of a store, and of stores inside it: several may write below one group. Each is looked for when
 * something lies there that may
 * be its own.
 */
export class LeftWriters {
  /** Markers that could not be read: whose things lie there, nobody can tell. */
  readonly failures: MillraceError[] = [];
  readonly #looked = new Map<string, Promise<LeftWriter | undefined>>();

  constructor(private readonly store: ObjectReader) {}

  /** Those that were found, sorted by path. */
  async found(): Promise<LeftWriter[]> {
    const writers = (await Promise.all(this.#looked.values())).flatMap((writer) => writer ?? []);
    return writers.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** The writer of the first of these nodes that has one, by what was known of each since it was looked at first. */
  async nearest(paths: readonly string[]): Promise<LeftWriter | undefined> {
    for (const path of paths) {
      const writer = await this.#once(path);
      if (writer !== undefined) return writer;
    }
    return undefined;
  }

  /**
   * The same, for something that was seen just now. A writer puts its marker before anything else, so where there is
   * none at this moment
   * either, none has it open.
   */
  async nearestNow(paths: readonly string[]): Promise<LeftWriter | undefined> {
    for (const path of paths) {
      const isNew = !this.#looked.has(path);
      let writer = await this.#once(path);
      if (writer === undefined && !isNew) {
        this.#looked.delete(path);
        writer = await this.#once(path);
      }
      if (writer !== undefined) return writer;
    }
    return undefined;
  }

  #once(path: string): Promise<LeftWriter | undefined> {
    let looking = this.#looked.get(path);
    if (looking === undefined) {
      looking = this.#look(path);
      // Whoever waits for it hears of it; others may have gone.
      looking.catch(() => {});
      if (this.#looked.size < LOOKED_MAX) this.#looked.set(path, looking);
    }
    return looking;
  }

  async #look(path: string): Promise<LeftWriter | undefined> {
    try {
      return await findLeftWriter(this.store, path);
    } catch (error) {
      if (!isAboutOneObject(error)) throw error;
      this.failures.push(error);
      return { path, who: "a writer whose marker could not be read", ended: undefined };
    }
  }
}
