import { codecProvider } from "../../src/codec/open_encoder.js";

/** Whether anything on this machine writes zstd: not on Node 20 where zstd-napi could not be built. */
export const hasZstd: boolean = await codecProvider({ name: "zstd", level: 1 }, undefined).then(
  () => true,
  () => false,
);

/** Codecs that a test of the whole pipeline can run with here. */
export const testCodecs: readonly string[] = ["none", "blosc", ...(hasZstd ? ["zstd:1"] : [])];
