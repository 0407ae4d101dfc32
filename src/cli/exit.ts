import { CommanderError } from "commander";
import { type ErrorCode, isMillraceError, MillraceError } from "../base/errors.js";
import type { CliIo } from "./io.js";
import { shellWords } from "./shell_words.js";

/** Exit codes of every command. `interrupted` is the shell's 128 + SIGINT. */
export const EXIT = { done: 0, bad: 1, usage: 2, interrupted: 130 } as const;

/** Errors that another command line, or another machine, would not have met: nothing is wrong with data or store. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "INVALID_OPTION",
  "UNKNOWN_DTYPE",
  "UNKNOWN_CODEC",
  "CODEC_UNAVAILABLE",
  "CODEC_NOT_ON_BACKEND",
  "BAD_GEOMETRY",
  "MEMORY_BUDGET_EXCEEDED",
  "OUT_OF_MEMORY",
  "BACKEND_UNAVAILABLE",
  "ADDON_UNAVAILABLE",
  "NOT_YET",
  "RESUME_MISMATCH",
  // Of the codes of S3 this one alone: it is found out before anything is asked. Credentials may expire in the middle
  // of a stream.
  "S3_CLIENT_MISSING",
]);

export function exitCodeOf(error: MillraceError): number {
  return USAGE_CODES.has(error.code) ? EXIT.usage : EXIT.bad;
}

/** Any thrown value as a MillraceError. What nobody foresaw becomes INTERNAL and keeps its cause. */
export function asMillraceError(error: unknown): MillraceError {
  if (isMillraceError(error)) return error;
  if (error instanceof CommanderError) {
    return new MillraceError(
      "INVALID_OPTION",
      `${sentence(error.message)} Run the command with --help for its options.`,
    );
  }
  const message = error instanceof Error ? error.message : String(error);
  return new MillraceError("INTERNAL", `unexpected error: ${message}`, { cause: error });
}

function sentence(commanderMessage: string): string {
  const text = oneLine(commanderMessage.replace(/^error: /, ""));
  return /[.?!)]$/.test(text) ? text : `${text}.`;
}

/**
 * One line `millrace: CODE: message` on stderr; with `json` also `{"error":{code,message,context}}` as stdout's last
 * line. The message speaks of flags, as the shell does, not of the library's options; the context keeps their names.
 * INTERNAL adds the stack: such an error is a bug, and a report of it needs the place.
 * @returns the exit code
 */
export function reportError(thrown: unknown, io: CliIo, json: boolean): number {
  const error = asMillraceError(thrown);
  const message = error.code === "INTERNAL" ? error.message : shellWords(error.message);
  io.stderr.write(`millrace: ${error.code}: ${oneLine(message)}\n`);
  if (error.code === "INTERNAL") {
    const cause = error.cause instanceof Error ? error.cause : error;
    if (cause.stack !== undefined) io.stderr.write(`${cause.stack}\n`);
  }
  if (json) {
    io.stdout.write(`${JSON.stringify({ error: { code: error.code, message, context: error.context } })}\n`);
  }
  return exitCodeOf(error);
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ").trim();
}
