import { BitWriter } from "./bit_writer.js";
import { describeTable, FseEncoderState, probabilitiesOf } from "./fse.js";

/** Largest symbol for which weights can be given directly, RFC 8878 4.2.1.1. */
const DIRECT_LAST_MAX = 128;
const FSE_BYTES_LIMIT = 128;

/**
 * The Huffman_Tree_Description of weights, docs/encoder.md §5: the shorter of both forms, `undefined` when neither is
 * possible.
 * @param weights up to and including the last symbol, whose weight is left out
 */
export function describeTree(weights: Uint8Array): Uint8Array | undefined {
  const described = weights.subarray(0, weights.length - 1);
  const direct = described.length <= DIRECT_LAST_MAX ? directWeights(described) : undefined;
  const fse = fseWeights(described);
  if (direct === undefined) return fse;
  return fse !== undefined && fse.length < direct.length ? fse : direct;
}

function directWeights(weights: Uint8Array): Uint8Array {
  const out = new Uint8Array(1 + ((weights.length + 1) >> 1));
  out[0] = 127 + weights.length;
  weights.forEach((weight, i) => {
    out[1 + (i >> 1)] |= i % 2 === 0 ? weight << 4 : weight;
  });
  return out;
}

/** RFC 8878 4.2.1.2: two interleaved states, even weights in the first, odd ones in the second. */
function fseWeights(weights: Uint8Array): Uint8Array | undefined {
  const counts = Array.from({ length: 12 }, () => 0);
  for (const weight of weights) counts[weight]++;
  if (weights.length < 2 || counts.filter((count) => count > 0).length < 2) return undefined;
  const log = weights.length >= 64 ? 6 : 5;
  const probabilities = probabilitiesOf(counts, log);
  const table = describeTable(probabilities, log);
  const states = [new FseEncoderState(probabilities, log), new FseEncoderState(probabilities, log)];
  const out = new BitWriter();
  for (let i = weights.length - 1; i >= 0; i--) states[i & 1].put(weights[i], out);
  states[1].flush(out);
  states[0].flush(out);
  const stream = out.finish();
  const bytes = table.length + stream.length;
  return bytes < FSE_BYTES_LIMIT ? Uint8Array.from([bytes, ...table, ...stream]) : undefined;
}
