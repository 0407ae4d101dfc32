import type { Fill } from "./fill.js";

/**
 * Smallest ring of prefilled input: twice the last-level cache of a usual machine, or appends would be read from cache.
 */
const RING_BYTES_MIN = 64 * 2 ** 20;
/** Ring that is still made an epoch long, so that a chunk never holds the same row twice. */
const RING_BYTES_MAX = 640 * 2 ** 20;
/**
 * Views made ahead: a `subarray` costs as much as copying 512 bytes, and a camera's program holds its buffers ready as
 * well.
 */
const VIEWS_MAX = 2 ** 18;
/** Input made at once when it is made while streaming. */
const LIVE_BYTES = 2 ** 20;

interface SourceOptions {
  readonly fill: Fill;
  readonly rowBytes: number;
  readonly epochRows: number;
  readonly appendBytes: number;
  /** Pieces never cross a multiple of this. */
  readonly batchBytes: number;
  readonly prefill: boolean;
}

/** Endless input, in pieces of the append size. */
export interface Source {
  /** The next piece, cut to `maxBytes`: what is left of the batch. Valid until the next call. */
  take(maxBytes: number): Uint8Array;
  /** Memory it holds. */
  readonly bytes: number;
}

/** Rows of the prefilled ring. */
export function ringRows(rowBytes: number, epochRows: number): number {
  const least = Math.ceil(RING_BYTES_MIN / rowBytes);
  const epochs = Math.ceil(least / epochRows) * epochRows;
  return epochs * rowBytes <= RING_BYTES_MAX
    ? epochs
    : Math.max(1, Math.min(least, Math.floor(RING_BYTES_MAX / rowBytes)));
}

export function openSource(options: SourceOptions): Source {
  return openSources(options, 1)[0];
}

/**
 * `count` inputs. Prefilled ones share the ring, each begins at another row of it: two that walk it side by side would
 * find each other's bytes in the caches.
 */
export function openSources(options: SourceOptions, count: number): Source[] {
  const each = Array.from({ length: count }, (_, i) => i);
  if (!options.prefill) return each.map(() => live(options));
  const ring = prefillRing(options);
  const rows = ring.byteLength / options.rowBytes;
  return each.map((i) => prefilled(options, ring, Math.floor((rows * i) / count) * options.rowBytes));
}

/** Whole rows of input, made once; the caller reads them round and round. */
export function prefillRing({
  fill,
  rowBytes,
  epochRows,
}: Pick<SourceOptions, "fill" | "rowBytes" | "epochRows">): Uint8Array {
  const rows = ringRows(rowBytes, epochRows);
  const ring = new Uint8Array(rows * rowBytes);
  fill.rows(0, rows, new Uint16Array(ring.buffer));
  return ring;
}

function prefilled({ appendBytes, batchBytes }: SourceOptions, ring: Uint8Array, startByte: number): Source {
  const views: Uint8Array[] = [];
  if (
    batchBytes % appendBytes === 0 &&
    ring.byteLength % appendBytes === 0 &&
    ring.byteLength / appendBytes <= VIEWS_MAX
  ) {
    for (let at = 0; at < ring.byteLength; at += appendBytes) views.push(ring.subarray(at, at + appendBytes));
  }
  let next = Math.floor(startByte / appendBytes);
  let position = startByte;
  return {
    bytes: ring.byteLength,
    take(maxBytes) {
      if (views.length > 0) {
        const view = views[next];
        next = next + 1 === views.length ? 0 : next + 1;
        return view;
      }
      // Pieces are cut at a batch's end and at the ring's.
      const view = ring.subarray(position, Math.min(position + Math.min(appendBytes, maxBytes), ring.byteLength));
      position = (position + view.byteLength) % ring.byteLength;
      return view;
    },
  };
}

function live({ fill, rowBytes, appendBytes }: SourceOptions): Source {
  const rows = Math.max(1, Math.ceil(Math.max(LIVE_BYTES, appendBytes) / rowBytes));
  const buffer = new Uint8Array(rows * rowBytes);
  const elements = new Uint16Array(buffer.buffer);
  let row = 0;
  let position = buffer.byteLength;
  return {
    bytes: buffer.byteLength,
    take(maxBytes) {
      if (position === buffer.byteLength) {
        fill.rows(row, rows, elements);
        row += rows;
        position = 0;
      }
      const view = buffer.subarray(position, Math.min(position + Math.min(appendBytes, maxBytes), buffer.byteLength));
      position += view.byteLength;
      return view;
    },
  };
}
