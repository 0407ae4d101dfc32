import type { Stores, StreamSaid } from "./stream.js";

/** In a page only. */
export function run(params: { readonly codecs: readonly string[] }): Promise<{
  readonly adapter: { readonly vendor: string; readonly architecture: string } | null;
  readonly auto: StreamSaid;
  readonly stores: Stores;
  readonly inWorker: Stores;
}>;
