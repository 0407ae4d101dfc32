import { afterEach, expect, it, vi } from "vitest";
import * as page from "../../../src/browser.js";
import * as node from "../../../src/index.js";
import { elementBytes } from "../../helpers/stream_model.js";

afterEach(() => {
  vi.unstubAllGlobals();
});

const options = (over: object = {}) => ({
  sink: page.memorySink(),
  array: {
    dtype: "uint16",
    dimensions: [
      { name: "t", size: null, chunk: 2, shard: 4 },
      { name: "x", size: 10, chunk: 4 },
    ],
    ...over,
  } as page.ArrayOptions,
});

it("writes what Node writes, on the calling thread", async () => {
  const data = elementBytes(0, 5 * 10, 2);
  const stores = [];
  for (const { openWriter } of [page, node]) {
    const given = options();
    const writer = await openWriter({ ...given, threads: "inline", copyHelpers: 0 });
    await writer.append(data);
    await writer.close();
    stores.push(given.sink.files);
    if (openWriter === page.openWriter) expect(writer.adapter).toMatch(/^inline \(.*typescript/i);
  }
  expect(stores[0].size).toBeGreaterThan(2);
  expect(stores[0]).toEqual(stores[1]);
});

it("says which headers a page without shared memory lacks", async () => {
  vi.stubGlobal("crossOriginIsolated", false);
  await expect(page.openWriter(options())).rejects.toMatchObject({
    code: "BACKEND_UNAVAILABLE",
    hint: expect.stringMatching(/Cross-Origin-Opener-Policy: same-origin.*Cross-Origin-Embedder-Policy: require-corp/),
  });
  vi.stubGlobal("crossOriginIsolated", undefined);
  vi.stubGlobal("SharedArrayBuffer", undefined);
  await expect(page.openWriter(options())).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
});

it("refuses workers and libzstd", async () => {
  await expect(page.openWriter({ ...options(), threads: "workers" })).rejects.toMatchObject({
    code: "INVALID_OPTION",
    context: { option: "threads" },
  });
  await expect(page.openWriter({ ...options(), mode: "resume" })).rejects.toMatchObject({
    code: "INVALID_OPTION",
    context: { option: "mode" },
  });
  await expect(page.openWriter(options({ codec: "zstd:3" }))).rejects.toMatchObject({ code: "CODEC_UNAVAILABLE" });
});

it("takes cores and memory from the browser, and plans without threads", () => {
  vi.stubGlobal("navigator", { hardwareConcurrency: 6, deviceMemory: 2 });
  const plan = page.estimateMemory(options());
  expect(plan).toEqual(
    node.estimateMemory({ ...options(), threads: "inline", encodeThreads: 6, memoryBudgetBytes: 2 ** 30 }),
  );
  vi.stubGlobal("navigator", undefined);
  expect(page.estimateMemory(options()).totalBytes).toBeLessThanOrEqual(plan.totalBytes);
});
