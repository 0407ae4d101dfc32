export interface CorpusChunk {
  readonly name: string;
  readonly kind: string;
  readonly itemBytes: number;
  readonly chunk: Uint8Array<ArrayBuffer>;
}
export function random32(seed: number): () => number;
export const CHUNK_KINDS: Readonly<Record<string, (out: Uint8Array, itemBytes: number, next: () => number) => void>>;
export function makeChunk(kind: string, itemBytes: number, count: number, seed?: number): Uint8Array<ArrayBuffer>;
export const ITEM_BYTES: readonly number[];
export const ELEMENT_COUNTS: readonly number[];
export function encoderCorpus(): Generator<CorpusChunk>;
