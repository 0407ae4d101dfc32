import { expect, it } from "vitest";
import { MillraceError } from "../../../src/base/errors.js";
import type { GpuHost } from "../../../src/gpu/gpu_host.js";
import { hasGpuDevice } from "../../../src/gpu/node_gpu.js";
import { memorySink } from "../../../src/sinks/specs.js";
import { nodePlatform } from "../../../src/writer/node_platform.js";
import { openWriterOn } from "../../../src/writer/open_writer_on.js";

const machine = (folders: Record<string, string[]>) => (folder: string) =>
  folder in folders ? Promise.resolve(folders[folder]) : Promise.reject(new Error("ENOENT"));

it.each([
  ["a bare machine", { "/dev": ["null", "shm", "nvram"] }, false],
  ["a display without a GPU", { "/dev": ["dri"], "/dev/dri": ["card0"] }, false],
  ["any driver of DRM", { "/dev": ["dri"], "/dev/dri": ["card0", "renderD128"] }, true],
  ["NVIDIA in a container", { "/dev": ["nvidia0", "nvidiactl"] }, true],
  ["Windows's Linux", { "/dev": ["dxg"] }, true],
  ["no /dev", {}, false],
])("looks for a device: %s", async (_, folders, expected) => {
  expect(await hasGpuDevice(machine(folders as Record<string, string[]>))).toBe(expected);
});

it.each([
  ["auto", 0],
  ["gpu", 1],
] as const)("backend %s, where there can be none, asks WebGPU %d times", async (backend, times) => {
  let asked = 0;
  const host: GpuHost = {
    mayHaveGpu: async () => false,
    gpu: () => {
      asked++;
      return Promise.reject(new MillraceError("BACKEND_UNAVAILABLE", "none."));
    },
    kernelText: () => Promise.reject(new Error("not asked for")),
  };
  const opening = openWriterOn(
    { ...nodePlatform, gpuHost: async () => host },
    {
      sink: memorySink(),
      backend,
      threads: "inline",
      array: { dtype: "uint8", codec: "none", dimensions: [{ name: "t", size: null, chunk: 1 }] },
    },
  );
  if (backend === "gpu") await expect(opening).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  else await (await opening).close();
  expect(asked).toBe(times);
});
