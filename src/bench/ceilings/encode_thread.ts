/** Entry of a thread that encodes; see encode.ts. */
import { codecBound } from "../../codec/codec.js";
import { openEncoder } from "../../codec/open_encoder.js";
import { loadAddon } from "../../native/binding.js";
import type { EncodeThreadData } from "./encode.js";
import { serveCeiling } from "./thread_loop.js";

await serveCeiling(async ({ codec, itemBytes, chunks, chunkBytes, cursor }: EncodeThreadData) => {
  const encoder = await openEncoder(codec, itemBytes, loadAddon());
  const count = chunks.byteLength / chunkBytes;
  const out = new Uint8Array(codecBound(codec, chunkBytes));
  return () => {
    const chunk = Atomics.add(cursor, 0, 1) % count;
    const outBytes = encoder.encode(chunks.subarray(chunk * chunkBytes, (chunk + 1) * chunkBytes), out);
    return { bytes: chunkBytes, outBytes };
  };
});
