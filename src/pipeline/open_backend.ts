import { loadAddon } from "../native/binding.js";
import type { OpenBackend } from "./engine.js";
import { openCpuBackend } from "./open_cpu_backend.js";

/** The backend of this process. The CPU's, until there is another. */
export const openBackend: OpenBackend = async (init, counters) => openCpuBackend(init, counters, loadAddon());
