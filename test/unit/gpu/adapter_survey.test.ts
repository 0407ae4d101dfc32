import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { surveyAdapters } from "../../../src/gpu/adapter_survey.js";
import type { GpuHost } from "../../../src/gpu/gpu_host.js";
import { KERNEL_LIMITS, KERNELS } from "../../../src/gpu/kernels.js";

const LIMITS = {
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupsPerDimension: 65535,
};

interface FakeAdapter {
  readonly device: string;
  readonly limits?: object;
  readonly isFallback?: boolean;
  readonly refuses?: boolean;
}

/** WebGPU that gives the named adapter for each kind of request. */
function hostOf(given: Readonly<Record<"high-performance" | "low-power" | "fallback", FakeAdapter | null>>): GpuHost {
  const requestAdapter = async (request: GPURequestAdapterOptions = {}) => {
    const adapter = given[request.forceFallbackAdapter ? "fallback" : (request.powerPreference ?? "low-power")];
    if (adapter === null) return null;
    const { device, limits, isFallback = false, refuses = false } = adapter;
    return {
      info: { vendor: "maker", architecture: "", device, description: "", isFallbackAdapter: isFallback },
      features: new Set(["b", "a"]),
      limits: { ...LIMITS, ...limits },
      async requestDevice() {
        if (refuses) throw new Error("busy");
        return { limits: LIMITS, destroy() {}, lost: Promise.resolve() };
      },
    };
  };
  return { gpu: async () => ({ requestAdapter }) as unknown as GPU, kernelText: async () => "" };
}

it("lists every adapter once, and says which one streams take", async () => {
  const big = { device: "big" };
  const found = await surveyAdapters(
    hostOf({
      "high-performance": big,
      "low-power": { device: "small" },
      fallback: { device: "cpu", isFallback: true },
    }),
  );
  expect(found).toMatchObject([
    { name: "big, maker", isAskedFor: true, isTaken: true, software: false, features: ["a", "b"] },
    { name: "small, maker", isAskedFor: false, isTaken: false },
    { name: "cpu, maker", isAskedFor: false, isTaken: false, software: true },
  ]);
  expect(await surveyAdapters(hostOf({ "high-performance": big, "low-power": big, fallback: big }))).toHaveLength(1);
  expect(await surveyAdapters(hostOf({ "high-performance": null, "low-power": null, fallback: null }))).toEqual([]);
});

it("takes no adapter that is too small or gives no device", async () => {
  const found = await surveyAdapters(
    hostOf({
      "high-performance": { device: "big", refuses: true },
      "low-power": { device: "small", limits: { maxComputeWorkgroupStorageSize: 16383 } },
      fallback: null,
    }),
  );
  expect(found).toMatchObject([
    { isTaken: false, tooSmall: [], deviceError: expect.stringContaining("busy") },
    {
      isTaken: false,
      tooSmall: [{ limit: "maxComputeWorkgroupStorageSize", needed: 16384, granted: 16383 }],
      deviceError: null,
    },
  ]);
});

/** Bytes of `var<workgroup>` in a kernel, each variable at the end of a multiple of 16. */
function workgroupBytes(text: string): number {
  const constants = new Map([...text.matchAll(/^const (\w+) = (\d+)u;/gm)].map(([, name, value]) => [name, +value]));
  const sizes = [...text.matchAll(/^var<workgroup> \w+: (.+);$/gm)].map(([, type]) => {
    const [, element, count] = /^array<(.+), (\w+)>$/.exec(type) ?? [undefined, type, "1"];
    const elementBytes = { u32: 4, "atomic<u32>": 4, "vec2<u32>": 8, "vec4<u32>": 16 }[element];
    const elements = constants.get(count) ?? Number(count);
    if (elementBytes === undefined || Number.isNaN(elements)) throw new Error(`what size is ${type}?`);
    return Math.ceil((elementBytes * elements) / 16) * 16;
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

it("knows what the kernels need", () => {
  const text = (name: string): string =>
    readFileSync(new URL(`../../../src/gpu/kernels/${name}.wgsl`, import.meta.url), "utf8");
  const common = text("common");
  for (const name of KERNELS) {
    const whole = `${common}\n${text(name)}`;
    expect(workgroupBytes(whole)).toBeLessThanOrEqual(KERNEL_LIMITS.maxComputeWorkgroupStorageSize);
    const [, threads] = /@workgroup_size\((\w+)\)/.exec(whole) ?? [];
    expect(["THREADS", "64"]).toContain(threads);
    expect([...whole.matchAll(/var<storage/g)].length).toBeLessThanOrEqual(
      KERNEL_LIMITS.maxStorageBuffersPerShaderStage,
    );
  }
  expect(common).toContain(`const THREADS = ${KERNEL_LIMITS.maxComputeInvocationsPerWorkgroup}u;`);
  expect(workgroupBytes(`${common}\n${text("runs")}`)).toBeGreaterThan(8192);
});
