import { type ChunkDecoder, openDecoder } from "../codec/decode.js";
import type { StoredArray } from "../zarr/parse_metadata.js";

/**
 * The decoder for an array's chunks. Metadata lists the codecs behind `bytes`, which is little-endian or it would not
 * be read.
 * @throws MillraceError as openDecoder does
 */
export async function chunkDecoder({
  compressors,
  dtype,
}: Pick<StoredArray, "compressors" | "dtype">): Promise<ChunkDecoder> {
  return await openDecoder([{ name: "bytes", configuration: { endian: "little" } }, ...compressors], dtype);
}
