import { describe, expect, it } from "vitest";
import type { ArrayOptions, WriterOptions } from "../../src/options.js";
import { storedArrayOptions } from "../../src/resume/stored_options.js";
import { memorySink } from "../../src/sinks/specs.js";
import { verifyStore } from "../../src/store/verify.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { failureOf } from "../helpers/outcome.js";
import { appended, streamOn } from "../helpers/resume_stream.js";

/** What a zarr.json may say that options cannot, and what options may not make it say. */
const HALF = "run 😀".slice(0, 5);

const array = (over: Partial<ArrayOptions> = {}): ArrayOptions => ({
  dtype: "uint16",
  dimensions: [
    { name: "t", size: null, chunk: 2, shard: 4 },
    { name: "y", size: 3, chunk: 3 },
    { name: "x", size: 4, chunk: 4 },
  ],
  ...over,
});

/** A closed store of three rows whose zarr.json another program has changed. */
// biome-ignore lint/suspicious/noExplicitAny: any JSON
async function changed(change: (document: any) => void, over: Partial<ArrayOptions> = {}) {
  const sink = memorySink();
  await streamOn({ sink, array: array(over) }, [appended(3)]);
  const document = documentOf(sink.files);
  change(document);
  sink.files.set("zarr.json", new TextEncoder().encode(JSON.stringify(document)));
  return { sink, document };
}

const documentOf = (files: ReadonlyMap<string, Uint8Array>) =>
  JSON.parse(new TextDecoder().decode(files.get("zarr.json")));

describe("a store is resumed, and keeps its zarr.json,", () => {
  it.each<[string, unknown, string[]]>([
    ["without names", undefined, ["d0", "d1", "d2"]],
    ["with names that are null", [null, null, null], ["d0", "d1", "d2"]],
    ["with one name", [null, "d0", null], ["d0_", "d0", "d2"]],
    ["with one name twice", ["t", "x", "x"], ["t", "d1", "d2"]],
    ["with an empty name", ["t", "", "x"], ["t", "d1", "x"]],
    ["with half a surrogate pair in a name", ["t", HALF, "x"], ["t", HALF, "x"]],
  ])("%s", async (_, dimensionNames, names) => {
    const { sink, document } = await changed((d) => {
      d.dimension_names = dimensionNames;
    });
    const options = await storedArrayOptions(sink.files);
    expect(options.dimensions.map(({ name }) => name)).toEqual(names);
    await streamOn({ sink, array: options, mode: "resume" }, [appended(2)]);
    expect(documentOf(sink.files)).toEqual({ ...document, shape: [5, 3, 4] });
    expect((await verifyStore(sink.files)).defects).toEqual([]);
  });

  it("whatever its dimensions without names are called in the options", async () => {
    const { sink } = await changed((d) => {
      d.dimension_names = [null, "y", null];
    });
    await streamOn({ sink, array: array(), mode: "resume" }, [appended(2)]);
    const wrong = array();
    const dimensions = wrong.dimensions.map((d, i) => (i === 1 ? { ...d, name: "row" } : d));
    const error = await failureOf(openWriter({ sink, array: { ...wrong, dimensions }, mode: "resume" }));
    expect(error).toMatchObject({ code: "RESUME_MISMATCH", context: { fields: ["names"], stored: ["t, y, x"] } });
  });

  it.each<[string, object]>([
    ["half a surrogate pair", { note: HALF, [HALF]: [HALF] }],
    ["a name of Millrace's that it does not know", { millrace: "v1", note: "x" }],
    ["units and scales that no option can have", { millrace: { dimensions: [{ unit: 5, scale: -1, type: "?" }, 7] } }],
  ])("with %s in its attributes", async (_, attributes) => {
    const { sink, document } = await changed(
      (d) => {
        d.attributes = attributes;
      },
      { codec: "none" },
    );
    for (const given of [await storedArrayOptions(sink.files), array({ codec: "none" })]) {
      await streamOn({ sink, array: given, mode: "resume" }, [appended(1)]);
    }
    expect(documentOf(sink.files)).toEqual({ ...document, shape: [5, 3, 4] });
  });
});

describe("options that would be stored and not read", () => {
  const wrong: [string, ArrayOptions, string][] = [
    ["a text with half a surrogate pair", array({ attributes: { a: { note: [1, HALF] } } }), "attributes.a.note[1]"],
    ["the other half", array({ attributes: { note: "\ude00 run" } }), "attributes.note"],
    ["a member named by half of one", array({ attributes: { a: { [HALF]: 1 } } }), `attributes.a.${HALF}`],
    ["minus zero", array({ attributes: { offset: -0 } }), "attributes.offset"],
    ["a name of Millrace's", array({ attributes: { millrace: { mine: 1 } } }), "attributes.millrace"],
    ["the same with codec none", array({ codec: "none", attributes: { millrace: 1 } }), "attributes.millrace"],
    [
      "a dimension named by half a pair",
      array({ dimensions: [{ name: HALF, size: null, chunk: 1 }] }),
      "dimensions[0].name",
    ],
    [
      "a unit with half a pair",
      array({ dimensions: [{ name: "t", size: null, chunk: 1, unit: HALF }] }),
      "dimensions[0].unit",
    ],
  ];
  it.each(wrong)("%s: refused with its place, nothing begun", async (_, options, place) => {
    for (const mode of ["create", "overwrite"] as const) {
      const sink = memorySink();
      const error = await failureOf(openWriter({ sink, array: options, mode, backend: "cpu" } as WriterOptions));
      expect(error).toMatchObject({ code: "INVALID_OPTION", context: { option: `array.${place}` } });
      expect(sink.files.size).toBe(0);
    }
  });

  it("are refused by resume too, where they are Millrace's own", async () => {
    const { sink } = await changed(() => {});
    const error = await failureOf(
      openWriter({ sink, array: array({ attributes: { millrace: 1 } }), mode: "resume", backend: "cpu" }),
    );
    expect(error).toMatchObject({ code: "INVALID_OPTION", context: { option: "array.attributes.millrace" } });
  });

  it("are no whole pairs", async () => {
    const sink = memorySink();
    await streamOn({ sink, array: array({ attributes: { "😀": ["run 😀"] } }) }, [appended(1)]);
    expect(documentOf(sink.files).attributes).toMatchObject({ "😀": ["run 😀"] });
    expect((await verifyStore(sink.files)).warnings).toEqual([]);
  });
});

it.each<[string, object, string]>([
  ["an attribute", { attributes: { a: [{ note: HALF }] } }, "attributes.a[0].note"],
  ["an attribute's name", { attributes: { [HALF]: 1 } }, "attributes.run"],
  ["a dimension's name", { dimension_names: ["t", HALF, "x"] }, "dimension_names[1]"],
])("verify warns of half a surrogate pair in %s", async (_, over, place) => {
  const { sink } = await changed((d) => Object.assign(d, over), { codec: "none" });
  const { warnings, defects } = await verifyStore(sink.files);
  expect(defects).toEqual([]);
  expect(warnings).toMatchObject([
    { code: "METADATA_TEXT", key: "zarr.json", message: expect.stringContaining(place) },
  ]);
});

it("verify warns of half a surrogate pair in a group", async () => {
  const files = new Map([
    [
      "zarr.json",
      new TextEncoder().encode(JSON.stringify({ zarr_format: 3, node_type: "group", attributes: { a: HALF } })),
    ],
  ]);
  expect((await verifyStore(files)).warnings).toMatchObject([{ code: "METADATA_TEXT", key: "zarr.json" }]);
});
