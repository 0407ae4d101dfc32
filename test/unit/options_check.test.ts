import { describe, expect, it } from "vitest";
import { isMillraceError, type MillraceError } from "../../src/base/errors.js";
import { encoderScratchBytes } from "../../src/codec/codec.js";
import type { WriterOptions } from "../../src/options.js";
import { checkWriterOptions, type Machine } from "../../src/options_check.js";
import { planMemory } from "../../src/plan/memory_plan.js";
import { estimateMemory, planStream } from "../../src/writer/estimate_memory.js";

const sink = {
  kind: "memory",
  location: "memory:",
  options: {},
  memoryBytes: (openShards: number) => 100 * openShards,
};
const array = {
  dtype: "uint16",
  dimensions: [
    { name: "t", type: "time", size: null, chunk: 16, shard: 64, unit: "second", scale: 0.01 },
    { name: "x", type: "space", size: 520, chunk: 130 },
  ],
} as const;
const machine = { cores: 8, memoryBytes: 2 ** 34, addon: true };

const check = (over: object = {}, on: Machine = machine) =>
  checkWriterOptions({ sink, array, ...over } as WriterOptions, on);
const inArray = (over: object) => ({ array: { ...array, ...over } });
const inDimension = (over: object) =>
  inArray({ dimensions: [{ ...array.dimensions[0], ...over }, array.dimensions[1]] });

function refused(options: unknown): MillraceError {
  try {
    checkWriterOptions(options as WriterOptions, machine);
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("checkWriterOptions", () => {
  it("fills in every default", () => {
    expect(check()).toEqual({
      geometry: expect.objectContaining({ dtype: "uint16", chunk: [16, 130], shard: [64, 130] }),
      dimensions: array.dimensions,
      codec: { name: "blosc" },
      fill: { dtype: "uint16", json: "0", bytes: new Uint8Array(2) },
      attributes: {},
      mode: "create",
      backend: "auto",
      allowSoftwareAdapter: false,
      durability: "shard",
      batchEpochs: undefined,
      maxBatchAgeMs: 1000,
      depth: undefined,
      memoryBudgetBytes: 2 ** 33,
      maxPendingBytes: undefined,
      encodeThreads: 8,
      copyHelpers: 3,
      threads: "workers",
      publishIntervalMs: 1000,
    });
  });

  it("has defaults for a machine of one core", () => {
    expect(check({}, { cores: 1, memoryBytes: 1001, addon: false })).toMatchObject({
      encodeThreads: 1,
      copyHelpers: 0,
      memoryBudgetBytes: 500,
    });
  });

  it("streams on the caller's thread where there are no workers, and refuses them", () => {
    const page = { ...machine, workers: false };
    expect(check({}, page).threads).toBe("inline");
    expect(check({ threads: "inline" }, page).threads).toBe("inline");
    expect(() => check({ threads: "workers" }, page)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", hint: expect.stringContaining("inline") }),
    );
  });

  it("keeps what is given", () => {
    const given = {
      mode: "overwrite",
      backend: "cpu",
      allowSoftwareAdapter: true,
      durability: "none",
      batchEpochs: 7,
      maxBatchAgeMs: 0,
      depth: 1,
      memoryBudgetBytes: 1e9,
      maxPendingBytes: 5e8,
      encodeThreads: 2,
      copyHelpers: 0,
      threads: "inline",
      publishIntervalMs: 0,
    };
    expect(check({ ...given, signal: new AbortController().signal })).toMatchObject(given);
    const { codec, fill, attributes } = check(
      inArray({ codec: { name: "none" }, fillValue: 7, attributes: { a: [1] } }),
    );
    expect([codec, fill.json, attributes]).toEqual([{ name: "none" }, "7", { a: [1] }]);
    expect(check(inArray({ codec: "zstd:5" })).codec).toEqual({ name: "zstd", level: 5 });
  });

  it("takes undefined for left out", () => {
    const nothing = Object.fromEntries(Object.keys(check()).map((key) => [key, undefined]));
    expect(check({ ...nothing, signal: undefined })).toEqual(check());
    expect(check(inArray({ codec: undefined, fillValue: undefined, attributes: undefined, extra: undefined }))).toEqual(
      check(),
    );
  });

  it("gives frozen data that crosses threads and that the caller cannot change any more", () => {
    const own = structuredClone(array) as unknown as { dimensions: { unit?: string }[] };
    const checked = checkWriterOptions({ sink, array: own } as unknown as WriterOptions, machine);
    own.dimensions[0].unit = "hour";
    expect(checked.dimensions[0].unit).toBe("second");
    for (const part of [
      checked,
      checked.geometry,
      checked.dimensions,
      checked.dimensions[0],
      checked.codec,
      checked.attributes,
    ]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(structuredClone(checked)).toEqual(checked);
  });

  it.each<[string, object, string]>([
    ["durabilty", { durabilty: "none" }, "durability"],
    ["memoryBudget", { memoryBudget: 1 }, "memoryBudgetBytes"],
    ["array.fill_value", inArray({ fill_value: 1 }), "fillValue"],
    ["array.attribute", inArray({ attribute: {} }), "attributes"],
    ["array.dimensions[0].chunks", inDimension({ chunks: 3 }), "chunk"],
  ])("refuses the unknown option %s and names the near miss", (option, over, nearest) => {
    const error = refused({ sink, array, ...over });
    expect(error.code).toBe("INVALID_OPTION");
    expect(error.context.option).toBe(option);
    if (option !== "memoryBudget") expect(error.hint).toBe(`Did you mean "${nearest}"?`);
    else expect(error.hint).toContain(nearest);
  });

  it.each<[string, unknown, string]>([
    ["options", undefined, "options"],
    ["options", null, "options"],
    ["options", [], "options"],
    ["options", "run.zarr", "options"],
    ["sink", { array }, "sink"],
    ["sink", { array, sink: "run.zarr" }, "sink"],
    ["sink", { array, sink: null }, "sink"],
    ["sink", { array, sink: { ...sink, memoryBytes: 5 } }, "sink"],
    ["sink", { array, sink: { ...sink, instance: {} } }, "sink"],
    ["array", { sink }, "array"],
    ["array", { sink, array: [] }, "array"],
    ["dimensions", { sink, array: { dtype: "uint8" } }, "array.dimensions"],
    ["a dimension", { sink, array: { dtype: "uint8", dimensions: [5] } }, "array.dimensions[0]"],
    ["type", { sink, ...inDimension({ type: "angle" }) }, "array.dimensions[0].type"],
    ["unit", { sink, ...inDimension({ unit: "" }) }, "array.dimensions[0].unit"],
    ["unit", { sink, ...inDimension({ unit: 5 }) }, "array.dimensions[0].unit"],
    ["scale", { sink, ...inDimension({ scale: 0 }) }, "array.dimensions[0].scale"],
    ["scale", { sink, ...inDimension({ scale: Number.NaN }) }, "array.dimensions[0].scale"],
    ["fillValue", { sink, ...inArray({ fillValue: null }) }, "array.fillValue"],
    ["fillValue", { sink, ...inArray({ fillValue: true }) }, "array.fillValue"],
    ["fillValue", { sink, ...inArray({ fillValue: 65536 }) }, "array.fillValue"],
    ["attributes", { sink, ...inArray({ attributes: { a: new Date(0) } }) }, "array.attributes.a"],
    ["attributes", { sink, ...inArray({ attributes: null }) }, "array.attributes"],
    ["mode", { sink, array, mode: "append" }, "mode"],
    ["backend", { sink, array, backend: "cuda" }, "backend"],
    ["durability", { sink, array, durability: true }, "durability"],
    ["threads", { sink, array, threads: 4 }, "threads"],
    ["allowSoftwareAdapter", { sink, array, allowSoftwareAdapter: 1 }, "allowSoftwareAdapter"],
    ["batchEpochs", { sink, array, batchEpochs: 0 }, "batchEpochs"],
    ["batchEpochs", { sink, array, batchEpochs: null }, "batchEpochs"],
    ["batchEpochs", { sink, array, batchEpochs: 65537 }, "batchEpochs"],
    ["maxBatchAgeMs", { sink, array, maxBatchAgeMs: -1 }, "maxBatchAgeMs"],
    ["maxBatchAgeMs", { sink, array, maxBatchAgeMs: Number.POSITIVE_INFINITY }, "maxBatchAgeMs"],
    ["depth", { sink, array, depth: 17 }, "depth"],
    ["depth", { sink, array, depth: "3" }, "depth"],
    ["memoryBudgetBytes", { sink, array, memoryBudgetBytes: 0.5 }, "memoryBudgetBytes"],
    ["memoryBudgetBytes", { sink, array, memoryBudgetBytes: Number.POSITIVE_INFINITY }, "memoryBudgetBytes"],
    ["maxPendingBytes", { sink, array, maxPendingBytes: 0 }, "maxPendingBytes"],
    ["encodeThreads", { sink, array, encodeThreads: 257 }, "encodeThreads"],
    ["copyHelpers", { sink, array, copyHelpers: 4 }, "copyHelpers"],
    ["publishIntervalMs", { sink, array, publishIntervalMs: -1 }, "publishIntervalMs"],
    ["publishIntervalMs", { sink, array, publishIntervalMs: 2 ** 31 }, "publishIntervalMs"],
    ["signal", { sink, array, signal: new AbortController() }, "signal"],
    ["signal", { sink, array, signal: null }, "signal"],
  ])("refuses a wrong %s (%#)", (_, options, option) => {
    const error = refused(options);
    expect([error.code, error.context.option]).toEqual(["INVALID_OPTION", option]);
    expect(error.message).toContain(option);
  });

  it.each<[string, object, string]>([
    ["INVALID_OPTION", { durability: "batch", sink: { ...sink, journal: false } }, "durability"],
    ["INVALID_OPTION", { durability: "batch", threads: "inline", sink: { ...sink, instance: {} } }, "durability"],
    ["UNKNOWN_CODEC", inArray({ codec: { name: "lz4" } }), "codec"],
    ["UNKNOWN_CODEC", inArray({ codec: { name: "zip" } }), "codec"],
    ["UNKNOWN_DTYPE", inArray({ dtype: "u2" }), "array.dtype"],
    ["BAD_GEOMETRY", inDimension({ shard: 65 }), "array.dimensions[0].shard"],
    ["CODEC_NOT_ON_BACKEND", { backend: "gpu", ...inArray({ codec: { name: "zstd", level: 3 } }) }, "backend"],
  ])("answers %s for %j", (code, over, option) => {
    const error = refused({ sink, array, ...over });
    expect([error.code, error.context.option]).toEqual([code, option]);
  });

  it("takes durability batch where the sink has a journal, or may have one", () => {
    for (const journal of [true, undefined]) {
      expect(check({ durability: "batch", sink: { ...sink, journal } }).durability).toBe("batch");
    }
    const instance = { journal: {} };
    expect(check({ durability: "batch", threads: "inline", sink: { ...sink, instance } }).durability).toBe("batch");
  });

  it.each([-131073, 23, 1.5, "3", null])("refuses zstd level %s", (level) => {
    expect(refused({ sink, ...inArray({ codec: { name: "zstd", level } }) }).code).toBe("INVALID_OPTION");
  });

  it("takes codec none and the block encoder on the gpu, and a ready-made sink inline", () => {
    expect(check({ backend: "gpu", ...inArray({ codec: { name: "none" } }) }).backend).toBe("gpu");
    for (const name of ["blosc", "zstd"]) {
      expect(check({ backend: "gpu", ...inArray({ codec: { name } }) }).codec).toEqual({ name });
    }
    expect(check({ threads: "inline", sink: { ...sink, instance: {} } }).threads).toBe("inline");
  });
});

describe("estimateMemory", () => {
  it("is the plan that the writer allocates from", () => {
    const options = { sink, array, depth: 2, batchEpochs: 4 } as WriterOptions;
    const plan = estimateMemory(options, machine);
    const checked = checkWriterOptions(options, machine);
    expect(plan).toEqual(planStream(checked, sink, true));
    expect(plan).toEqual(
      planMemory({
        geometry: checked.geometry,
        codec: checked.codec,
        batchEpochs: 4,
        depth: 2,
        encodeThreads: 8,
        workerThreads: 2,
        sinkMemoryBytes: sink.memoryBytes,
        memoryBudgetBytes: 2 ** 33,
      }),
    );
    expect(plan).toMatchObject({
      epochsPerBatch: 4,
      sink: 100 * plan.openShards,
      encoderScratch: 8 * encoderScratchBytes(checked.codec, 16 * 130 * 2, 2),
    });
  });

  it("calls the sink's own method", () => {
    class Counting {
      readonly kind = "memory";
      readonly location = "";
      readonly options = {};
      readonly each = 11;
      memoryBytes(openShards: number) {
        return this.each * openShards;
      }
    }
    const plan = estimateMemory({ sink: new Counting(), array } as WriterOptions, machine);
    expect(plan.sink).toBe(11 * plan.openShards);
  });

  it("keeps to the budget or says what does not fit", () => {
    expect(() => estimateMemory({ sink, array, memoryBudgetBytes: 1000 } as WriterOptions, machine)).toThrow(
      expect.objectContaining({ code: "MEMORY_BUDGET_EXCEEDED" }),
    );
  });
});
