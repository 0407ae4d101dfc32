import { expect, it } from "vitest";
import { fromWireError, isMillraceError, MillraceError, toWireError } from "../../../src/base/errors.js";

const crossed = (error: unknown): MillraceError => fromWireError(structuredClone(toWireError(error)));

it("brings the stack of the thread along, also without a cause", () => {
  const error = new MillraceError("SINK_FAILED", "no.", { hint: "Try again.", context: { key: "a" } });
  const other = crossed(error);
  expect(other.stack).toBe(error.stack);
  expect(other).toMatchObject({
    code: "SINK_FAILED",
    message: error.message,
    hint: "Try again.",
    context: { key: "a" },
  });
  expect(Object.keys(other)).not.toContain("stack");
});

it("brings every cause along, each with its own name, code, context and stack", () => {
  const system = Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
  const type = new TypeError("odd", { cause: system });
  const disk = new MillraceError("DISK_FULL", "full.", { cause: type, context: { path: "/x" } });
  const error = new MillraceError("SINK_FAILED", "no.", { cause: disk });
  const first = crossed(error).cause;
  expect(isMillraceError(first, "DISK_FULL")).toBe(true);
  expect(first).toMatchObject({ message: "full.", context: { path: "/x" } });
  expect((first as Error).stack).toBe(disk.stack);
  const second = (first as Error).cause as Error;
  expect({ name: second.name, message: second.message, stack: second.stack }).toEqual({
    name: "TypeError",
    message: "odd",
    stack: type.stack,
  });
  expect(second.cause).toMatchObject({ message: "ENOSPC", code: "ENOSPC" });
});

it("survives causes that are no errors, and a ring of them", () => {
  expect((crossed(new MillraceError("INTERNAL", "a", { cause: "text" })).cause as Error).message).toBe("text");
  const a = new Error("a");
  a.cause = new Error("b", { cause: a });
  expect((crossed(a).cause as Error).message).toBe("a");
});
