import type { StoreEntry, StoreReader } from "./store_reader.js";

/** A store in a Map from key to bytes. The map is borrowed: what changes in it is seen. */
export class MemoryStore implements StoreReader {
  constructor(
    private readonly objects: ReadonlyMap<string, Uint8Array>,
    readonly location = "memory",
  ) {}

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.objects.get(key)?.slice();
  }

  async getRange(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.objects.get(key)?.slice(offset, offset + length);
  }

  async size(key: string): Promise<number | undefined> {
    return this.objects.get(key)?.length;
  }

  async *list(prefix: string): AsyncIterable<StoreEntry> {
    const start = prefix === "" ? "" : `${prefix}/`;
    for (const key of [...this.objects.keys()].sort()) {
      const bytes = this.objects.get(key);
      if (bytes !== undefined && key.startsWith(start)) yield { key, size: bytes.length };
    }
  }
}
