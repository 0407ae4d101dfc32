import { isJsonObject, type Json } from "../base/json.js";

/**
 * What a store holds while it is written, and after a crash until it is recovered. `recover` touches no store without it.
 * Written when the store is opened, removed by a clean close.
 */
export const MARKER_KEY = ".millrace/writer.json";

/** Every object of a stream carries the stream's write id in this user metadata; that tells a failed answer from a failed write. */
export const WRITE_ID_NAME = "millrace-write-id";

export interface WriterMarker {
  readonly writeId: string;
  /** ISO 8601, UTC, by the writer's clock. For people. */
  readonly started: string;
  /** Length of the append dimension, once it is known that the array ends inside a row of shards. */
  readonly endsAt: number | undefined;
}

export function encodeMarker({ writeId, started, endsAt }: WriterMarker): Uint8Array {
  const document = { format: 1, writeId, started, ...(endsAt === undefined ? {} : { endsAt }) };
  return new TextEncoder().encode(`${JSON.stringify(document, null, 2)}\n`);
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
  const { writeId, started, endsAt } = document;
  if (typeof writeId !== "string" || typeof started !== "string") return undefined;
  if (endsAt !== undefined && !(Number.isSafeInteger(endsAt) && (endsAt as number) >= 0)) return undefined;
  return { writeId, started, endsAt: endsAt as number | undefined };
}
