import { isJsonObject } from "../base/json.js";

/** Shuffle kinds by their bits in the flags (c-blosc README_CHUNK_FORMAT.rst). */
const SHUFFLES = ["noshuffle", "shuffle", "bitshuffle"] as const;
/** Compressors by their number in the flags; lz4hc writes what lz4 reads. */
const FORMATS = ["blosclz", "lz4", "snappy", "zlib", "zstd"] as const;

/**
 * What the header of a Blosc container says otherwise than the codec's configuration, or undefined. A container has no
 * checksum, and a flipped bit in these fields turns every value of the chunk without any decoder noticing: the
 * configuration is a second witness.
 * @param container at least a header, or nothing is said
 */
export function bloscHeaderOddity(container: Uint8Array, configuration: unknown): string | undefined {
  if (container.length < 16 || !isJsonObject(configuration)) return undefined;
  const flags = container[2];
  const stored = (flags & 0x02) !== 0;
  const { cname, shuffle, typesize } = configuration;
  const format = FORMATS[flags >> 5];
  if (!stored && typeof cname === "string" && format !== cname.replace("lz4hc", "lz4")) {
    return `the Blosc header says compressor ${format}, zarr.json says ${cname}`;
  }
  const filter = SHUFFLES[(flags & 0x01) !== 0 ? 1 : (flags & 0x04) !== 0 ? 2 : 0];
  // Elements of one byte are not shuffled, whatever the flag says; and what is stored as it is has no filter.
  const shuffled = !stored && container[3] > 1;
  if (shuffled && typeof shuffle === "string" && filter !== shuffle) {
    return `the Blosc header says ${filter}, zarr.json says ${shuffle}`;
  }
  // Some writers hand Blosc plain bytes: element size 1, whatever the array holds, and right all the same.
  if (shuffled && shuffle !== "noshuffle" && typeof typesize === "number" && container[3] !== typesize) {
    return `the Blosc header says elements of ${container[3]} bytes, zarr.json says ${typesize}`;
  }
  return undefined;
}
