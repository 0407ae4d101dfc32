import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isMillraceError } from "../../src/base/errors.js";
import * as page from "../../src/browser.js";
import * as node from "../../src/index.js";
import { craftStore } from "../helpers/craft_store.js";

/** Whatever the public calls are given: what is legal succeeds, all else is an error that says what was wrong. */
type Callable = (...given: unknown[]) => unknown;

const BAD: readonly [string, unknown][] = [
  ["undefined", undefined],
  ["null", null],
  ["1", 1],
  ["a text", "no-such-thing"],
  ["an empty text", ""],
  ["{}", {}],
  ["[]", []],
  ["a function", () => {}],
  ["an object without a prototype", Object.create(null)],
  ["a bigint", 1n],
  ["true", true],
];

/** Every list of up to two arguments, and what stands behind a good first one. */
function argumentLists(good: readonly unknown[] = []): unknown[][] {
  const values = BAD.map(([, value]) => value);
  const lists: unknown[][] = [[]];
  for (const first of values) lists.push([first], ...values.map((second) => [first, second]));
  for (let kept = 1; kept <= good.length; kept++) {
    for (const value of values) lists.push([...good.slice(0, kept), value]);
  }
  return lists;
}

/** Undefined where the call is legal or refused as it should be; else what it did. */
async function misbehaviour(call: Callable, given: unknown[]): Promise<string | undefined> {
  try {
    const result = await call(...given);
    await (result as Partial<node.ArrayWriter> | undefined)?.abort?.();
    return undefined;
  } catch (error) {
    if (isMillraceError(error) && error.code !== "INTERNAL" && error.code !== "THREAD_FAILED") return undefined;
    const shown = given.map((value) => BAD.find(([, bad]) => bad === value)?.[0] ?? "something good").join(", ");
    return `(${shown}): ${String((error as Error).name)}: ${String((error as Error).message)}`;
  }
}

async function misbehaviours(call: Callable, good: readonly unknown[] = []): Promise<string[]> {
  const found: string[] = [];
  for (const given of argumentLists(good)) {
    const one = await misbehaviour(call, given);
    if (one !== undefined) found.push(one);
  }
  return found;
}

/** The functions of an object and of its classes, by name. */
function methodsOf(object: object): string[] {
  const names = new Set<string>();
  for (let at: object | null = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, about] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof about.value === "function" && name !== "constructor" && !/^[#_]/.test(name)) names.add(name);
    }
  }
  return [...names].sort();
}

let files: Map<string, Uint8Array>;
beforeAll(async () => {
  const crafted = await craftStore({ dtype: "uint16", shape: [4, 6], chunk: [2, 3], shard: [4, 6] });
  files = crafted.objects;
});

const array = {
  dtype: "uint16",
  dimensions: [
    { name: "t", size: null, chunk: 1 },
    { name: "x", size: 4, chunk: 4 },
  ],
} as const;

/** Good arguments of functions, for what stands behind them. `class`: no function for callers. */
const GOOD: Readonly<Record<string, () => readonly unknown[]>> = {
  openArray: () => [files, ""],
  inspectStore: () => [files, {}],
  verifyStore: () => [files, {}],
  storedArrayOptions: () => [files, ""],
  throttledSink: () => [node.discardSink(), {}],
  moduleSink: () => ["data:text/javascript,export default 1", {}, {}],
  fileSink: () => ["no-such-folder", {}],
  recoverStore: () => ["no-such-folder", {}],
};
const CLASSES = ["ArrayWriter", "MillraceError"];

describe.each([
  ["millrace", node],
  ["millrace/browser", page],
] as const)("every function of %s", (_, module) => {
  const functions = Object.entries(module).filter(
    ([name, value]) => typeof value === "function" && !CLASSES.includes(name),
  ) as [string, Callable][];

  it.each(functions)("%s refuses what is wrong", async (name, call) => {
    expect(await misbehaviours(call, GOOD[name]?.())).toEqual([]);
  });
});

it.each<[string, (bad: unknown) => unknown]>([
  ["array", (bad) => node.openWriter({ sink: node.discardSink(), array: bad } as never)],
  ["sink", (bad) => node.openWriter({ sink: bad, array } as never)],
  ["dimensions", (bad) => node.openWriter({ sink: node.discardSink(), array: { ...array, dimensions: bad } } as never)],
  [
    "a dimension",
    (bad) => node.openWriter({ sink: node.discardSink(), array: { ...array, dimensions: [bad] } } as never),
  ],
  ["dtype", (bad) => node.estimateMemory({ sink: node.discardSink(), array: { ...array, dtype: bad } } as never)],
  ["codec", (bad) => node.estimateMemory({ sink: node.discardSink(), array: { ...array, codec: bad } } as never)],
  [
    "fill value",
    (bad) => node.estimateMemory({ sink: node.discardSink(), array: { ...array, fillValue: bad } } as never),
  ],
  [
    "a dimension's size, chunk, shard and name",
    (bad) => {
      const one = { name: "t", size: 8, chunk: 1 };
      for (const name of ["size", "chunk", "shard", "name", "unit", "scale", "type"]) {
        node.estimateMemory({
          sink: node.discardSink(),
          array: { ...array, dimensions: [{ ...one, [name]: bad }] },
        } as never);
      }
    },
  ],
  [
    "a codec's name",
    (bad) => node.estimateMemory({ sink: node.discardSink(), array: { ...array, codec: { name: bad } } } as never),
  ],
  [
    "a codec's level",
    (bad) =>
      node.estimateMemory({
        sink: node.discardSink(),
        array: { ...array, codec: { name: "zstd", level: bad } },
      } as never),
  ],
  ["layout's dimensions", (bad) => node.adviseLayout({ dtype: "uint16", dimensions: bad } as never)],
  ["layout's dimension", (bad) => node.adviseLayout({ dtype: "uint16", dimensions: [bad] } as never)],
  ...(
    ["dtype", "codec", "depth", "encodeThreads", "sinkMemoryBytes", "memoryBudgetBytes", "chunkBytesTarget"] as const
  ).map((name): [string, (bad: unknown) => unknown] => [
    `layout's ${name}`,
    (bad) => node.adviseLayout({ dtype: "uint16", dimensions: [{ name: "t", size: 8 }], [name]: bad } as never),
  ]),
  ...(["signal", "onProgress", "onFinding", "threads"] as const).map((name): [string, (bad: unknown) => unknown] => [
    `verifyStore's ${name}`,
    (bad) => node.verifyStore(files, { [name]: bad } as never),
  ]),
  ...(["signal", "onProgress", "dryRun", "force"] as const).map((name): [string, (bad: unknown) => unknown] => [
    `recoverStore's ${name}`,
    (bad) => node.recoverStore("no-such-folder", { [name]: bad } as never),
  ]),
])("what is wrong with %s is refused", async (_, call) => {
  const found: (string | undefined)[] = [];
  for (const [, bad] of BAD) {
    // A sink of our own on no thread of its own is all that these open.
    found.push(await misbehaviour(async () => call(bad), [bad]));
  }
  expect(found.filter((one) => one !== undefined)).toEqual([]);
});

describe("every method of", () => {
  const opened: node.ArrayWriter[] = [];
  afterAll(async () => {
    for (const writer of opened) await writer.abort();
  });
  const open = async () => {
    const writer = await node.openWriter({ sink: node.discardSink(), threads: "inline", backend: "cpu", array });
    opened.push(writer);
    return writer;
  };

  it("a writer", async () => {
    const names = methodsOf(await open());
    expect(names).toContain("append");
    for (const name of names) {
      if (name === "emit") continue;
      const good = name === "on" || name === "off" ? ["error"] : name === "append" ? [new Uint8Array(8)] : [];
      let writer = await open();
      const call = async (...given: unknown[]) => {
        const done = await (writer as unknown as Record<string, Callable>)[name](...given);
        // One that has ended refuses all else for that.
        if (name === "close" || name === "abort") writer = await open();
        if (name === "reserve" && done !== null) writer.commit(0);
        return undefined;
      };
      const lists = name === "close" || name === "abort" || name === "flush" ? [[], [null], [1]] : argumentLists(good);
      const found: (string | undefined)[] = [];
      for (const given of lists) found.push(await misbehaviour(call, given));
      expect(
        found.filter((one) => one !== undefined),
        name,
      ).toEqual([]);
    }
  });

  it("a writer refuses events that do not exist", async () => {
    const writer = await open();
    expect(() => writer.on("data" as never, () => {})).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", hint: expect.stringContaining("progress") }),
    );
    expect(() => writer.on("error", undefined as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    expect(() => writer.off("eror" as never, () => {})).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('"error"') }),
    );
  });

  it.each<[string, () => object | Promise<object>, readonly unknown[]]>([
    ["an array's reader", () => node.openArray(files), [[0, 0], [4, 6], {}]],
    ["a memory sink", () => node.memorySink(), ["zarr.json", { offset: 0, length: 1 }]],
  ])("%s", async (_, make, good) => {
    const object = (await make()) as Record<string, Callable>;
    for (const name of methodsOf(object)) {
      expect(await misbehaviours((...given) => object[name](...given), good), name).toEqual([]);
    }
  });

  it("an array's reader takes bytes for its result, and nothing wider", async () => {
    const reader = await node.openArray(files);
    const into = new Uint16Array(24) as unknown as Uint8Array;
    await expect(reader.readRegion([0, 0], [4, 6], { into })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await reader.readRegion([0, 0], [4, 6], { into: new Uint8Array(48) });
  });
});

it("a layout is advised for a codec in the command line's spelling", () => {
  const dimensions = [{ name: "t", size: 64 }];
  const advice = node.adviseLayout({ dtype: "uint16", dimensions, codec: "blosc" });
  expect(advice).toEqual(node.adviseLayout({ dtype: "uint16", dimensions, codec: { name: "blosc" } }));
});
