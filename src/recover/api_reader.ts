import type { S3Api } from "../s3/s3_api.js";
import type { StoreEntry, StoreReader } from "../store/store_reader.js";

/** An S3 client as what stores are walked with. */
export class ApiReader implements StoreReader {
  constructor(private readonly api: S3Api) {}

  get location(): string {
    return this.api.location;
  }
  get(key: string): Promise<Uint8Array | undefined> {
    return this.api.get(key);
  }
  getRange(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.api.get(key, { offset, length });
  }
  getSuffix(key: string, length: number): Promise<Uint8Array | undefined> {
    return this.api.get(key, { suffix: length });
  }
  async size(key: string): Promise<number | undefined> {
    return (await this.api.head(key))?.bytes;
  }
  async *list(prefix: string): AsyncIterable<StoreEntry> {
    for await (const { key, bytes } of this.api.list(prefix === "" ? "" : `${prefix}/`)) yield { key, size: bytes };
  }
}
