import { MillraceError } from "../base/errors.js";
import { encoderKind } from "../codec/codec.js";
import { pageGpu } from "../gpu/page_gpu.js";
import { openPageBackend } from "../pipeline/open_page_backend.js";
import { startInline } from "../pipeline/start_inline.js";
import type { Platform } from "./platform.js";

/** Where a browser does not say how much memory there is. */
const ASSUMED_MEMORY_BYTES = 4 * 2 ** 30;

/** What of a page's globals is used; Millrace is compiled without the DOM's types. */
interface PageGlobals {
  readonly crossOriginIsolated?: boolean;
  readonly navigator?: { readonly hardwareConcurrency?: number; readonly deviceMemory?: number };
}

/** A web page, or a worker of one. Nothing here imports Node or a package. */
export const pagePlatform: Platform = {
  machine() {
    const { navigator } = globalThis as PageGlobals;
    const gib = navigator?.deviceMemory;
    return {
      cores: navigator?.hardwareConcurrency ?? 1,
      memoryBytes: gib === undefined ? ASSUMED_MEMORY_BYTES : gib * 2 ** 30,
      addon: false,
      workers: false,
    };
  },
  addon: () => undefined,
  gpuHost: async () => pageGpu,
  warnings: () => [],
  async requireFor({ codec }) {
    // Node has shared memory always, and this global never.
    if ((globalThis as PageGlobals).crossOriginIsolated === false || typeof SharedArrayBuffer === "undefined") {
      throw new MillraceError(
        "BACKEND_UNAVAILABLE",
        "this page is not cross-origin isolated, so it has no shared memory.",
        {
          context: { crossOriginIsolated: false },
          hint:
            "Serve it with the headers Cross-Origin-Opener-Policy: same-origin and " +
            "Cross-Origin-Embedder-Policy: require-corp.",
        },
      );
    }
    if (encoderKind(codec) === "libzstd") {
      throw new MillraceError("CODEC_UNAVAILABLE", "codec zstd: a web page has no libzstd, which levels belong to.", {
        context: { option: "codec.level", codec: codec.name },
        hint: 'Leave the level out, or use { name: "blosc" }.',
      });
    }
  },
  async startThreads(_threads, init) {
    return startInline(init, openPageBackend);
  },
};
