import { assert } from "../base/assert.js";
import type { GpuLayout } from "../plan/gpu_layout.js";
import type { GpuHost } from "./gpu_host.js";

/** The kernels in the order in which a batch goes through them. */
export const KERNELS = [
  "gather",
  "period",
  "runs",
  "codes",
  "sequences",
  "literals",
  "sizes",
  "offsets",
  "compact",
] as const;
export type KernelName = (typeof KERNELS)[number];

/** Buffers by binding; the same for every kernel. 0 is the uniform block, 1 and 2 are read-only. */
export const BINDINGS = ["params", "tables", "input", "planes", "work", "blocks", "payload", "output"] as const;
export type BindingName = (typeof BINDINGS)[number];

/**
 * What one kernel needs of a device at most. WebGPU promises as much of every device; a test adds up what the kernels
 * use.
 */
export const KERNEL_LIMITS = {
  maxStorageBuffersPerShaderStage: BINDINGS.length - 1,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
} as const;

/** Members of `struct Params` in common.wgsl, in order; a test compares the two. */
export const PARAM_NAMES = [
  "itemBytes",
  "codec",
  "chunkBytes",
  "chunkElements",
  "chunkStride",
  "chunksPerEpoch",
  "epochCount",
  "epochBytes",
  "epochRows",
  "lastEpochRows",
  "taskCount",
  "blocksPerChunk",
  "framesPerChunk",
  "rank",
  "fillLow",
  "fillHigh",
  "periodsAt",
  "framesAt",
  "chunksAt",
  "masksAt",
  "maskWords",
  "prefixesAt",
  "prefixWords",
  "codesAt",
  "sequencesAt",
  "sequenceWords",
  "statesAt",
  "stateWords",
  "cellsMax",
  "payloadWords",
  "dimsAt",
  "chunkTableAt",
  "chunkTableWords",
  "skippedAt",
  "dataAt",
  "gatherGroups",
  "periodGroups",
  "generation",
] as const;
export type KernelParams = Readonly<Record<(typeof PARAM_NAMES)[number], number>>;

/** A uniform block is whole vectors. */
export const PARAMS_BYTES = Math.ceil(PARAM_NAMES.length / 4) * 16;

export function paramWords(params: KernelParams): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(PARAMS_BYTES / 4);
  PARAM_NAMES.forEach((name, i) => {
    words[i] = params[name];
    assert(words[i] === params[name], "a kernel parameter is a u32", { name, value: params[name] });
  });
  return words;
}

/** Of common.wgsl: the x of dispatches that need a second dimension. */
const GROUPS_X = 4096;

/** Workgroups of a dispatch over that many flat indices. */
export function dispatchSize(groups: number): readonly [number, number] {
  return groups <= GROUPS_X ? [groups, 1] : [GROUPS_X, Math.ceil(groups / GROUPS_X)];
}

/** Which kernels a batch of so many chunks runs, and over how many workgroups. */
export function kernelPlan(
  layout: GpuLayout,
  taskCount: number,
): { readonly name: KernelName; readonly groups: number }[] {
  const blocks = taskCount * layout.blocksPerChunk;
  const groups: Record<KernelName, number> = {
    gather: taskCount * layout.gatherGroups,
    period: taskCount * layout.periodGroups,
    runs: blocks,
    codes: blocks,
    sequences: Math.ceil(blocks / 64),
    literals: blocks,
    sizes: taskCount,
    offsets: 1,
    compact: blocks,
  };
  const encodes = layout.codec !== 0;
  const always: readonly KernelName[] = ["gather", "offsets", "compact"];
  return KERNELS.filter((name) => encodes || always.includes(name)).map((name) => ({ name, groups: groups[name] }));
}

/** The text of a kernel as it is compiled: the shared part, then its own. */
export async function kernelSource(name: KernelName, host: GpuHost): Promise<string> {
  const [common, own] = await Promise.all([host.kernelText("common"), host.kernelText(name)]);
  return `${common}\n${own}`;
}
