// Streams on the page's WebGPU.
import { stream, writeAll, writeAllInWorker } from "./stream.js";

/** What WebGPU there is; null when there is none. */
async function describeAdapter() {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return null;
  const { vendor, architecture } = adapter.info;
  return { vendor, architecture };
}

export async function run({ codecs }) {
  const adapter = await describeAdapter();
  const millrace = await import("/dist/browser.js");
  // The page's own say on auto: software may be allowed and is still not what auto takes.
  const auto = await stream(millrace, millrace.discardSink(), codecs[0], { allowSoftwareAdapter: true });
  const onGpu = { backend: "gpu", allowSoftwareAdapter: true };
  const stores = await writeAll(millrace, codecs, onGpu);
  // A worker compiles its own kernels; this codec needs the fewest.
  const inWorker = await writeAllInWorker(["none"], onGpu);
  return { adapter, auto, stores, inWorker };
}
