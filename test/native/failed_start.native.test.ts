import { expect, it } from "vitest";
import { MillraceError } from "../../src/base/errors.js";
import { memorySink } from "../../src/index.js";
import { loadAddon } from "../../src/native/binding.js";
import { nodePlatform } from "../../src/writer/node_platform.js";
import { openWriterOn } from "../../src/writer/open_writer_on.js";
import type { Platform } from "../../src/writer/platform.js";

it.skipIf(loadAddon() === undefined)("gives every slot's pages back when a thread does not start", async () => {
  let released = 0;
  const addon = { ...loadAddon()! };
  addon.releasePages = (bytes) => {
    released += bytes.byteLength;
    return loadAddon()!.releasePages(bytes);
  };
  let slots = 0;
  const platform: Platform = {
    ...nodePlatform,
    addon: () => addon,
    startThreads: async (_, { engine: { memory } }) => {
      for (const slot of [...memory.staging, ...memory.output]) slots += slot.byteLength;
      throw new MillraceError("THREAD_FAILED", "no thread today");
    },
  };
  const dimensions = [{ name: "t", size: null, chunk: 64 }];
  const opening = openWriterOn(platform, {
    sink: memorySink(),
    array: { dtype: "uint16", dimensions },
    backend: "cpu",
  });
  await expect(opening).rejects.toMatchObject({ code: "THREAD_FAILED", message: "no thread today" });
  expect(slots).toBeGreaterThan(0);
  expect(released).toBe(slots);
});
