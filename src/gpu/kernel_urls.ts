import { assert } from "../base/assert.js";

/**
 * Where the kernels lie, spelled out: bundlers take a file along where its name stands in
 * `new URL("…", import.meta.url)`.
 */
const URLS: Readonly<Record<string, URL>> = {
  codes: new URL("./kernels/codes.wgsl", import.meta.url),
  common: new URL("./kernels/common.wgsl", import.meta.url),
  compact: new URL("./kernels/compact.wgsl", import.meta.url),
  gather: new URL("./kernels/gather.wgsl", import.meta.url),
  literals: new URL("./kernels/literals.wgsl", import.meta.url),
  offsets: new URL("./kernels/offsets.wgsl", import.meta.url),
  period: new URL("./kernels/period.wgsl", import.meta.url),
  runs: new URL("./kernels/runs.wgsl", import.meta.url),
  sequences: new URL("./kernels/sequences.wgsl", import.meta.url),
  sizes: new URL("./kernels/sizes.wgsl", import.meta.url),
};

/** Where `kernels/<name>.wgsl` is. */
export function kernelUrl(name: string): URL {
  assert(Object.hasOwn(URLS, name), `there is no kernel ${name}`);
  return URLS[name];
}
