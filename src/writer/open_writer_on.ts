import { isMillraceError, MillraceError } from "../base/errors.js";
import { encoderKind } from "../codec/codec.js";
import { findAdapter, type GpuAdapterInfo } from "../gpu/adapter.js";
import type { WriterOptions } from "../options.js";
import { type CheckedOptions, checkWriterOptions } from "../options_check.js";
import type { MemoryPlan } from "../plan/memory_plan.js";
import type { ResumePoint } from "../resume/resume_point.js";
import { ArrayWriter } from "./array_writer.js";
import { planStream } from "./estimate_memory.js";
import { openingAborted, whileOpening } from "./opening.js";
import type { Platform } from "./platform.js";

/** `openWriter` of each platform; its contract is there. */
export async function openWriterOn(platform: Platform, options: WriterOptions): Promise<ArrayWriter> {
  const machine = platform.machine();
  const given = checkWriterOptions(options, machine);
  const { signal } = options;
  if (signal?.aborted) throw openingAborted(signal, "before the writer opened");
  const start = async (checked: CheckedOptions, resume: ResumePoint | undefined): Promise<ArrayWriter> => {
    const plan = await whileOpening(planOn(platform, checked, options, machine.addon), signal);
    await whileOpening(platform.requireFor(checked), signal);
    return await ArrayWriter.start(platform, checked, options, plan, resume);
  };
  if (given.mode !== "resume") return await start(given, undefined);
  if (platform.resumePoint === undefined) {
    throw new MillraceError("INVALID_OPTION", 'mode "resume" reads the store, which a web page cannot.', {
      context: { option: "mode" },
      hint: 'Resume in Node, or use mode "create" or "overwrite".',
    });
  }
  // Ends by itself at the signal: what it has opened is closed then.
  const resume = await platform.resumePoint(options);
  try {
    return await start(resume.checked, resume);
  } finally {
    await resume[Symbol.asyncDispose]();
  }
}

/** Looks for a GPU where one is asked for or welcome, since slots are laid out for it, and plans the stream. */
async function planOn(
  platform: Platform,
  checked: CheckedOptions,
  options: WriterOptions,
  addon: boolean,
): Promise<MemoryPlan> {
  const { backend, codec, allowSoftwareAdapter } = checked;
  // libzstd runs on the CPU; asking for it on a GPU was refused before.
  if (backend === "cpu" || encoderKind(codec) === "libzstd") return planStream(checked, options.sink, addon);
  const forCpu = (error: unknown): MemoryPlan => {
    // A GPU takes host memory too; a budget that is too small for it may do for the CPU.
    const withoutGpu =
      isMillraceError(error, "BACKEND_UNAVAILABLE") || isMillraceError(error, "MEMORY_BUDGET_EXCEEDED");
    if (backend === "gpu" || !withoutGpu) throw error;
    return planStream(checked, options.sink, addon);
  };
  let info: GpuAdapterInfo;
  try {
    const host = await platform.gpuHost();
    if (backend === "auto" && (await host.mayHaveGpu?.()) === false) return planStream(checked, options.sink, addon);
    info = (await findAdapter(host, backend === "gpu" && allowSoftwareAdapter)).info;
  } catch (error) {
    return forCpu(error);
  }
  try {
    return planStream(checked, options.sink, addon, info);
  } catch (error) {
    // There is a GPU, so its owner will wonder why it is idle.
    const plan = forCpu(error);
    const reductions = [...plan.reductions, `No GPU, the CPU encodes: ${(error as Error).message}`];
    return Object.freeze({ ...plan, reductions: Object.freeze(reductions) });
  }
}
