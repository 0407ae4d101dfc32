import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ERROR_CODES } from "../src/base/errors.js";
import {
  GPU_BATCH_BLOCKS_MAX,
  GPU_BATCH_BYTES_TARGET,
  SOFTWARE_BATCH_BLOCKS_MAX,
  SOFTWARE_BATCH_BYTES_TARGET,
} from "../src/base/limits.js";
import { describeGeometry } from "../src/geometry/array_geometry.js";
import { KERNEL_LIMITS, KERNELS, kernelPlan } from "../src/gpu/kernels.js";
import { ORDERING_COUNTED_RULES } from "../src/metrics/counted_rules.js";
import { adviseLayout } from "../src/plan/advise_layout.js";
import { gpuLayout, gpuMemory } from "../src/plan/gpu_layout.js";
import { ORDERING_RULE_NAMES, ORDERING_RULES } from "../src/slots/ordering.js";
import { DEFECT_CODES, NOTE_CODES, WARNING_CODES } from "../src/store/verify_report.js";
import { SMALL, SMALL_FAULTS, WIDE, WIDE_FAULTS } from "./model/configurations.js";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

/** First column of the rows of a Markdown table, where it is `CODE` or CODE. */
function firstColumn(markdown: string): string[] {
  return [...markdown.matchAll(/^\| `?([A-Z][A-Z0-9_]+)`? \|/gm)].map((match) => match[1]);
}

it("docs/errors.md lists every code with its meaning", () => {
  const page = read("docs/errors.md");
  expect(firstColumn(page).sort()).toEqual(Object.keys(ERROR_CODES).sort());
  for (const [code, meaning] of Object.entries(ERROR_CODES)) expect(page).toContain(`| \`${code}\` | ${meaning} |`);
});

it("docs/verify.md lists every code with its meaning, by severity", () => {
  const page = read("docs/verify.md");
  const tables = page.split("| code | meaning |").slice(1);
  for (const [i, codes] of [DEFECT_CODES, WARNING_CODES, NOTE_CODES].entries()) {
    const rows = [...tables[i].split("\n\n")[0].matchAll(/^\| `([A-Z_]+)` \| (.*) \|$/gm)];
    expect(rows.map(([, code, meaning]) => [code, meaning])).toEqual(Object.entries(codes));
  }
  expect(tables).toHaveLength(3);
});

it("docs/ordering.md lists every rule as the code has it", () => {
  const page = read("docs/ordering.md");
  expect(firstColumn(page)).toEqual(ORDERING_RULE_NAMES);
  for (const [name, { producer, consumer, guards }] of Object.entries(ORDERING_RULES)) {
    expect(page).toContain(`| ${name} | ${producer} → ${consumer} | ${guards} |`);
  }
});

it("docs/ordering.md lists the calls on the outside world that have a test, and no others", () => {
  const table = read("docs/ordering.md").split("| call |")[1].split("\n\n")[0];
  const documented = [...table.matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map(([, id]) => id);
  const files = [
    "test/fault/outside_calls.test.ts",
    "test/fault/many_shards.test.ts",
    "test/fault/stalls.test.ts",
    "test/fault/sources.test.ts",
    "test/fault/cli_stall.test.ts",
    "test/gpu/silent_device.test.ts",
    "test/unit/s3/sdk_get.test.ts",
  ];
  const tested = files.flatMap((file) => [...read(file).matchAll(/"\[([a-z0-9-]+)\] /g)].map(([, id]) => id));
  expect([...new Set(tested)].sort()).toEqual([...documented].sort());
});

it("docs/ordering.md lists every configuration whose interleavings are explored", () => {
  const table = read("docs/ordering.md").split("| configuration |")[1].split("\n\n")[0];
  const names = [...table.matchAll(/^\| ([^|*]+) \| [\d,]+ \|/gm)].map(([, name]) => name);
  expect(names).toEqual([...SMALL, ...SMALL_FAULTS, ...WIDE, ...WIDE_FAULTS].map(({ name }) => name));
});

it("docs/gpu.md has the kernels, limits and sizes that the code has", () => {
  const page = read("docs/gpu.md").replace(/\s+/g, " ");
  const number = (value: number): string => value.toLocaleString("en-US");
  const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
  expect([...read("docs/gpu.md").matchAll(/^\| `([a-z]+)` \| (?:a|the|256|64) /gm)].map(([, name]) => name)).toEqual([
    ...KERNELS,
  ]);
  for (const name of KERNELS) expect(() => read(`src/gpu/kernels/${name}.wgsl`)).not.toThrow();
  const { maxStorageBuffersPerShaderStage, maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } =
    KERNEL_LIMITS;
  expect(page).toContain(
    `${maxStorageBuffersPerShaderStage} storage buffers beside one uniform block, ` +
      `${number(maxComputeWorkgroupStorageSize)} bytes of workgroup memory, ` +
      `${maxComputeInvocationsPerWorkgroup} invocations`,
  );
  expect(page).toContain(
    `chosen for ${mib(GPU_BATCH_BYTES_TARGET)} of raw data and at most ${number(GPU_BATCH_BLOCKS_MAX)} zstd blocks ` +
      `(for a software adapter ${SOFTWARE_BATCH_BYTES_TARGET / 2 ** 20} MiB and ${SOFTWARE_BATCH_BLOCKS_MAX})`,
  );
  const mebibyteChunks = describeGeometry("uint16", [{ name: "t", size: null, chunk: 2 ** 19, shard: 2 ** 20 }]);
  const onDevice = (["none", "blosc"] as const).map((name) => {
    const layout = gpuLayout(mebibyteChunks, { name }, GPU_BATCH_BYTES_TARGET / 2 ** 20);
    if (name === "none") {
      const used = kernelPlan(layout, 1).map((kernel) => `\`${kernel.name}\``);
      expect(page).toContain(`For codec none ${used[0]}, ${used[1]} and ${used[2]} do it.`);
    }
    return gpuMemory(layout, 3, 2).deviceBytes;
  });
  const batches = onDevice.map((bytes) => (bytes / GPU_BATCH_BYTES_TARGET).toFixed(1));
  expect(page).toContain(
    `${batches[0]} and ${batches[1]} batches on the device with the defaults: ` +
      `${mib(onDevice[0]).replace(" MiB", "")} and ${mib(onDevice[1])} of device memory`,
  );
});

it("the guide's layouts are those that are advised", () => {
  const rows = [
    ...read("docs/guide.md").matchAll(/^\| (\d[\d ×]*)(?:, [a-z ]+)? \| ([\d ×]+) \| ([\d ×]+) \| (\d+) MiB \|$/gm),
  ];
  expect(rows.length).toBe(5);
  for (const [, inner, chunk, shard, memory] of rows) {
    const sizes = [null, ...inner.split("×").map(Number)];
    const dimensions = sizes.map((size, d) => ({ name: `d${d}`, size }));
    const advice = adviseLayout({ dtype: "uint16", dimensions });
    expect(advice.dimensions.map((d) => d.chunk).join(" × ")).toBe(chunk);
    expect(advice.dimensions.map((d) => d.shard).join(" × ")).toBe(shard);
    expect(Math.round(advice.memory.totalBytes / 2 ** 20)).toBe(Number(memory));
  }
});

it("metrics count waits under every rule", () => {
  expect(ORDERING_COUNTED_RULES.slice(0, -1)).toEqual(ORDERING_RULE_NAMES);
});

/** Files below src/, with their text. */
const sources = readdirSync(new URL("../src", import.meta.url), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => ({ path: path.replaceAll("\\", "/"), text: read(`src/${path}`) }));

/** What follows each `@throws` of a file, up to the next tag or the end of its comment, on one line. */
function throwsTags(text: string): string[] {
  return [...text.matchAll(/\/\*\*([\s\S]*?)\*\//g)].flatMap(([, comment]) => {
    const [, ...tags] = comment.replace(/\n\s*\*/g, "").split(/(?<!\{)(?=@[a-z]+ )/);
    return tags.flatMap((tag) => (tag.startsWith("@throws ") ? [tag.slice("@throws ".length).trim()] : []));
  });
}

/** Names in capitals; those of environment variables are not meant. */
const codesIn = (tag: string): string[] =>
  [...tag.matchAll(/\b([A-Z][A-Z0-9]*(_[A-Z0-9]+)+|INTERNAL)\b/g)]
    .map(([name]) => name)
    .filter((name) => !name.startsWith("MILLRACE_"));

it("reads the whole of every @throws", () => {
  const text = "/** A\n * @throws MillraceError ONE_CODE, or\n *   TWO_CODES\n * @returns c */ /** @throws D */";
  expect(throwsTags(text)).toEqual(["MillraceError ONE_CODE, or   TWO_CODES", "D"]);
  expect(codesIn(throwsTags(text)[0])).toEqual(["ONE_CODE", "TWO_CODES"]);
});

it("every code that a @throws names exists, and each names one or says whose errors it passes on", () => {
  const wrong: string[] = [];
  const named = new Map<string, number>();
  for (const { path, text } of sources) {
    for (const tag of throwsTags(text)) {
      const codes = codesIn(tag);
      named.set(path, (named.get(path) ?? 0) + codes.length);
      for (const code of codes) if (!(code in ERROR_CODES)) wrong.push(`${path}: there is no code ${code}`);
      if (codes.length === 0 && /^MillraceError\b(?! (as|what) )/.test(tag)) wrong.push(`${path}: no code in "${tag}"`);
    }
  }
  expect(wrong).toEqual([]);
  // Of each public face something was found.
  for (const path of [
    "writer/array_writer.ts",
    "writer/open_writer.ts",
    "writer/estimate.ts",
    "writer/page_writer.ts",
    "sinks/specs.ts",
    "sinks/s3_spec.ts",
    "store/s3_store.ts",
    "store/verify.ts",
    "recover/recover.ts",
  ]) {
    expect(named.get(path), path).toBeGreaterThan(0);
  }
});

it("every code of docs/errors.md is one that the code gives", () => {
  const elsewhere = sources.filter(({ path }) => path !== "base/errors.ts");
  const codes = firstColumn(read("docs/errors.md"));
  expect(codes.length).toBeGreaterThan(0);
  expect(codes.filter((code) => !elsewhere.some(({ text }) => text.includes(`"${code}"`)))).toEqual([]);
});
