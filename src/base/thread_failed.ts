import { MillraceError } from "./errors.js";

/**
 * THREAD_FAILED for a worker that did not start or ended on its own, with the cause in the message: few programs print
 * causes.
 *
 * @param what happened to which thread, without a full stop
 */
export function threadFailed(what: string, cause?: unknown): MillraceError {
  if (cause === undefined) return new MillraceError("THREAD_FAILED", `${what}.`);
  const text = cause instanceof Error ? cause.message : String(cause);
  const code = (cause as { code?: unknown } | null)?.code;
  return new MillraceError("THREAD_FAILED", `${what}: ${text.replace(/\.$/, "")}.`, {
    context: typeof code === "string" ? { code } : {},
    hint: hintFor(code, text),
    cause,
  });
}

function hintFor(code: unknown, text: string): string | undefined {
  if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND" || /^Cannot find module/.test(text)) {
    return (
      "Threads start from files of the package: in a bundled program mark millrace as external, " +
      "and keep it installed beside."
    );
  }
  if (code === "ERR_WORKER_INVALID_EXEC_ARGV" || code === "ERR_INPUT_TYPE_NOT_ALLOWED") {
    return "Start Node without that flag, here and in NODE_OPTIONS.";
  }
  if (code === "ERR_WORKER_INIT_FAILED" || code === "ERR_WORKER_OUT_OF_MEMORY" || code === "EAGAIN") {
    return "The system has too few threads or too little memory left: use fewer encodeThreads, or raise the limits.";
  }
  return undefined;
}
