import { afterEach, describe, expect, it, vi } from "vitest";
import { pageGpu } from "../../../src/gpu/page_gpu.js";
import { discardSink } from "../../../src/index.js";
import { noGpu, openGpuWriter } from "../../helpers/gpu.js";

afterEach(() => vi.unstubAllGlobals());

it("says that a browser has no WebGPU", async () => {
  vi.stubGlobal("navigator", {});
  await expect(pageGpu.gpu()).rejects.toMatchObject({
    code: "BACKEND_UNAVAILABLE",
    hint: expect.stringMatching(/https/),
  });
});

it("fetches kernels from beside its module", async () => {
  const fetched = vi.fn(async (_url: URL) => new Response("fn main() {}"));
  vi.stubGlobal("fetch", fetched);
  expect(await pageGpu.kernelText("gather")).toBe("fn main() {}");
  expect(fetched.mock.calls[0][0].pathname).toMatch(/\/gpu\/kernels\/gather\.wgsl$/);
});

it.each([
  ["which are not served", async () => new Response("", { status: 404, statusText: "Not Found" }), "404 Not Found"],
  ["which do not come", () => Promise.reject(new TypeError("connection lost")), "connection lost"],
])("names kernels %s", async (_, fetched, why) => {
  vi.stubGlobal("fetch", fetched);
  await expect(pageGpu.kernelText("gather")).rejects.toMatchObject({
    code: "BACKEND_UNAVAILABLE",
    message: expect.stringMatching(new RegExp(`gather\\.wgsl does not load: ${why}`)),
    hint: expect.stringContaining("gpu/kernels"),
  });
});

describe.skipIf(noGpu)("a writer whose kernels are not served", () => {
  it("fails with what was missing, and blames no adapter for it", async () => {
    vi.stubGlobal("fetch", async () => new Response("", { status: 404, statusText: "Not Found" }));
    const { nodeGpu } = await import("../../../src/gpu/node_gpu.js");
    const opened = openGpuWriter(
      { sink: discardSink(), array: { dtype: "uint8", dimensions: [{ name: "t", size: null, chunk: 64 }] } },
      { host: { ...pageGpu, gpu: nodeGpu.gpu } },
    );
    await expect(opened).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      message: expect.stringContaining("404 Not Found"),
      hint: expect.stringContaining("gpu/kernels"),
    });
  });
});
