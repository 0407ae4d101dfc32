import type { MillraceError } from "../base/errors.js";
import type { GpuHost } from "../gpu/gpu_host.js";
import type { NativeAddon } from "../native/addon.js";
import type { WriterOptions } from "../options.js";
import type { CheckedOptions, Machine } from "../options_check.js";
import type { StreamThreads, StreamThreadsInit } from "../pipeline/stream_threads.js";
import type { ResumePoint } from "../resume/resume_point.js";

/** What a writer takes from where it runs, Node or a web page, so that neither loads what only the other has. */
export interface Platform {
  machine(): Machine;
  /** The native addon, where it is there. */
  addon(): NativeAddon | undefined;
  /** Where WebGPU comes from. Loads nothing yet. */
  gpuHost(): Promise<GpuHost>;
  /** What users should know, once each. */
  warnings(): readonly string[];
  /** Rejects where such a stream cannot run here, before anything is allocated or created. */
  requireFor(checked: CheckedOptions): Promise<void>;
  /**
   * Mode "resume": finds out where the stream goes on, or rejects. Changes nothing in the store. Absent: no store can
   * be read here.
   */
  resumePoint?(options: WriterOptions): Promise<ResumePoint>;
  /** `onLost` hears of a thread that ends without having been asked to. */
  startThreads(
    threads: CheckedOptions["threads"],
    init: StreamThreadsInit,
    onLost: (error: MillraceError) => void,
  ): Promise<StreamThreads>;
}
