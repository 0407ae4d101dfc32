// Writes the encoder's corpus as single chunks, for readers that take a codec's bytes without Zarr around them:
// `node write_chunks.js FOLDER`. Both implementations of the encoder must agree before anything is written.
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { codecBound } from "../../dist/codec/codec.js";
import { openEncoder } from "../../dist/codec/open_encoder.js";
import { loadAddon } from "../../dist/native/binding.js";
import { encoderCorpus } from "../helpers/encoder_corpus.js";

const folder = process.argv[2];
mkdirSync(folder, { recursive: true });
const addon = loadAddon();
const data = openSync(join(folder, "chunks.bin"), "w");
const lines = [];
let offset = 0;
for (const { name, itemBytes, chunk } of encoderCorpus()) {
  for (const codec of ["blosc", "zstd"]) {
    const encoded = await encode(codec, itemBytes, chunk, undefined);
    if (addon !== undefined && Buffer.compare(encoded, await encode(codec, itemBytes, chunk, addon)) !== 0) {
      throw new Error(`${codec} ${name}: the addon's bytes differ from TypeScript's`);
    }
    writeSync(data, encoded);
    lines.push(
      JSON.stringify({
        name: `${codec} ${name}`,
        codec,
        offset,
        bytes: encoded.length,
        content: chunk.length,
        sha256: createHash("sha256").update(chunk).digest("hex"),
      }),
    );
    offset += encoded.length;
  }
}
closeSync(data);
writeFileSync(join(folder, "chunks.jsonl"), `${lines.join("\n")}\n`);
console.log(
  `${lines.length} chunks, ${offset} bytes${addon === undefined ? ", TypeScript only: there is no addon" : ""}`,
);

async function encode(codec, itemBytes, chunk, native) {
  const spec = { name: codec };
  const encoder = await openEncoder(spec, itemBytes, native);
  const out = Buffer.alloc(codecBound(spec, chunk.length));
  const bytes = encoder.encode(chunk, out);
  encoder.close();
  return out.subarray(0, bytes);
}
