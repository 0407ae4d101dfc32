import type { Json } from "../base/json.js";
import { sameJson } from "../base/json.js";
import { codecJson, encoderKind } from "../codec/codec.js";
import { ENCODER_VERSION } from "../codec/encoder/index.js";
import type { ArrayOptions } from "../options.js";
import type { CheckedOptions } from "../options_check.js";
import type { StoredArray } from "../zarr/parse_metadata.js";
import {
  optionNames,
  plain,
  storedCodec,
  storedEncoderVersion,
  storedExtras,
  userAttributes,
} from "./stored_options.js";

/** One thing that the store says otherwise than the options. */
export interface Difference {
  readonly field: string;
  readonly stored: string;
  readonly given: string;
}

const EXTRAS = ["type", "unit", "scale"] as const;

/**
 * Everything that keeps a stored array from being continued with these options. What is compared is what decides about
 * stored bytes, and what the caller said besides: names, types, units, attributes.
 * @param given the options as the caller gave them, for what may be left out.
 */
export function compareArray(stored: StoredArray, checked: CheckedOptions, given: ArrayOptions): Difference[] {
  const { geometry: g, codec, fill } = checked;
  const differences: Difference[] = [];
  const compare = (field: string, storedText: string, givenText: string): void => {
    if (storedText !== givenText) differences.push({ field, stored: storedText, given: givenText });
  };
  compare("dtype", stored.dtype, g.dtype);
  if (stored.shape.length !== g.rank) {
    compare("rank", String(stored.shape.length), String(g.rank));
    return differences;
  }
  // A dimension that has no name of its own in the store may be called anything: nothing is written there.
  const names = optionNames(stored).map(({ name, stored }, d) => (stored ? name : g.names[d]));
  compare("names", names.join(", "), g.names.join(", "));
  for (let d = 1; d < g.rank; d++) compare(`size of ${g.names[d]}`, String(stored.shape[d]), String(g.shape[d]));
  if (g.rowCount !== null && stored.shape[0] > g.rowCount) {
    compare(`size of ${g.names[0]}`, String(stored.shape[0]), String(g.rowCount));
  }
  compare("chunk", stored.chunk.join(" × "), g.chunk.join(" × "));
  compare("shard", stored.shard?.join(" × ") ?? "none", g.shard.join(" × "));
  compare("shard index", indexText(stored), "at the end, with a checksum");
  compare("chunk keys", JSON.stringify(stored.keyEncoding), '{"name":"default","separator":"/"}');
  if (!sameJson(plain(stored.compressors), plain(codecJson(codec, g.dtype).slice(1)))) {
    compare("codec", codecText(stored), codecName(codec));
  } else {
    const version = encoderKind(codec) === "millrace" ? String(ENCODER_VERSION) : "none";
    compare("encoderVersion", String(storedEncoderVersion(stored) ?? "none"), version);
  }
  if (stored.dtype === g.dtype && Buffer.compare(stored.fill.bytes, fill.bytes) !== 0) {
    compare("fillValue", stored.fill.json, fill.json);
  }
  for (const [d, dimension] of given.dimensions.entries()) {
    for (const extra of EXTRAS) {
      if (dimension[extra] === undefined) continue;
      compare(`${extra} of ${dimension.name}`, jsonText(storedExtras(stored, d)[extra]), jsonText(dimension[extra]));
    }
  }
  if (given.attributes !== undefined && !sameJson(userAttributes(stored), checked.attributes)) {
    compare("attributes", jsonText(userAttributes(stored)), jsonText(checked.attributes));
  }
  return differences;
}

function indexText({ index }: StoredArray): string {
  if (index === undefined) return "none";
  return `at the ${index.location}, ${index.checksum ? "with" : "without"} a checksum`;
}

function codecText(stored: StoredArray): string {
  const known = storedCodec(stored);
  return known === undefined ? jsonText(plain(stored.compressors)) : codecName(known);
}

function codecName(codec: CheckedOptions["codec"]): string {
  return codec.name === "zstd" && codec.level !== undefined ? `zstd:${codec.level}` : codec.name;
}

function jsonText(value: Json | undefined): string {
  return value === undefined ? "none" : JSON.stringify(value);
}
