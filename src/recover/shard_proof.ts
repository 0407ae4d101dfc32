import { crc32c as scriptCrc32c } from "../codec/crc32c.js";
import { loadAddon } from "../native/binding.js";
import { decodeShardIndex, shardIndexBytes } from "../zarr/shard_index.js";
import { type RecoveryFiles, readFully } from "./recovery_files.js";
import type { LedgerChunk } from "./row_ledger.js";

/** How far a file holds what the journal says. */
export interface ShardProof {
  /** Leading epochs of the row of which every chunk in this shard is right; all of them where nothing is wrong. */
  readonly epochs: number;
  readonly exists: boolean;
  /** What is wrong with the first chunk that is. */
  readonly fault: string | undefined;
}

const BUFFER_BYTES_MAX = 4 * 2 ** 20;

/** Checks files against the journal. Holds one buffer, whatever their size. */
export class ShardProver {
  #buffer = new Uint8Array(0);
  readonly #crc32c: (bytes: Uint8Array, seed: number) => number;

  constructor(
    private readonly files: RecoveryFiles,
    private readonly signal: AbortSignal | undefined,
  ) {
    const addon = loadAddon();
    this.#crc32c = addon === undefined ? scriptCrc32c : (bytes, seed) => addon.crc32c(bytes, seed);
  }

  /** @param epochCount epochs that the row has committed */
  async prove(key: string, chunks: readonly LedgerChunk[], epochCount: number): Promise<ShardProof> {
    if (chunks.length === 0) return { epochs: epochCount, exists: false, fault: undefined };
    const proof = await this.files.visit(key, async (file): Promise<ShardProof> => {
      const size = await file.size();
      const bufferBytes = Math.min(size, BUFFER_BYTES_MAX);
      if (bufferBytes > this.#buffer.byteLength) this.#buffer = new Uint8Array(bufferBytes);
      // What is in the buffer: [from, to) of the file. Chunks lie one behind the other, so every byte is read once.
      let from = 0;
      let to = 0;
      for (const { epoch, entry, offset, nbytes, crc } of chunks) {
        const wrong = (what: string): ShardProof => ({
          epochs: epoch,
          exists: true,
          fault: `chunk ${entry}: ${what}`,
        });
        if (offset + nbytes > size) return wrong(`the file ends at ${size}, the chunk at ${offset + nbytes}`);
        let computed = 0;
        for (let at = offset; at < offset + nbytes; ) {
          if (at >= to) {
            this.signal?.throwIfAborted();
            from = at;
            to = at + (await readFully(file, this.#buffer, at));
            if (to === at) return wrong(`the file ended at ${at} while it was read`);
          }
          const end = Math.min(to, offset + nbytes);
          computed = this.#crc32c(this.#buffer.subarray(at - from, end - from), computed);
          at = end;
        }
        if (computed !== crc) return wrong(`its crc32c is ${hex(computed)}, the journal has ${hex(crc)}`);
      }
      return { epochs: epochCount, exists: true, fault: undefined };
    });
    return (
      proof ?? { epochs: chunks[0].epoch, exists: false, fault: `chunk ${chunks[0].entry}: there is no such file` }
    );
  }

  /** Whether a file is `dataBytes` long and then ends with `index`. */
  async isSealed(key: string, dataBytes: number, index: Uint8Array): Promise<boolean> {
    const isSealed = await this.files.visit(key, async (file) => {
      if ((await file.size()) !== dataBytes + index.byteLength) return false;
      const found = new Uint8Array(index.byteLength);
      const read = await readFully(file, found, dataBytes);
      return read === found.byteLength && Buffer.compare(found, index) === 0;
    });
    return isSealed ?? false;
  }

  /** Whether a file ends with an index that readers can use, whatever it says. */
  async hasIndex(key: string, chunkCount: number): Promise<boolean> {
    const hasIndex = await this.files.visit(key, async (file) => {
      const objectBytes = await file.size();
      const bytes = new Uint8Array(Math.min(objectBytes, shardIndexBytes(chunkCount)));
      await readFully(file, bytes, objectBytes - bytes.byteLength);
      const { index, defectCount } = decodeShardIndex(bytes, { chunkCount, objectBytes });
      return index !== undefined && defectCount === 0;
    });
    return hasIndex ?? false;
  }
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
