import { isCount } from "../base/integers.js";
import { isJsonObject, type JsonObject } from "../base/json.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { illFormedAt } from "../base/well_formed.js";
import { ENCODER_VERSION } from "../codec/encoder/index.js";
import { itemBytes } from "../geometry/dtype.js";
import { memberKey } from "../zarr/chunk_key.js";
import { codecSettingsFault } from "../zarr/codec_settings.js";
import type { StoredArray } from "../zarr/parse_metadata.js";
import { shown } from "../zarr/parse_node.js";
import { groupReferences, type NodeReference } from "./node_references.js";
import type { StoreReader } from "./store_reader.js";
import { type ArrayCheck, openArrayCheck } from "./verify_array.js";
import type { Findings } from "./verify_report.js";
import { ancestors, type FoundNode, NODES_MAX, walkNodes } from "./walk.js";

/** The nodes of a store as far as checking its objects needs them: without their attributes, which may be large. */
export interface CheckedNodes {
  readonly arrays: ReadonlyMap<string, ArrayCheck>;
  readonly groups: readonly string[];
  /** Nodes whose objects cannot be checked, as their metadata cannot be understood. */
  readonly unread: ReadonlySet<string>;
}

/** References kept until every node is known. */
const REFERENCES_MAX = 4 * NODES_MAX;

/**
 * Reads every zarr.json and checks them, by themselves and against each other.
 * @throws MillraceError as walkNodes does, but goes on where a part of the store cannot be listed
 */
export async function checkNodes(
  store: StoreReader,
  findings: Findings,
  signal: AbortSignal | undefined,
): Promise<CheckedNodes> {
  const arrays = new Map<string, ArrayCheck>();
  const groups: string[] = [];
  const unread = new Set<string>();
  const references: NodeReference[] = [];
  // The store is listed again for its objects, and what fails is reported then.
  for await (const node of walkNodes(store, { signal, onUnlisted: () => {} })) {
    const { path } = node;
    if (node.metadata?.nodeType === "group") {
      groups.push(path);
      const { attributes, consolidated = null } = node.metadata;
      checkTexts({ attributes, consolidated_metadata: consolidated }, memberKey(path, METADATA_NAME), findings);
      for (const reference of groupReferences(path, node.metadata)) {
        if (references.length < REFERENCES_MAX) references.push(reference);
      }
    } else {
      const array = await checkArray(node, findings);
      if (array === undefined) unread.add(path);
      else arrays.set(path, array);
    }
  }
  checkHierarchy([...arrays.keys(), ...unread], groups, arrays, unread, findings);
  checkReferences(references, arrays, new Set(groups), unread, findings);
  return { arrays, groups, unread };
}

/** Undefined for metadata that cannot be understood; the findings say why. */
async function checkArray({ path, metadata, error }: FoundNode, findings: Findings): Promise<ArrayCheck | undefined> {
  const key = memberKey(path, METADATA_NAME);
  const refuse = (code: string, message: string) => {
    findings.defects.add(
      code === "STORE_CORRUPT" ? "METADATA" : code === "STORE_UNSUPPORTED" ? "METADATA_UNSUPPORTED" : "READ",
      key,
      message,
    );
  };
  if (error !== undefined) {
    refuse(error.code, error.message);
    return undefined;
  }
  const array = metadata as StoredArray;
  for (const codec of array.compressors) {
    const fault = codecSettingsFault(codec);
    if (fault !== undefined) findings.defects.add("METADATA", key, `${key}: ${fault}.`);
  }
  checkTexts({ attributes: array.attributes, dimension_names: array.dimensionNames ?? null }, key, findings);
  checkAttributes(array, key, findings);
  const opened = await openArrayCheck(path, array);
  if (!("code" in opened)) return opened;
  refuse(opened.code, opened.message);
  return undefined;
}

function checkTexts(members: JsonObject, key: string, { warnings }: Findings): void {
  for (const [name, value] of Object.entries(members)) {
    const at = illFormedAt(value, name);
    if (at === undefined) continue;
    const message = `${JSON.stringify(at)} has half a surrogate pair: readers in other languages refuse the zarr.json`;
    warnings.add("METADATA_TEXT", key, message);
  }
}

function checkAttributes(array: StoredArray, key: string, findings: Findings): void {
  const { compressors, dtype, shape, attributes } = array;
  for (const { name, configuration } of compressors) {
    const typesize = configuration?.typesize;
    // Of an array without shuffle, blosc has no use for it.
    if (
      name === "blosc" &&
      configuration?.shuffle !== "noshuffle" &&
      isCount(typesize) &&
      typesize !== itemBytes(dtype)
    ) {
      findings.warnings.add(
        "METADATA_ODD",
        key,
        `codec blosc has typesize ${typesize}, and ${dtype} ${itemBytes(dtype)} bytes`,
      );
    }
  }
  const own = attributes.millrace;
  if (!isJsonObject(own)) return;
  const { encoderVersion, dimensions } = own;
  if (
    encoderVersion !== undefined &&
    !(isCount(encoderVersion) && encoderVersion >= 1 && encoderVersion <= ENCODER_VERSION)
  ) {
    const message =
      `encoderVersion ${shown(encoderVersion)} is not known here (1 to ${ENCODER_VERSION}); ` +
      "its chunks are decoded all the same";
    findings.warnings.add("ENCODER_VERSION", key, message);
  }
  if (dimensions !== undefined && !(Array.isArray(dimensions) && dimensions.length === shape.length)) {
    findings.warnings.add(
      "METADATA_ODD",
      key,
      `attributes.millrace describes other than the array's ${shape.length} dimensions`,
    );
  }
}

function checkHierarchy(
  leaves: readonly string[],
  groups: readonly string[],
  arrays: ReadonlyMap<string, unknown>,
  unread: ReadonlySet<string>,
  { defects }: Findings,
): void {
  const present = new Set([...groups, ...unread]);
  const reported = new Set<string>();
  for (const path of [...leaves, ...groups].sort()) {
    for (const above of ancestors(path)) {
      if (arrays.has(above)) {
        defects.add(
          "NODE_BELOW_ARRAY",
          memberKey(path, METADATA_NAME),
          `lies below the array ${JSON.stringify(above)}`,
        );
      } else if (!present.has(above) && !reported.has(above)) {
        reported.add(above);
        const message = `${JSON.stringify(path)} is a node, but there is no group above it`;
        defects.add("METADATA_MISSING", memberKey(above, METADATA_NAME), message);
      }
    }
  }
}

function checkReferences(
  references: readonly NodeReference[],
  arrays: ReadonlyMap<string, ArrayCheck>,
  groups: ReadonlySet<string>,
  unread: ReadonlySet<string>,
  { defects, warnings }: Findings,
): void {
  for (const { from, to, text, place, wants, axes } of references) {
    const key = memberKey(from, METADATA_NAME);
    const what = `${place} names ${JSON.stringify(text)}`;
    if (to === undefined) {
      defects.add("REFERENCE", key, `${what}, which is no path below the group`);
      continue;
    }
    // What it is cannot be told.
    if (unread.has(to)) continue;
    const array = arrays.get(to);
    const found = array !== undefined ? "array" : groups.has(to) ? "group" : undefined;
    if (found === undefined) defects.add("REFERENCE", key, `${what}, but there is no zarr.json`);
    else if (wants !== "node" && wants !== found)
      defects.add("REFERENCE", key, `${what} as an ${wants}, but it is an ${found}`.replace("an group", "a group"));
    else if (array !== undefined && axes !== undefined) {
      const { shape, dimensionNames } = array.layout.metadata;
      if (axes.length !== shape.length) {
        defects.add("REFERENCE", key, `${what} with ${axes.length} axes, but the array has ${shape.length} dimensions`);
      } else if (dimensionNames?.some((name, d) => name !== null && axes[d] !== undefined && name !== axes[d])) {
        warnings.add("METADATA_ODD", key, `${what}, whose dimension_names differ from the names of the axes`);
      }
    }
  }
}
