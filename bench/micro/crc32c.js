// Checksums: shard indexes need CRC-32C. zlib's crc32 is another polynomial; it shows what the library of Node's
// vendors reaches.
import * as zlib from "node:zlib";
import { crc32c } from "../../dist/codec/crc32c.js";

const SIZES = [64, 4096, 2 ** 20];

export function crc32cGroup(addon) {
  const data = new Uint8Array(2 ** 20).map((_, i) => i * 7);
  const functions = [
    ["TypeScript", crc32c],
    ...(addon === undefined ? [] : [[`addon (${addon.features.crc32c})`, (bytes) => addon.crc32c(bytes)]]),
    // Node 20.15 and 22.2 are the first with it.
    ...(zlib.crc32 === undefined ? [] : [["zlib.crc32", (bytes) => zlib.crc32(bytes)]]),
  ];
  const cases = SIZES.flatMap((bytes) => {
    const view = data.subarray(0, bytes);
    const operations = Math.max(1, Math.floor(65_536 / bytes));
    return functions.map(([name, checksum]) => ({
      title: `${name}, ${bytes} B`,
      bytes,
      operations,
      run: () => {
        for (let i = 0; i < operations; i++) checksum(view);
      },
    }));
  });
  return { cases };
}
