// How fast host memory is copied, as one line of JSON: by one thread, and as `append` does it, into shared memory by
// the addon's copy threads. GB/s of bytes copied; each byte is read once and written once. The buffers are larger than
// caches.
import { availableParallelism } from "node:os";
import { loadAddon } from "../../dist/native/binding.js";

const BUFFER_BYTES = 256 * 2 ** 20;
/** The addon cuts copies from 512 KiB on; this is a large camera frame. */
const PIECE_BYTES = 16 * 2 ** 20;
const ROUNDS = 7;
const HELPERS_MAX = 3;

const source = new Uint8Array(BUFFER_BYTES).fill(1);
const own = new Uint8Array(BUFFER_BYTES).fill(2);
const rows = [{ what: "one thread", gbPerS: measure((at, end) => own.set(source.subarray(at, end), at)) }];

const addon = loadAddon();
if (addon !== undefined) {
  const shared = new Uint8Array(new SharedArrayBuffer(BUFFER_BYTES)).fill(2);
  const region = addon.regionAdd(shared);
  const helpers = addon.copyStart(Math.min(HELPERS_MAX, availableParallelism() - 1));
  rows.push({
    what: `addon, ${1 + helpers} threads`,
    gbPerS: measure((at, end) => addon.copy(region, at, source, at, end - at)),
  });
  addon.copyStop();
  addon.regionRemove(region);
}
process.stdout.write(`${JSON.stringify({ rows })}\n`);

/** Median of some walks through the whole buffer, the first left out. */
function measure(copy) {
  const rates = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const from = performance.now();
    for (let at = 0; at < BUFFER_BYTES; at += PIECE_BYTES) copy(at, at + PIECE_BYTES);
    if (round > 0) rates.push(BUFFER_BYTES / 1e6 / (performance.now() - from));
  }
  return rates.sort((a, b) => a - b)[ROUNDS >> 1];
}
