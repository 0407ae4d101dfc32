import { isJsonObject, type Json, type JsonObject } from "../base/json.js";
import { memberKey } from "../zarr/chunk_key.js";
import type { StoredGroup } from "../zarr/parse_metadata.js";

/** What a group's metadata says about another node. */
export interface NodeReference {
  /** The group. */
  readonly from: string;
  /** The node's path in the store; undefined for text that is no path below the group. */
  readonly to: string | undefined;
  /** The path as it was written. */
  readonly text: string;
  /** Where it was written: "multiscales[0].datasets[2]". */
  readonly place: string;
  readonly wants: "array" | "group" | "node";
  /** Names of the axes, where that is said: one for each dimension. */
  readonly axes?: readonly (string | undefined)[];
}

/** More than a store of as many nodes as are read could need. */
const REFERENCES_MAX = 100_000;
const TEXT_CHARS_MAX = 1000;

/**
 * Every node that a group names: OME-NGFF multiscales, plates, wells and labels (under "ome", and as they stood before
 * version 0.5), and consolidated metadata. Ends silently after 100,000.
 */
export function* groupReferences(path: string, { attributes, consolidated }: StoredGroup): Generator<NodeReference> {
  let count = 0;
  for (const reference of allReferences(path, attributes, consolidated)) {
    if (++count > REFERENCES_MAX) return;
    yield reference;
  }
}

function* allReferences(
  from: string,
  attributes: JsonObject,
  consolidated: Json | undefined,
): Generator<NodeReference> {
  const make = (text: string, place: string, wants: NodeReference["wants"]): NodeReference => ({
    from,
    to: pathBelow(from, text),
    text: text.slice(0, TEXT_CHARS_MAX),
    place,
    wants,
  });
  const ome = isJsonObject(attributes.ome) ? attributes.ome : attributes;
  for (const [i, image] of objectsOf(ome.multiscales)) {
    const axes = Array.isArray(image.axes) && image.axes.length <= 64 ? image.axes.map(nameOf) : undefined;
    for (const [j, { path }] of objectsOf(image.datasets)) {
      if (typeof path === "string") yield { ...make(path, `multiscales[${i}].datasets[${j}]`, "array"), axes };
    }
  }
  if (isJsonObject(ome.plate)) {
    for (const [i, { path }] of objectsOf(ome.plate.wells)) {
      if (typeof path === "string") yield make(path, `plate.wells[${i}]`, "group");
    }
  }
  if (isJsonObject(ome.well)) {
    for (const [i, { path }] of objectsOf(ome.well.images)) {
      if (typeof path === "string") yield make(path, `well.images[${i}]`, "group");
    }
  }
  if (Array.isArray(ome.labels)) {
    for (const [i, path] of ome.labels.entries()) {
      if (typeof path === "string") yield make(path, `labels[${i}]`, "group");
    }
  }
  if (isJsonObject(consolidated) && isJsonObject(consolidated.metadata)) {
    for (const path in consolidated.metadata) {
      const node = consolidated.metadata[path];
      const type = isJsonObject(node) ? node.node_type : undefined;
      yield make(path, "consolidated_metadata", type === "array" || type === "group" ? type : "node");
    }
  }
}

function* objectsOf(list: Json | undefined): Generator<readonly [number, JsonObject]> {
  if (!Array.isArray(list)) return;
  for (const [i, item] of list.entries()) if (isJsonObject(item)) yield [i, item];
}

function nameOf(axis: Json): string | undefined {
  return isJsonObject(axis) && typeof axis.name === "string" ? axis.name : undefined;
}

/** The path of a node as seen from a group above it. */
function pathBelow(group: string, text: string): string | undefined {
  const relative = text.replace(/\/+$/, "");
  const names = relative.split("/");
  if (relative.length > 4096 || names.some((name) => name === "" || name === "." || name === "..")) return undefined;
  return memberKey(group, relative);
}
