/** Columns of the one table. */
const HEAD = ["", "cpu", "gpu", "gpu / cpu", "remarks"];
/** Limits that bound what a kernel may bind and launch. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
];

/** Of the features, those that a kernel or its timing could use; textures are not among them. */
const KERNEL_FEATURES = /subgroup|shader|timestamp|matrix|buffer/;

/**
 * The rows of the table from the report of bench/gpu.js, each five cells.
 * @returns {string[][]}
 */
export function rowsOf(report) {
  const { machine, adapter, hostCopy, kernels, scenarios, options } = report;
  const gigabytes = (machine.memoryBytes / 1e9).toFixed(0);
  return [
    [
      "machine",
      `${machine.cpu}, ${machine.cores} cores`,
      adapterName(adapter),
      "",
      `${gigabytes} GB, ${machine.platform} ${machine.kernel}, Node ${machine.node}, ` +
        `commit ${report.commit ?? "unknown"}`,
    ],
    ...adapterRows(adapter),
    ...(hostCopy.rows?.map(({ what, gbPerS }) => [`memory copy, ${what}`, gb(gbPerS), "", "", ""]) ?? [
      failedRow("memory copy", hostCopy.error),
    ]),
    ...kernelRows(kernels),
    ...scenarios.map((row) => scenarioRow(row)),
    [
      "measured",
      "",
      "",
      "",
      `${options.rounds} rounds of ${options.secondsPerRun} s, ${report.seconds.toFixed(0)} s in all; GB = 10^9 bytes`,
    ],
  ];
}

/** Markdown that also reads well in a terminal: cells are padded. */
export function formatTable(rows) {
  const all = [HEAD, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "/")));
  const widths = HEAD.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const line = (row) =>
    `| ${row.map((cell, column) => cell.padEnd(column === 4 ? 0 : widths[column])).join(" | ")} |\n`;
  const rule = `|${widths.map((width, column) => "-".repeat(column === 4 ? 9 : width + 2)).join("|")}|\n`;
  return line(all[0]) + rule + all.slice(1).map(line).join("");
}

function adapterName(adapter) {
  if (adapter.vendor === undefined) return "none";
  return [adapter.vendor, adapter.architecture, adapter.device].filter((part) => part).join(" ");
}

function adapterRows(adapter) {
  if (adapter.error !== undefined) return [failedRow("adapter", adapter.error)];
  if (adapter.absent !== undefined) return [["adapter", "", "none", "", adapter.absent]];
  const kind = adapter.isFallbackAdapter ? "software" : "hardware";
  const limits = LIMITS.map((name) => `${name} ${adapter.limits[name]}`).join(", ");
  return [
    ["adapter", "", kind, "", adapter.description || "the driver gives no description"],
    ["limits", "", "", "", limits],
    [
      "features",
      "",
      "",
      "",
      adapter.features.filter((name) => KERNEL_FEATURES.test(name)).join(", ") || "none for kernels",
    ],
  ];
}

function kernelRows(kernels) {
  if (kernels.absent !== undefined) return [["kernel timings", "", "", "", kernels.absent]];
  if (kernels.error !== undefined) return [failedRow("kernel timings", kernels.error)];
  const { rows, hashGpu, hashCpu, copyUpGbPerS, copyDownGbPerS } = kernels;
  const same = hashGpu === hashCpu;
  return [
    ["copy to the GPU", "", gb(copyUpGbPerS), "", ""],
    ["copy from the GPU", "", gb(copyDownGbPerS), "", ""],
    ...rows.map(({ kernel, gbPerS, ms }) => [
      `kernel ${kernel}`,
      "",
      gb(gbPerS),
      "",
      typeof ms === "number" ? `${ms.toFixed(3)} ms` : "",
    ]),
    ["output", hashCpu, hashGpu, same ? "same" : "DIFFERENT", same ? "" : "the GPU's bytes are not the CPU's"],
  ];
}

function scenarioRow({ scenario, codec, backends }) {
  const { cpu, gpu } = backends;
  const measured = Object.entries(backends).filter(([, { gbPerSecond }]) => gbPerSecond !== undefined);
  const each = (of) => measured.map(([name, backend]) => `${name} ${of(backend)}`).join(", ");
  const median = ({ runs }, of) => runs.map(of).sort((a, b) => a - b)[runs.length >> 1];
  const remarks = [];
  if (measured.length > 0) {
    remarks.push(`ratio ${each((backend) => median(backend, (run) => run.ratio).toFixed(2))}`);
    remarks.push(`CPU s per GB ${each((backend) => median(backend, (run) => run.cpuSecondsPerGb).toFixed(2))}`);
    remarks.push(`runs ${each(({ runs }) => runs.length)}`);
  }
  for (const [name, { error, laterError }] of Object.entries(backends)) {
    const said = error ?? laterError;
    if (said !== undefined) remarks.push(`${name}: ${said.message.replace(/\.$/, "")}`);
  }
  const both = cpu?.gbPerSecond !== undefined && gpu?.gbPerSecond !== undefined;
  return [
    `${scenario}, ${codec}`,
    backendCell(cpu),
    backendCell(gpu),
    both ? (gpu.gbPerSecond.median / cpu.gbPerSecond.median).toFixed(2) : "",
    remarks.join("; "),
  ];
}

function backendCell(backend) {
  if (backend === undefined) return "";
  const { error, gbPerSecond } = backend;
  if (gbPerSecond === undefined) return error?.code ?? "not run";
  const { median, min, max } = gbPerSecond;
  return `${gb(median)} (${min.toFixed(2)} – ${max.toFixed(2)})`;
}

function failedRow(what, error) {
  return [what, "", "", "", `${error?.code ?? "FAILED"}: ${error?.message ?? "no answer"}`];
}

function gb(value) {
  return typeof value === "number" ? `${value.toFixed(2)} GB/s` : "";
}
