/** From the moment in which a thread has failed nothing is accepted, although its error has not been heard yet. */
import { afterEach, expect, it } from "vitest";
// Worker threads run compiled code: these tests use what `npm run build` made.
import { type ArrayWriter, moduleSink, openWriter } from "../../dist/index.js";

const ROW = new Uint8Array(4096).fill(7);

const opened: ArrayWriter[] = [];
afterEach(async () => {
  delete process.env.MILLRACE_RULES_OFF;
  for (const writer of opened.splice(0)) await writer.abort();
});

/** A stream whose first write fails, when every slot is free again, and before the event loop has turned. */
async function failed(): Promise<ArrayWriter> {
  const writer = await openWriter({
    sink: moduleSink(new URL("../helpers/faulty_sink_module.js", import.meta.url), {
      faults: [{ method: "write", nth: 1, action: "fail", code: "DISK_FULL" }],
    }),
    backend: "cpu",
    batchEpochs: 1,
    depth: 2,
    array: {
      dtype: "uint8",
      codec: "none",
      dimensions: [
        { name: "t", size: null, chunk: 1 },
        { name: "x", size: ROW.byteLength, chunk: ROW.byteLength },
      ],
    },
  });
  opened.push(writer);
  // The other threads need no turn of this one's event loop. No row is delivered: none is free by success.
  while (writer.tryAppend(ROW) > 0);
  while (writer.metrics().stagingSlotsBusy > 0 || writer.metrics().outputSlotsBusy > 0);
  return writer;
}

it("tryAppend and reserve take nothing, and throw once the error is known", async () => {
  const writer = await failed();
  const { accepted } = writer.watermarks;
  expect(writer.tryAppend(ROW)).toBe(0);
  expect(writer.reserve(ROW.byteLength)).toBeNull();
  expect(writer.watermarks).toMatchObject({ accepted, delivered: 0 });
  const error = await new Promise((resolve) => writer.on("error", resolve));
  expect(() => writer.tryAppend(ROW)).toThrow(error as Error);
  expect(() => writer.reserve(1)).toThrow(error as Error);
});

it("append, skip, flush and close take nothing, wait for the error and reject with it", async () => {
  const writer = await failed();
  const { accepted } = writer.watermarks;
  const calls = [writer.append(ROW), writer.skip(1), writer.flush(), writer.close()];
  expect(writer.watermarks.accepted).toBe(accepted);
  const reasons = (await Promise.allSettled(calls)).map((call) => call.status === "rejected" && call.reason);
  expect(new Set(reasons).size).toBe(1);
  expect(reasons[0]).toMatchObject({ code: "DISK_FULL" });
  expect(writer.watermarks.accepted).toBe(accepted);
});

it("takes what is lost where the rule is off", async () => {
  process.env.MILLRACE_RULES_OFF = "FAILURE_STOPS_INTAKE";
  const writer = await failed();
  expect(writer.tryAppend(ROW)).toBe(ROW.byteLength);
});
