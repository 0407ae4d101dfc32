import { MillraceError } from "../base/errors.js";
import { isJsonObject, type Json, type JsonObject, sameJson } from "../base/json.js";
import { type CodecSpec, codecJson, encoderKind } from "../codec/codec.js";
import type { DimensionOptions } from "../geometry/array_geometry.js";
import type { ArrayOptions } from "../options.js";
import { openNode } from "../store/array_reader.js";
import { type StoreTarget, withStore } from "../store/open_store.js";
import { checkPath } from "../store/store_reader.js";
import { OWN_ATTRIBUTES } from "../zarr/attributes.js";
import type { CodecMetadata, StoredArray } from "../zarr/parse_metadata.js";

/**
 * What a writer's `array` has to be to continue a stored array, or to write another one like it. The append dimension
 * is unbounded in it: a store does not say how long it was to become.
 * @param target a folder, a file: URL, `s3://bucket/prefix`, a Map of objects, or a reader
 * @param path the array's node in the store; "" is the root
 * @throws MillraceError STORE_NOT_FOUND when there is no array, STORE_UNSUPPORTED for a codec that Millrace does not
 *   write, STORE_CORRUPT, INVALID_OPTION for a bad path, or what the store rejects with
 */
export async function storedArrayOptions(target: StoreTarget, path = ""): Promise<ArrayOptions> {
  checkPath(path);
  return await withStore(target, async (store) => {
    const { metadata } = await openNode(store, path);
    const codec = storedCodec(metadata);
    if (codec === undefined) {
      const names = metadata.compressors.map(({ name }) => name).join(", ");
      throw new MillraceError(
        "STORE_UNSUPPORTED",
        `${store.location} has codecs that are not written here: ${names}.`,
        {
          context: { location: store.location, path, codecs: names },
        },
      );
    }
    return {
      dtype: metadata.dtype,
      dimensions: storedDimensions(metadata),
      codec,
      fillValue: storedFill(metadata),
      attributes: userAttributes(metadata),
    };
  });
}

/**
 * The options with what decides about stored bytes taken from the store where it was left out: codec and fill value.
 */
export function completeArray(given: ArrayOptions, stored: StoredArray): ArrayOptions {
  return {
    ...given,
    codec: given.codec ?? storedCodec(stored),
    fillValue: given.fillValue ?? (stored.dtype === given.dtype ? storedFill(stored) : undefined),
  };
}

/** The codec whose chunks a store holds, or undefined for one that Millrace does not write. */
export function storedCodec(stored: StoredArray): CodecSpec | undefined {
  const level = stored.compressors[0]?.configuration?.level;
  const candidates: CodecSpec[] = [
    { name: "none" },
    { name: "blosc" },
    { name: "zstd" },
    ...(typeof level === "number" ? [{ name: "zstd", level } as const] : []),
  ];
  const isOurs = storedEncoderVersion(stored) !== undefined;
  return candidates.find((codec) => {
    const kind = encoderKind(codec);
    // zarr.json does not tell the block encoder's frames from libzstd's at level 1; the version in the attributes does.
    if (kind !== "none" && isOurs !== (kind === "millrace")) return false;
    return sameJson(plain(codecJson(codec, stored.dtype).slice(1)), plain(stored.compressors));
  });
}

/** Codec configurations as JSON: an empty one counts as none. */
export function plain(codecs: readonly CodecMetadata[]): Json {
  return codecs.map(({ name, configuration = {} }): JsonObject => ({ name, configuration }));
}

export function storedEncoderVersion(stored: StoredArray): number | undefined {
  const version = ownAttributes(stored).encoderVersion;
  return typeof version === "number" ? version : undefined;
}

/** Type, unit and scale of a dimension as the store has them. */
export function storedExtras(stored: StoredArray, d: number): JsonObject {
  const { dimensions } = ownAttributes(stored);
  const entry = Array.isArray(dimensions) ? dimensions[d] : undefined;
  if (!isJsonObject(entry)) return {};
  // Others write there too: what a writer's options would refuse is not theirs.
  const { type, unit, scale } = entry;
  return {
    ...(isDimensionType(type) ? { type } : {}),
    ...(typeof unit === "string" && unit !== "" ? { unit } : {}),
    ...(typeof scale === "number" && scale > 0 ? { scale } : {}),
  };
}

function isDimensionType(value: Json | undefined): value is NonNullable<DimensionOptions["type"]> {
  return value === "space" || value === "time" || value === "channel" || value === "other";
}

/**
 * A name for every dimension: the stored one where options can have it. Zarr allows dimensions without a name, and one
 * name twice, which options cannot have; those are named by their position.
 */
export function optionNames({
  dimensionNames,
  shape,
}: StoredArray): { readonly name: string; readonly stored: boolean }[] {
  const given = shape.map((_, d) => dimensionNames?.[d] ?? "");
  const taken = new Set(given);
  return given.map((name, d) => {
    if (name !== "" && given.indexOf(name) === given.lastIndexOf(name)) return { name, stored: true };
    let own = `d${d}`;
    while (taken.has(own)) own += "_";
    return { name: own, stored: false };
  });
}

/** The attributes without what Millrace put there. */
export function userAttributes(stored: StoredArray): JsonObject {
  const { [OWN_ATTRIBUTES]: _, ...own } = stored.attributes;
  return own;
}

function ownAttributes(stored: StoredArray): JsonObject {
  const own = stored.attributes[OWN_ATTRIBUTES];
  return isJsonObject(own) ? own : {};
}

function storedDimensions(stored: StoredArray): DimensionOptions[] {
  const names = optionNames(stored);
  return stored.shape.map((size, d) => {
    const { type, unit, scale } = storedExtras(stored, d) as Pick<DimensionOptions, "type" | "unit" | "scale">;
    return {
      name: names[d].name,
      size: d === 0 ? null : size,
      chunk: stored.chunk[d],
      ...(stored.shard === undefined ? {} : { shard: stored.shard[d] }),
      ...(type === undefined ? {} : { type }),
      ...(unit === undefined ? {} : { unit }),
      ...(scale === undefined ? {} : { scale }),
    };
  });
}

function storedFill({ dtype, fill }: StoredArray): NonNullable<ArrayOptions["fillValue"]> {
  if (!dtype.startsWith("float")) return BigInt(fill.json);
  return JSON.parse(fill.json) as number | string;
}
