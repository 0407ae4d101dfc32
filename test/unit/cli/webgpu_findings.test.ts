import { expect, it } from "vitest";
import { webgpuFindings } from "../../../src/cli/webgpu_findings.js";

const ADAPTER = {
  name: "card, maker, driver 1",
  vendor: "maker",
  architecture: "arch",
  device: "card",
  description: "driver 1",
  software: false,
  features: ["timestamp-query"],
  limits: { maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: 2 ** 30, maxComputeWorkgroupStorageSize: 8192 },
  isAskedFor: true,
  tooSmall: [],
  deviceError: null,
  isTaken: true,
};

function findings(report: object, platform: NodeJS.Platform = "linux") {
  return webgpuFindings("9.8.7", { adapters: [], error: null, printed: "", ...report }, platform);
}

it.each([
  ["takes a card", {}, "ok", /: taken by backend auto and gpu$/],
  ["does not take software", { software: true }, "slower", /software, not taken unless allowSoftwareAdapter/],
  ["leaves a card that WebGPU ranks behind", { isAskedFor: false }, "ok", /not taken, since WebGPU names another/],
  ["hands on why there is no device", { deviceError: "it is busy" }, "absent", /not taken, it is busy/],
])("%s", (_, over, state, detail) => {
  const [installed, gpu] = findings({ adapters: [{ ...ADAPTER, ...over }] });
  expect(installed).toMatchObject({ name: "webgpu", state: "ok", detail: "package 9.8.7" });
  expect(gpu).toMatchObject({ name: "GPU", state, detail, adapter: { name: "card, maker, driver 1" } });
});

it("marks limits that are too small, and says what is needed", () => {
  const tooSmall = [{ limit: "maxComputeWorkgroupStorageSize", needed: 16384, granted: 8192 }];
  const [, gpu] = findings({ adapters: [{ ...ADAPTER, tooSmall }] });
  expect(gpu).toMatchObject({ state: "absent", detail: expect.stringMatching(/not taken, it is too small/) });
  expect(gpu.more).toEqual([
    "vendor maker, architecture arch, device card, driver driver 1",
    "maxBufferSize 1073741824 (1.07 GB)",
    "maxStorageBufferBindingSize 1073741824 (1.07 GB)",
    "maxComputeWorkgroupStorageSize 8192 (8.19 kB): TOO SMALL, the kernels need 16384",
    "features: timestamp-query yes, subgroups no",
  ]);
});

it("finds the reason for no adapter in what WebGPU printed", () => {
  const printed = "Warning: Couldn't load Vulkan: libvulkan.so.1: no such file\n    at operator()\n";
  expect(findings({ printed })[1]).toMatchObject({
    state: "absent",
    detail: "no adapter, so the CPU encodes: Couldn't load Vulkan: libvulkan.so.1: no such file",
    fix: expect.stringContaining("libvulkan1"),
  });
  expect(findings({}, "darwin")[1]).toMatchObject({
    detail: "no adapter, so the CPU encodes",
    fix: expect.stringMatching(/driver/),
  });
});

it("tells of a package that does not load, and of a driver that ends the process", () => {
  const [only, ...others] = findings({ error: "looking for adapters failed: the process ended by SIGSEGV." });
  expect(only).toMatchObject({
    name: "webgpu",
    state: "absent",
    detail: expect.stringMatching(/SIGSEGV/),
    fix: expect.stringMatching(/driver/),
  });
  expect(others).toEqual([]);
});
