import type * as millrace from "../../../src/browser.js";

type Millrace = Pick<typeof millrace, "openWriter" | "memorySink">;

export interface StreamSaid {
  readonly adapter: string;
  readonly backend: string;
  readonly watermarks: millrace.Watermarks;
  readonly chunksByRoute: millrace.Metrics["chunksByRoute"];
}
/** By key: size and SHA-256. */
export type Objects = Readonly<Record<string, string>>;
export type Stores = Readonly<Record<string, StreamSaid & { readonly objects: Objects }>>;

export function writeAll(module: Millrace, codecs: readonly string[], over?: object): Promise<Stores>;
/** In a page only. */
export function run(params: { readonly codecs: readonly string[] }): Promise<{
  readonly stores: Stores;
  readonly discarded: StreamSaid;
  readonly ownSink: Objects;
  readonly inWorker: Stores;
  /** By how the stream was ended. */
  readonly stalled: Readonly<Record<string, object>>;
  readonly refused: Readonly<Record<string, string>>;
}>;
