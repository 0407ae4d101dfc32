import { describe, expect, it } from "vitest";
import { MillraceError } from "../../../src/base/errors.js";
import { guarded, toSinkError } from "../../../src/sinks/os_error.js";
import { osError } from "../../helpers/faulty_fs.js";

describe("toSinkError", () => {
  it.each([
    ["ENOSPC", "DISK_FULL"],
    ["EDQUOT", "DISK_FULL"],
    ["EFBIG", "DISK_FULL"],
    ["EACCES", "PERMISSION_DENIED"],
    ["EPERM", "PERMISSION_DENIED"],
    ["EROFS", "PERMISSION_DENIED"],
    ["EIO", "SINK_FAILED"],
    ["ESTALE", "SINK_FAILED"],
  ])("%s is %s", (errno, code) => {
    const cause = osError(errno, "writev");
    const error = toSinkError(cause, {
      what: "write shard",
      path: "/a/c/0.partial",
      key: "c/0",
      bytes: 10,
      position: 3,
    });
    expect(error.code).toBe(code);
    expect(error.cause).toBe(cause);
    expect(error.context).toEqual({
      path: "/a/c/0.partial",
      key: "c/0",
      errno,
      syscall: "writev",
      bytes: 10,
      position: 3,
    });
    expect(error.message).toContain("could not write shard /a/c/0.partial");
    expect(error.hint === undefined).toBe(errno === "ESTALE");
  });

  it("passes a MillraceError on, and takes what is no error", () => {
    const mine = new MillraceError("STORE_EXISTS", "there");
    expect(toSinkError(mine, { what: "x", path: "y" })).toBe(mine);
    expect(toSinkError("odd", { what: "x", path: "y" })).toMatchObject({ code: "SINK_FAILED", cause: "odd" });
    expect(toSinkError(undefined, { what: "x", path: "y" })).toMatchObject({ code: "SINK_FAILED" });
  });

  it("guards", async () => {
    expect(await guarded({ what: "x", path: "y" }, async () => 5)).toBe(5);
    const failing = guarded({ what: "x", path: "y" }, () => Promise.reject(osError("EROFS")));
    await expect(failing).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
  });
});
