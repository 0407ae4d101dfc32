import { expect, it } from "vitest";
import { inspectStore } from "../../../src/store/inspect.js";
import { craftStore } from "../../helpers/craft_store.js";

it("shows names, units, scales and attributes of an array, and takes nothing else for them", async () => {
  const { objects } = await craftStore({ dtype: "uint16", shape: [4, 6, 8], chunk: [2, 2, 8], shard: [4, 4, 8] });
  const document = JSON.parse(new TextDecoder().decode(objects.get("zarr.json")!));
  const attributes = {
    sample: { id: 7 },
    millrace: { dimensions: [{ name: "t", unit: "second", scale: 0.5 }, { scale: "2" }, 3] },
  };
  const names = ["t", null, "x"];
  const text = JSON.stringify({ ...document, attributes, dimension_names: names });
  objects.set("zarr.json", new TextEncoder().encode(text));
  const [array] = (await inspectStore(objects)).arrays;
  expect(array.attributes).toEqual(attributes);
  expect(array.dimensions).toEqual([
    { name: "t", size: 4, chunk: 2, shard: 4, unit: "second", scale: 0.5 },
    { name: null, size: 6, chunk: 2, shard: 4 },
    { name: "x", size: 8, chunk: 8, shard: 8 },
  ]);
});
