import { isJsonObject, type Json } from "../base/json.js";

/**
 * What a store holds while it is written, and after a crash until it is recovered. `recover` touches no store without
 * it. Written when the store is opened, removed last by a clean close.
 */
export const MARKER_KEY = ".millrace/writer.json";

/** Where the marker lies, and in a folder the journals. */
export const JOURNAL_FOLDER = ".millrace";

export interface WriterMarker {
  readonly writeId: string;
  /** ISO 8601, UTC, by the writer's clock. For people. */
  readonly started: string;
  /** S3: length of the append dimension, once it is known that the array ends inside a row of shards. */
  readonly endsAt?: number;
  /** Folders: the process that writes, which recovery must not disturb. */
  readonly writer?: WriterProcess;
}

/** Names a process on this machine, also after its number was given to another one. */
export interface WriterProcess {
  readonly host: string;
  readonly pid: number;
  /** When it started, as the system tells it; undefined where it does not tell. */
  readonly processStart: string | undefined;
  /** The writer has ended without closing cleanly, though its process may live on. */
  readonly ended: boolean;
}

/** The key of a row's journal. */
export function journalKey(row: number): string {
  return `${JOURNAL_FOLDER}/${journalName(row)}`;
}

export function journalName(row: number): string {
  return `journal.${row}`;
}

/** The row of shards that a name in the journal's folder belongs to, or undefined. */
export function parseJournalName(name: string): number | undefined {
  const digits = /^journal\.(0|[1-9]\d*)$/.exec(name)?.[1];
  const row = Number(digits);
  return digits !== undefined && Number.isSafeInteger(row) ? row : undefined;
}

export function encodeMarker({ writeId, started, endsAt, writer }: WriterMarker): Uint8Array {
  const document = { format: 1, writeId, started, endsAt, ...writer };
  const text = JSON.stringify(document, null, 2);
  // As long as before the end, so that it is written over in place: on a full disk there is no room for another one.
  const padding = writer?.ended ? " " : "";
  return new TextEncoder().encode(`${text}${padding}\n`);
}

/** Undefined for anything that is not a marker of format 1. */
export function decodeMarker(bytes: Uint8Array): WriterMarker | undefined {
  let document: Json;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  if (!isJsonObject(document) || document.format !== 1) return undefined;
  const { writeId, started, endsAt, host, pid, processStart, ended } = document;
  if (typeof writeId !== "string" || typeof started !== "string") return undefined;
  if (endsAt !== undefined && !(Number.isSafeInteger(endsAt) && (endsAt as number) >= 0)) return undefined;
  const marker = { writeId, started, endsAt: endsAt as number | undefined };
  if (host === undefined && pid === undefined) return marker;
  if (typeof host !== "string" || !Number.isSafeInteger(pid) || typeof ended !== "boolean") return undefined;
  if (processStart !== undefined && typeof processStart !== "string") return undefined;
  return { ...marker, writer: { host, pid: pid as number, processStart, ended } };
}
