import type { OpenBackend } from "./engine.js";
import { openCpuBackend } from "./open_cpu_backend.js";

/** The backend of a web page, which has no addon. */
export const openPageBackend: OpenBackend = (init, counters) => openCpuBackend(init, counters, undefined);
