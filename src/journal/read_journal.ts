import { isCount } from "../base/integers.js";
import { isJsonObject, type Json } from "../base/json.js";
import { crc32c } from "../codec/crc32c.js";
import {
  type ChunkRecord,
  COMMIT_HEAD_BYTES,
  FRAME_HEAD_BYTES,
  FRAME_KIND,
  JOURNAL_FORMAT,
  type JournalHeader,
  RECORD_BYTES,
  SEALED_BYTES,
} from "./journal_format.js";

/** Whole epochs whose every chunk had been handed to the sink, and its writes settled. */
interface JournalCommit {
  /** Counted in the row of shards. */
  readonly firstEpoch: number;
  readonly epochCount: number;
  readonly rowTo: number;
  readonly recordCount: number;
  record(i: number): ChunkRecord;
}

export interface Journal {
  /** Undefined: the first frame is torn, so nothing of the row was committed. */
  readonly header: JournalHeader | undefined;
  /** Without a gap between their epochs, from epoch 0 on. */
  readonly commits: readonly JournalCommit[];
  /** Epochs of all commits. */
  readonly epochCount: number;
  /** Length of the append dimension if the array ended with this row; undefined where the row was not sealed. */
  readonly sealedRowTo: number | undefined;
  /** Bytes that count; what follows is torn. */
  readonly bytesRead: number;
}

/**
 * Reads the journal of a row up to the first frame that is torn or wrong. Never throws, whatever the bytes are. What it
 * returns reads `bytes` when it is asked for records.
 */
export function readJournal(bytes: Uint8Array): Journal {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const commits: JournalCommit[] = [];
  let header: JournalHeader | undefined;
  let sealedRowTo: number | undefined;
  let epochCount = 0;
  let rowTo = 0;
  let at = 0;
  while (sealedRowTo === undefined) {
    const payload = framePayload(bytes, view, at);
    if (payload === undefined) break;
    const kind = payload.byteLength < 4 ? 0 : view.getUint32(at + FRAME_HEAD_BYTES, true);
    if (header === undefined) {
      if (kind !== FRAME_KIND.header) break;
      header = parseHeader(payload.subarray(4));
      if (header === undefined) break;
    } else if (kind === FRAME_KIND.commit) {
      const commit = parseCommit(view, at + FRAME_HEAD_BYTES, payload.byteLength);
      if (commit === undefined || commit.firstEpoch !== epochCount || commit.rowTo < rowTo) break;
      commits.push(commit);
      epochCount += commit.epochCount;
      rowTo = commit.rowTo;
    } else if (kind === FRAME_KIND.sealed && payload.byteLength === SEALED_BYTES) {
      const end = word(view, at + FRAME_HEAD_BYTES + 8);
      if (end !== rowTo) break;
      sealedRowTo = end;
    } else break;
    at += FRAME_HEAD_BYTES + payload.byteLength;
  }
  return { header, commits, epochCount, sealedRowTo, bytesRead: at };
}

function framePayload(bytes: Uint8Array, view: DataView, at: number): Uint8Array | undefined {
  if (bytes.byteLength - at < FRAME_HEAD_BYTES) return undefined;
  const length = view.getUint32(at, true);
  const from = at + FRAME_HEAD_BYTES;
  if (length === 0 || length > bytes.byteLength - from) return undefined;
  const payload = bytes.subarray(from, from + length);
  return crc32c(payload) === view.getUint32(at + 4, true) ? payload : undefined;
}

const LEVELS = ["none", "shard", "batch"] as const;

function parseHeader(text: Uint8Array): JournalHeader | undefined {
  let document: Json;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch {
    // Not ours, though its checksum is right: then nothing in it can be trusted.
    return undefined;
  }
  if (!isJsonObject(document) || document.format !== JOURNAL_FORMAT) return undefined;
  const { writeId, array, row, shardsPerRow, chunksPerShard, epochsPerShard, epochRows } = document;
  const durability = LEVELS.find((level) => level === document.durability);
  if (typeof writeId !== "string" || typeof array !== "string" || durability === undefined) return undefined;
  if (!isCount(row) || !isCount(shardsPerRow) || !isCount(chunksPerShard)) return undefined;
  if (!isCount(epochsPerShard) || !isCount(epochRows)) return undefined;
  return { writeId, array, row, shardsPerRow, chunksPerShard, epochsPerShard, epochRows, durability };
}

function parseCommit(view: DataView, at: number, payloadBytes: number): JournalCommit | undefined {
  if (payloadBytes < COMMIT_HEAD_BYTES) return undefined;
  const firstEpoch = view.getUint32(at + 4, true);
  const epochCount = view.getUint32(at + 8, true);
  const recordCount = view.getUint32(at + 12, true);
  const rowTo = word(view, at + 16);
  if (epochCount === 0 || !isCount(rowTo)) return undefined;
  if (payloadBytes !== COMMIT_HEAD_BYTES + recordCount * RECORD_BYTES) return undefined;
  return {
    firstEpoch,
    epochCount,
    rowTo,
    recordCount,
    record(i) {
      const from = at + COMMIT_HEAD_BYTES + i * RECORD_BYTES;
      return {
        shard: view.getUint32(from, true),
        entry: view.getUint32(from + 4, true),
        offset: word(view, from + 8),
        nbytes: view.getUint32(from + 16, true),
        crc: view.getUint32(from + 20, true),
      };
    },
  };
}

/** Inexact from 2^53 on; callers check. */
function word(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
}
