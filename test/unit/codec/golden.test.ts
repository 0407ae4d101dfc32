import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { codecBound } from "../../../src/codec/codec.js";
import { ENCODER_VERSION } from "../../../src/codec/encoder/index.js";
import { openEncoder } from "../../../src/codec/open_encoder.js";
import { encoderCorpus } from "../../helpers/encoder_corpus.js";

/**
 * sha256 over the encoded chunks of each kind, each behind its size (uint32, little-endian). They change only together
 * with ENCODER_VERSION: stores that are written over years, on several machines, depend on it. To print new ones:
 * `MILLRACE_GOLDEN=print npx vitest run test/unit/codec/golden.test.ts`.
 */
const golden = JSON.parse(readFileSync(new URL("../../golden/encoder.json", import.meta.url), "utf8")) as {
  readonly encoderVersion: number;
  readonly sha256: Readonly<Record<string, string>>;
};

it("writes the bytes that this version has always written", async () => {
  const hashes = new Map<string, ReturnType<typeof createHash>>();
  for (const { kind, itemBytes, chunk } of encoderCorpus()) {
    for (const name of ["blosc", "zstd"] as const) {
      const encoder = await openEncoder({ name }, itemBytes, undefined);
      const out = new Uint8Array(codecBound({ name }, chunk.length));
      const bytes = encoder.encode(chunk, out);
      const size = new Uint8Array(4);
      new DataView(size.buffer).setUint32(0, bytes, true);
      const key = `${name} ${kind}`;
      const hash = hashes.get(key) ?? createHash("sha256");
      hashes.set(key, hash.update(size).update(out.subarray(0, bytes)));
    }
  }
  const sha256 = Object.fromEntries([...hashes].map(([key, hash]) => [key, hash.digest("hex")]));
  if (process.env.MILLRACE_GOLDEN === "print") {
    process.stdout.write(`${JSON.stringify({ encoderVersion: ENCODER_VERSION, sha256 }, null, 2)}\n`);
  }
  expect({ encoderVersion: ENCODER_VERSION, sha256 }).toEqual(golden);
});
