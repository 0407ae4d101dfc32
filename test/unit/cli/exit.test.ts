import { PassThrough } from "node:stream";
import { CommanderError } from "commander";
import { describe, expect, it } from "vitest";
import { ERROR_CODES, type ErrorCode, MillraceError } from "../../../src/base/errors.js";
import { asMillraceError, exitCodeOf, reportError } from "../../../src/cli/exit.js";

function report(error: unknown, json: boolean): { code: number; stdout: string; stderr: string } {
  const io = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const code = reportError(error, io, json);
  return { code, stdout: String(io.stdout.read() ?? ""), stderr: String(io.stderr.read() ?? "") };
}

describe("reportError", () => {
  it("prints one line, and the error as JSON where that is asked for", () => {
    const error = new MillraceError("STORE_CORRUPT", "two\n  lines", { context: { key: "c/0" }, hint: "Look." });
    expect(report(error, false)).toEqual({
      code: 1,
      stdout: "",
      stderr: "millrace: STORE_CORRUPT: two lines Look.\n",
    });
    const { stdout } = report(error, true);
    expect(stdout.endsWith("\n")).toBe(true);
    expect(JSON.parse(stdout)).toEqual({
      error: { code: "STORE_CORRUPT", message: "two\n  lines Look.", context: { key: "c/0" } },
    });
  });

  it("makes commander's complaints wrong usage", () => {
    const error = new CommanderError(
      1,
      "commander.unknownOption",
      "error: unknown option '--foo'\n(Did you mean --for?)",
    );
    expect(report(error, false)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /^millrace: INVALID_OPTION: unknown option '--foo' \(Did you mean --for\?\) .*--help.*\n$/,
      ),
    });
  });

  it("keeps what nobody foresaw, with its stack", () => {
    const { code, stderr } = report(new TypeError("x is undefined"), false);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^millrace: INTERNAL: unexpected error: x is undefined\nTypeError: x is undefined\n\s+at /);
    expect(asMillraceError("text").code).toBe("INTERNAL");
  });

  it("gives every code exit 1 or 2", () => {
    const usage = (Object.keys(ERROR_CODES) as ErrorCode[]).filter((c) => exitCodeOf(new MillraceError(c, "")) === 2);
    expect(usage).toEqual([
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
      "S3_CLIENT_MISSING",
    ]);
  });
});
