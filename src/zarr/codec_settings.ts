import { isJsonObject, type Json } from "../base/json.js";
import type { CodecMetadata } from "./array_metadata.js";
import { shown } from "./parse_node.js";

type Check = (value: Json) => boolean;

const whole =
  (min: number, max: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
const oneOf =
  (...names: string[]): Check =>
  (value) =>
    names.includes(value as string);

/**
 * Members of the configurations, as Zarr v3 and zarr-extensions have them. Decoding needs none of them; strict readers
 * check them all.
 */
const SETTINGS: Readonly<Record<string, Readonly<Record<string, Check>>>> = {
  zstd: { level: whole(-131072, 22), checksum: (value) => typeof value === "boolean" },
  gzip: { level: whole(0, 9) },
  blosc: {
    cname: oneOf("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"),
    clevel: whole(0, 9),
    shuffle: oneOf("noshuffle", "shuffle", "bitshuffle"),
    typesize: whole(1, 255),
    blocksize: whole(0, 2 ** 31 - 1),
  },
  crc32c: {},
};

/**
 * What is wrong with a codec's configuration, or undefined. Members that are absent, and those of other names, are let
 * pass.
 */
export function codecSettingsFault({ name, configuration }: CodecMetadata): string | undefined {
  if (!isJsonObject(configuration)) return undefined;
  for (const [member, check] of Object.entries(SETTINGS[name] ?? {})) {
    const value = configuration[member];
    if (value !== undefined && !check(value)) return `codec ${name} has ${member} ${shown(value)}`;
  }
  return undefined;
}
