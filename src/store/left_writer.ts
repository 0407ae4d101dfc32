import { hostname } from "node:os";
import { isJsonObject, type Json } from "../base/json.js";
import type { StoreReader } from "./store_reader.js";

/** Where a writer says that it has the store open, and keeps its journal. */
export const WRITER_FOLDER = ".millrace";
export const WRITER_MARKER = `${WRITER_FOLDER}/writer.json`;

/** A marker has some hundred bytes; more is none, and is not read. */
const MARKER_BYTES_MAX = 65536;
const TEXT_CHARS_MAX = 200;

/** A writer that has not closed its store, as far as its marker tells. */
export interface LeftWriter {
  /** "process 77 of host a, since 2026-01-02T03:04:05Z", for people. */
  readonly who: string;
  /** Undefined: nobody here can tell. */
  readonly ended: boolean | undefined;
}

/** @throws what the store rejects with */
export async function findLeftWriter(store: StoreReader): Promise<LeftWriter | undefined> {
  const bytes = await store.getRange(WRITER_MARKER, 0, MARKER_BYTES_MAX);
  return bytes && describe(bytes);
}

function describe(bytes: Uint8Array): LeftWriter {
  let document: Json;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return { who: "a writer whose marker does not read", ended: undefined };
  }
  if (!isJsonObject(document)) return { who: "a writer whose marker does not read", ended: undefined };
  const { host, pid, started, ended } = document;
  const words = [typeof host === "string" && Number.isSafeInteger(pid) ? `process ${pid} of host ${host}` : "a writer"];
  if (typeof started === "string") words.push(`since ${started}`);
  return {
    who: words.join(", ").slice(0, TEXT_CHARS_MAX),
    ended: ended === true ? true : host === hostname() ? !runs(pid) : undefined,
  };
}

/** Whether a process of that number runs here; it may be another one by now. */
function runs(pid: Json | undefined): boolean {
  if (!Number.isSafeInteger(pid) || (pid as number) < 1) return false;
  try {
    process.kill(pid as number, 0);
    return true;
  } catch (error) {
    // EPERM: somebody else's.
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** What to do about it, as the end of a message. */
export function adviceOn({ ended }: LeftWriter, location: string): string {
  const recover = `run "millrace recover ${location}"`;
  if (ended === true) return `It has ended without closing the store: ${recover}`;
  if (ended === false)
    return "It seems to be at work: then nothing is wrong, and what it has not published yet is not checked against the shape";
  return `If it is at work, nothing is wrong. If it has ended: ${recover}`;
}
