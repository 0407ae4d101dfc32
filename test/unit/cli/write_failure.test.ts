import { describe, expect, it } from "vitest";
import { MillraceError } from "../../../src/base/errors.js";
import { shellQuoted, writeFailed } from "../../../src/cli/write_failure.js";

const watermarks = { accepted: 9, encoded: 8, delivered: 7, durable: 4, published: 3 };
const full = new MillraceError("DISK_FULL", "No space is left.", { context: { path: "/a" }, hint: "Make room." });

describe("writeFailed", () => {
  it("says what was saved and how to get at the rest, with the flags of the place", () => {
    const left = { store: "s3://b/a run", flags: { region: "r" }, ended: "aborted", watermarks } as const;
    const recover = "millrace recover 's3://b/a run' --region r";
    const goOn = "millrace write 's3://b/a run' --region r --mode resume";
    const error = writeFailed(full, left);
    expect(error).toMatchObject({
      code: "DISK_FULL",
      context: { path: "/a", rowsPublished: 3, rowsDurable: 4, next: [recover, goOn] },
    });
    expect(error.message).toBe(
      "No space is left. Make room. Of the rows 3 are published and 4 durable. " +
        `To publish all that reached the store: ${recover}; to go on after that: ${goOn}`,
    );
  });

  it("sends nobody to recover where the store is closed, nor on where the array is full", () => {
    const left = {
      store: "run.zarr",
      flags: {},
      ended: "closed",
      watermarks: { ...watermarks, published: 1 },
    } as const;
    expect(writeFailed(full, left).message).toMatch(
      /The store is closed and holds 1 row\. To go on behind them: millrace write run\.zarr --mode resume$/,
    );
    const past = writeFailed(new MillraceError("WRITE_PAST_END", "Too much."), left);
    expect(past).toMatchObject({
      message: "Too much. The store is closed and holds 1 row.",
      context: { next: [] },
    });
  });

  it("keeps the place of a bug", () => {
    const bug = new TypeError("no such thing");
    const left = { store: "run.zarr", flags: {}, ended: "closed", watermarks } as const;
    expect(writeFailed(bug, left)).toMatchObject({ code: "INTERNAL", cause: bug });
    const own = new MillraceError("INTERNAL", "no such thing");
    expect(writeFailed(own, left).cause).toBe(own);
  });
});

it("quotes what a shell would take apart", () => {
  expect(shellQuoted("a/b-1.zarr", "linux")).toBe("a/b-1.zarr");
  expect(shellQuoted("it's $HOME", "linux")).toBe("'it'\\''s $HOME'");
  expect(shellQuoted("C:\\my run", "win32")).toBe('"C:\\my run"');
});
