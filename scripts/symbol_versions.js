// What a shared object asks of the system's libraries: an addon that is built on a new machine and shipped to an old
// one does not load there, and says so only there. As a program: prints the versions that the file named, or the built
// addon, needs.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const GNU_VERNEED = 0x6ffffffe;

/**
 * Symbol versions such as "GLIBC_2.34" that a 64-bit little-endian ELF file needs, sorted. Throws for any other file.
 */
export function neededVersions(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1)
    throw new Error("no 64-bit little-endian ELF file");
  const u64 = (at) => Number(view.getBigUint64(at, true));
  const headersAt = u64(40);
  const headerBytes = view.getUint16(58, true);
  const section = (index) => {
    const at = headersAt + index * headerBytes;
    const [type, link] = [view.getUint32(at + 4, true), view.getUint32(at + 40, true)];
    return { type, link, offset: u64(at + 24), count: view.getUint32(at + 44, true) };
  };
  const versions = new Set();
  for (let i = 0; i < view.getUint16(60, true); i++) {
    const { type, link, offset, count } = section(i);
    if (type !== GNU_VERNEED) continue;
    const names = section(link).offset;
    for (let library = 0, at = offset; library < count; library++) {
      let entry = at + view.getUint32(at + 8, true);
      for (let version = 0; version < view.getUint16(at + 2, true); version++) {
        const from = names + view.getUint32(entry + 8, true);
        versions.add(bytes.toString("latin1", from, bytes.indexOf(0, from)));
        entry += view.getUint32(entry + 12, true);
      }
      at += view.getUint32(at + 12, true);
    }
  }
  return [...versions].sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = process.argv[2] ?? fileURLToPath(new URL("../build/Release/millrace.node", import.meta.url));
  console.log(neededVersions(readFileSync(path)).join("\n"));
}
