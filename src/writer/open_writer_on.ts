import { MillraceError } from "../base/errors.js";
import type { WriterOptions } from "../options.js";
import { checkWriterOptions } from "../options_check.js";
import { ArrayWriter } from "./array_writer.js";
import { planStream } from "./estimate_memory.js";
import type { Platform } from "./platform.js";

/** `openWriter` of each platform; its contract is there. */
export async function openWriterOn(platform: Platform, options: WriterOptions): Promise<ArrayWriter> {
  const machine = platform.machine();
  const checked = checkWriterOptions(options, machine);
  if (checked.backend === "gpu") {
    throw new MillraceError("BACKEND_UNAVAILABLE", 'backend "gpu" is not part of this version.', {
      context: { option: "backend" },
      hint: 'Use backend "cpu" or "auto".',
    });
  }
  if (options.signal?.aborted) {
    throw new MillraceError("WRITER_ABORTED", "the signal was aborted before the writer opened.", {
      context: { option: "signal" },
      cause: options.signal.reason,
    });
  }
  const plan = planStream(checked, options.sink, machine.addon);
  await platform.requireFor(checked);
  return ArrayWriter.start(platform, checked, options, plan);
}
