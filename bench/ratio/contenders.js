import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { codecBound, codecJson } from "../../dist/codec/codec.js";
import { openDecoder } from "../../dist/codec/decode.js";
import { shufflePlanes } from "../../dist/codec/encoder/blosc_container.js";
import { openEncoder } from "../../dist/codec/open_encoder.js";
import { loadAddon } from "../../dist/native/binding.js";

/**
 * @typedef {object} Contender
 * @property {string} name
 * @property {boolean} timed
 * @property {(set: import("./sets.js").ImageSet) => boolean} takes
 * @property {(set: import("./sets.js").ImageSet) => Promise<{ run: () => Promise<{ seconds: number, bytes: number }>
 * }>} open
 */

/** Each measurement encodes the set again until this much time has passed. */
export const SECONDS_MIN = 0.05;

/** The codec that a writer takes when it is given none. */
export const OURS = "millrace";

/** @returns {Contender[]} */
export function ownContenders() {
  const addon = loadAddon();
  if (addon === undefined) throw new Error("the native addon is not built: npm run build:native");
  const ours = (name, codecOf, native, over = {}) => ({
    name,
    timed: true,
    takes: () => true,
    open: (set) => openInProcess(set, codecOf(set), native, set.chunks, set.itemBytes),
    ...over,
  });
  const standard = (set) => (set.itemBytes === 1 ? { name: "zstd" } : { name: "blosc" });
  return [
    ours(OURS, standard, addon),
    ours("millrace, TypeScript", standard, undefined),
    ours("millrace zstd", () => ({ name: "zstd" }), addon, { takes: (set) => set.itemBytes > 1 }),
    ...[1, 3].flatMap((level) => [
      ours(`libzstd ${level}`, () => ({ name: "zstd", level }), undefined),
      {
        // What the shuffle costs is left out: it is the part that is nobody's.
        ...ours(`libzstd ${level} on planes`, () => ({ name: "zstd", level }), undefined),
        takes: (set) => set.itemBytes > 1,
        open: (set) =>
          openInProcess(
            set,
            { name: "zstd", level },
            undefined,
            set.chunks.map((c) => shufflePlanes(c, set.itemBytes)),
            1,
          ),
      },
    ]),
    { name: "memcpy", timed: true, takes: () => true, open: openCopy },
  ];
}

async function openInProcess(set, spec, addon, chunks, itemBytes) {
  const encoder = await openEncoder(spec, itemBytes, addon);
  const out = new Uint8Array(Math.max(...chunks.map((chunk) => codecBound(spec, chunk.length))));
  const dtype = { 1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64" }[itemBytes];
  const decoder = await openDecoder(codecJson(spec, dtype), dtype);
  for (const chunk of chunks) {
    const encoded = out.subarray(0, encoder.encode(chunk, out));
    const content = await decoder.decode(encoded, chunk.length);
    if (Buffer.compare(content, chunk) !== 0) throw new Error(`${set.name}: ${encoder.provider} lost data`);
  }
  return {
    run: async () =>
      timed(() => {
        let bytes = 0;
        for (const chunk of chunks) bytes += encoder.encode(chunk, out);
        return bytes;
      }),
  };
}

async function openCopy(set) {
  const out = new Uint8Array(Math.max(...set.chunks.map((chunk) => chunk.length)));
  return {
    run: async () =>
      timed(() => {
        let bytes = 0;
        for (const chunk of set.chunks) {
          out.set(chunk);
          bytes += chunk.length;
        }
        return bytes;
      }),
  };
}

function timed(once) {
  const from = process.hrtime.bigint();
  let passes = 0;
  let bytes = 0;
  let seconds = 0;
  do {
    bytes = once();
    passes++;
    seconds = Number(process.hrtime.bigint() - from) / 1e9;
  } while (seconds < SECONDS_MIN);
  return { seconds: seconds / passes, bytes };
}

/**
 * libblosc through numcodecs, in a Python of its own that keeps the chunks; it is asked for one measurement at a time.
 * @returns {Promise<{ contenders: Contender[], close: () => void } | undefined>} undefined where there is no numcodecs
 */
export async function bloscContenders(python, scratch) {
  const script = fileURLToPath(new URL("peer.py", import.meta.url));
  const child = spawn(python, [script], { stdio: ["pipe", "pipe", "inherit"] });
  const failed = new Promise((resolve) => child.once("error", resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the Python peer ended");
    const parsed = JSON.parse(value);
    if (parsed.error !== undefined) throw new Error(`Python peer: ${parsed.error}`);
    return parsed;
  };
  const started = await Promise.race([answer().catch((error) => error), failed]);
  if (started instanceof Error) return undefined;
  const ask = (question) => {
    child.stdin.write(`${JSON.stringify(question)}\n`);
    return answer();
  };
  const blosc = (name, cname, clevel) => ({
    name,
    timed: true,
    takes: () => true,
    open: async (set) => {
      const path = join(scratch, "chunks.raw");
      writeFileSync(path, Buffer.concat(set.chunks));
      const sizes = set.chunks.map(({ length }) => length);
      await ask({ load: name, path, sizes, cname, clevel, itemBytes: set.itemBytes });
      return { run: () => ask({ run: name, seconds: SECONDS_MIN }) };
    },
  });
  return {
    version: started.version,
    contenders: [blosc("libblosc zstd-1", "zstd", 1), blosc("libblosc lz4-5", "lz4", 5)],
    close: async () => {
      child.stdin.end();
      await once(child, "exit");
    },
  };
}
