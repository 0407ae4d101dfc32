/**
 * A page in a real browser loads dist/browser.js as it is, without a bundler, and writes the bytes that Node writes.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { beforeAll, beforeEach, expect, it, vi } from "vitest";
import * as node from "../../src/index.js";
import { PATIENCE_MS } from "../helpers/patience.js";
import { type Chromium, findChromium } from "./chromium.js";
import type { run as runGpu } from "./pages/gpu.js";
import type { run } from "./pages/stream.js";
import { writeAll } from "./pages/stream.js";
import { runPage } from "./run_page.js";

const CODECS = ["blosc", "none", "zstd"];

let found: Chromium | string;

beforeAll(async () => {
  found = await findChromium();
});

beforeEach((context) => {
  if (typeof found === "string") context.skip(found);
});

const chromium = (): Chromium => found as Chromium;

/** Command lines of running processes that name `text`. */
function processesNaming(text: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return line.includes(text) ? [line] : [];
      } catch {
        // Ended meanwhile.
        return [];
      }
    });
}

it("streams into the same objects with the same bytes as Node", async () => {
  const { value, requests, browser } = await runPage<Awaited<ReturnType<typeof run>>>(chromium(), "stream.js", {
    codecs: CODECS,
  });
  const expected = await writeAll(node, CODECS);
  for (const codec of CODECS) {
    expect(Object.keys(value.stores[codec].objects)).toHaveLength(25);
    expect(value.stores[codec].objects).toEqual(expected[codec].objects);
    expect(value.stores[codec].watermarks).toEqual(expected[codec].watermarks);
    expect(value.stores[codec].adapter).toMatch(/^inline /);
  }
  expect(value.discarded.watermarks).toEqual(expected.blosc.watermarks);
  expect(value.ownSink).toEqual(expected.blosc.objects);
  expect(value.inWorker).toEqual(value.stores);
  expect(value.refused).toEqual({
    workers: "INVALID_OPTION",
    libzstd: "CODEC_UNAVAILABLE",
    gpu: "BACKEND_UNAVAILABLE",
  });
  const waiting = [
    "producer STAGING_FREE",
    "engine JOIN_BEFORE_REFILL",
    "delivery DELIVER_OLDEST_FIRST",
    "delivery OUTPUT_RELEASED",
  ];
  expect(value.stalled).toEqual({
    close: { waiting, written: "written", left: [], accepted: 13 },
    abort: { waiting, early: "WRITER_ABORTED", written: "WRITER_ABORTED", left: [], accepted: expect.any(Number) },
  });
  expect(requests).toContain("/dist/writer/array_writer.js");
  expect(requests).not.toContain("/dist/native/binding.js");

  expect(existsSync(browser.folder)).toBe(false);
  await vi.waitFor(() => expect(processesNaming(browser.folder)).toEqual([]), 5000);
});

it("says which headers a page lacks that is not cross-origin isolated", async () => {
  const { value } = await runPage(chromium(), "not_isolated.js", {}, { isolated: false });
  expect(value).toMatchObject({ isolated: false, known: true, code: "BACKEND_UNAVAILABLE" });
  expect(value).toMatchObject({ hint: expect.stringContaining("Cross-Origin-Opener-Policy: same-origin") });
  expect(value).toMatchObject({ hint: expect.stringContaining("Cross-Origin-Embedder-Policy: require-corp") });
});

it("streams on the page's WebGPU into the same objects, and takes the CPU where it is only software", async () => {
  const params = { codecs: CODECS };
  const options = { timeoutMs: PATIENCE_MS };
  const { value, requests } = await runPage<Awaited<ReturnType<typeof runGpu>>>(chromium(), "gpu.js", params, options);
  expect(value.adapter).toEqual({ vendor: "google", architecture: "swiftshader" });
  const expected = await writeAll(node, CODECS, { backend: "cpu" });
  for (const codec of CODECS) {
    const { chunksByRoute, ...said } = value.stores[codec];
    const { cpu: chunks } = expected[codec].chunksByRoute;
    expect(chunks).toBeGreaterThan(0);
    expect(chunksByRoute).toEqual({ cpu: 0, gpu: chunks });
    expect(said).toMatchObject({ backend: "gpu", adapter: expect.stringMatching(/swiftshader/i) });
    expect(said.objects).toEqual(expected[codec].objects);
    expect(said.watermarks).toEqual(expected[codec].watermarks);
  }
  expect(value.auto).toMatchObject({ backend: "cpu", chunksByRoute: { gpu: 0 } });
  expect(value.inWorker).toEqual({ none: value.stores.none });
  // Once for the streams of the page, which share a device; the worker needs fewer, and has its own.
  const fetched = (kernel: string): number =>
    requests.filter((path) => path === `/dist/gpu/kernels/${kernel}.wgsl`).length;
  expect([fetched("codes"), fetched("gather")]).toEqual([1, 2]);
});

it("hands on what fails in a page, and does not wait for ever", async () => {
  await expect(runPage(chromium(), "missing.js")).rejects.toThrow(/pages\/missing\.js: TypeError/);
  await expect(runPage(chromium(), "silent.js", {}, { timeoutMs: 3000 })).rejects.toThrow(/took more than 3000 ms/);
});
