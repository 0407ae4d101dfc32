import { codecProvider } from "../codec/open_encoder.js";
import { addonWarning, loadAddon } from "../native/binding.js";
import { startWorkers } from "../pipeline/start_workers.js";
import { thisMachine } from "./machine.js";
import type { Platform } from "./platform.js";

export const nodePlatform: Platform = {
  machine: thisMachine,
  addon: loadAddon,
  gpuHost: async () => (await import("../gpu/node_gpu.js")).nodeGpu,
  warnings() {
    const warning = addonWarning();
    return warning === undefined ? [] : [warning];
  },
  async requireFor({ codec }) {
    // A codec that is missing here is missing on every thread.
    await codecProvider(codec, undefined);
  },
  async resumePoint(options) {
    // Most writers read no store.
    const { findResumePoint } = await import("../resume/resume_point.js");
    return await findResumePoint(options, thisMachine());
  },
  async startThreads(threads, init, onLost) {
    if (threads === "workers") return startWorkers(init, onLost);
    // Loaded only here: with workers, the caller's thread never loads a backend or a sink.
    const [{ startInline }, { openBackend }] = await Promise.all([
      import("../pipeline/start_inline.js"),
      import("../pipeline/open_backend.js"),
    ]);
    return startInline(init, openBackend);
  },
};
