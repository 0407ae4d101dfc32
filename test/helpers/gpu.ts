import { afterAll, beforeAll } from "vitest";
import { isMillraceError } from "../../src/base/errors.js";
import { findAdapter } from "../../src/gpu/adapter.js";
import { type DeviceLease, leaseDevice } from "../../src/gpu/device_lease.js";
import type { GpuHost } from "../../src/gpu/gpu_host.js";
import { nodeGpu } from "../../src/gpu/node_gpu.js";
import type { WriterOptions } from "../../src/options.js";
import { openCpuBackend } from "../../src/pipeline/open_cpu_backend.js";
import { openGpuBackend } from "../../src/pipeline/open_gpu_backend.js";
import { startInline } from "../../src/pipeline/start_inline.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { nodePlatform } from "../../src/writer/node_platform.js";
import { openWriterOn } from "../../src/writer/open_writer_on.js";

/**
 * Why there is no adapter here; undefined where there is one. GPU tests are `describe.skipIf(noGpu)`: skipped and
 * counted, never passed, without one; CI fails on a skip.
 */
export const noGpu: string | undefined = await findAdapter(nodeGpu, true).then(
  () => undefined,
  (error: unknown) => {
    if (isMillraceError(error, "BACKEND_UNAVAILABLE")) return error.message;
    throw error;
  },
);
if (noGpu !== undefined) console.warn(`GPU tests are skipped: ${noGpu}`);

const ANY_SIZE = { maxBufferSize: 0, maxStorageBufferBindingSize: 0 };

/**
 * Keeps one device for a whole test file, so that its kernels are compiled once: streams opened inline in this process
 * take the same.
 */
export function holdDevice(host: GpuHost = nodeGpu): () => DeviceLease {
  let lease: DeviceLease | undefined;
  beforeAll(async () => {
    if (noGpu === undefined) lease = await leaseDevice(host, true, ANY_SIZE);
  });
  afterAll(() => lease?.release());
  return () => lease as DeviceLease;
}

/**
 * A writer on the GPU of `host`, or what `auto` makes of it, everything on this thread. Without addon unless asked for:
 * then copies go by the slow path.
 */
export function openGpuWriter(
  options: WriterOptions,
  { host = nodeGpu, addon = true }: { readonly host?: GpuHost; readonly addon?: boolean } = {},
): Promise<ArrayWriter> {
  const loaded = addon ? nodePlatform.addon() : undefined;
  return openWriterOn(
    {
      ...nodePlatform,
      addon: () => loaded,
      gpuHost: async () => host,
      startThreads: async (_, init) =>
        startInline(init, (engine, counters, order, warn) => {
          if (engine.gpu === undefined) return openCpuBackend(engine, counters, loaded);
          return openGpuBackend({ ...engine, gpu: engine.gpu }, { host, addon: loaded, counters, order, warn });
        }),
    },
    { allowSoftwareAdapter: true, backend: "gpu", threads: "inline", ...options },
  );
}
