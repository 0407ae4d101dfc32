import type { AdaptersReport } from "./adapters.js";
import type { Finding } from "./finding.js";
import { formatBytes } from "./numbers.js";

type Adapter = AdaptersReport["adapters"][number];

/** Shown as bytes; other limits are counts. */
const BYTE_LIMITS = ["maxBufferSize", "maxStorageBufferBindingSize", "maxComputeWorkgroupStorageSize"];
/** Dispatches use a second dimension where one is too short, so no smaller value would stop Millrace. */
const NOT_SHOWN = ["maxComputeWorkgroupsPerDimension"];

/**
 * What doctor says about WebGPU: a line on the package, and one on each adapter or on having none.
 * @param version of the package webgpu; undefined where it is not installed, and then nothing else is known
 */
export function webgpuFindings(
  version: string | undefined,
  report: AdaptersReport,
  platform: NodeJS.Platform,
): Finding[] {
  if (version === undefined) {
    return [
      {
        name: "webgpu",
        state: "absent",
        detail: "package not installed, so the CPU encodes",
        fix: "npm install webgpu, beside millrace. Needed for a GPU only.",
      },
    ];
  }
  if (report.error !== null) {
    const detail = `package ${version} finds no GPU: ${report.error}`;
    const fix = "Look at the GPU's driver, or install the package anew for this platform: npm install webgpu.";
    return [{ name: "webgpu", state: "absent", detail, fix }];
  }
  const installed: Finding = { name: "webgpu", state: "ok", detail: `package ${version}` };
  if (report.adapters.length > 0) return [installed, ...report.adapters.map(adapterFinding)];
  const reason = /^Warning: (.+)/m.exec(report.printed)?.[1];
  const none: Finding = {
    name: "GPU",
    state: "absent",
    detail: `no adapter, so the CPU encodes${reason === undefined ? "" : `: ${reason.trim()}`}`,
    fix:
      platform === "linux"
        ? "Install the GPU's driver with its Vulkan part, and Vulkan's loader: libvulkan1 on Debian and Ubuntu, " +
          "vulkan-loader on Fedora."
        : "Install the GPU's driver.",
  };
  return [installed, none];
}

function adapterFinding(adapter: Adapter): Finding {
  const { tooSmall } = adapter;
  const limits = Object.entries(adapter.limits)
    .filter(([name]) => !NOT_SHOWN.includes(name))
    .map(([name, value]) => {
      const short = tooSmall.find(({ limit }) => limit === name);
      const text = `${name} ${BYTE_LIMITS.includes(name) ? `${value} (${formatBytes(value)})` : value}`;
      return short === undefined ? text : `${text}: TOO SMALL, the kernels need ${short.needed}`;
    });
  const has = (feature: string): string => `${feature} ${adapter.features.includes(feature) ? "yes" : "no"}`;
  const known = [
    ["vendor", adapter.vendor],
    ["architecture", adapter.architecture],
    ["device", adapter.device],
    ["driver", adapter.description],
  ].filter(([, value]) => value !== "");
  return {
    name: "GPU",
    ...verdictOn(adapter),
    more: [
      known.map(([name, value]) => `${name} ${value}`).join(", "),
      ...limits,
      // Neither changes what is written. The first lets `bench:gpu` time kernels.
      `features: ${has("timestamp-query")}, ${has("subgroups")}`,
    ],
    adapter,
  };
}

function verdictOn({ name, software, tooSmall, deviceError, isAskedFor }: Adapter): Pick<Finding, "state" | "detail"> {
  if (tooSmall.length > 0) return { state: "absent", detail: `${name}: not taken, it is too small for the kernels` };
  if (deviceError !== null) return { state: "absent", detail: `${name}: not taken, ${deviceError}` };
  if (software) {
    return { state: "slower", detail: `${name}: software, not taken unless allowSoftwareAdapter says so, for tests` };
  }
  if (!isAskedFor)
    return { state: "ok", detail: `${name}: not taken, since WebGPU names another for high performance` };
  return { state: "ok", detail: `${name}: taken by backend auto and gpu` };
}
