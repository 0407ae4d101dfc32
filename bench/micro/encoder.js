import { codecBound } from "../../dist/codec/codec.js";
import { openEncoder } from "../../dist/codec/open_encoder.js";
import { makeChunk } from "../../test/helpers/encoder_corpus.js";

const ELEMENTS = 131_072;
/**
 * One kind for each part that can dominate: codes of a noisy plane, sequences, the limit on code lengths, flat blocks,
 * runs of everything.
 */
const KINDS = ["camera", "runsShort", "fibonacci", "noise", "constant", "labels"];

/** Whole chunks of 256 KiB through the block encoder. */
export async function encoderGroup(addon) {
  const cases = [];
  for (const [label, native] of [
    ["native", addon],
    ["TypeScript", undefined],
  ]) {
    if (label === "native" && addon === undefined) continue;
    for (const kind of KINDS) {
      const chunk = makeChunk(kind, 2, ELEMENTS);
      const encoder = await openEncoder({ name: "blosc" }, 2, native);
      const out = new Uint8Array(codecBound({ name: "blosc" }, chunk.length));
      cases.push({ title: `blosc, ${kind}, ${label}`, bytes: chunk.length, run: () => encoder.encode(chunk, out) });
    }
  }
  return { cases };
}
