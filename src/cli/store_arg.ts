import { type Command, Option } from "commander";
import { refuseMisreadPath } from "../base/folder_path.js";
import { fileSink, MillraceError, type S3Options, type SinkSpec, type StoreTarget, s3Sink, s3Store } from "../index.js";
import { isS3Url, parseS3Url } from "../s3/s3_options.js";
import { parseBytes, parsePositive } from "./numbers.js";
import { flagOf } from "./shell_words.js";

/** For help texts: what a STORE may be. */
export const STORE_HELP = "a folder or s3://bucket/prefix";

/** How a bucket is reached. Every command with a STORE has these. */
export interface S3Flags {
  readonly endpoint?: string;
  readonly region?: string;
  readonly profile?: string;
}

/** And how it is written to. */
export interface S3WriteFlags extends S3Flags {
  readonly partBytes?: number;
  readonly concurrency?: number;
  readonly checksum?: "crc32" | "none";
}

const PLACE_FLAGS = ["endpoint", "region", "profile"] as const satisfies readonly (keyof S3Flags)[];
const WRITE_FLAGS = [
  ...PLACE_FLAGS,
  "partBytes",
  "concurrency",
  "checksum",
] as const satisfies readonly (keyof S3WriteFlags)[];

/**
 * Checks the form of a STORE argument. What it names is not looked at.
 * @throws MillraceError INVALID_OPTION
 */
export function parseStore(text: string): string {
  if (isS3Url(text)) parseS3Url(text);
  // Readers say of URLs that they are not read yet, or read them.
  else if (!/^[a-z][a-z0-9+.-]+:\/\//i.test(text)) refuseMisreadPath("store", text);
  return text;
}

/**
 * Checks the form of an option that names a store on S3.
 * @throws MillraceError INVALID_OPTION
 */
export function parseS3Store(text: string): string {
  parseS3Url(text);
  return text;
}

/** Adds {@link S3Flags} to a command that reads. */
export function addS3Flags(command: Command): Command {
  return command
    .addOption(new Option("--endpoint <url>", "for s3://: server (default: AWS_ENDPOINT_URL_S3, or AWS itself)"))
    .addOption(new Option("--region <name>", "for s3://: region of the bucket (default: AWS_REGION, or the profile's)"))
    .addOption(new Option("--profile <name>", "for s3://: profile of ~/.aws/config (default: AWS_PROFILE)"));
}

/** Adds {@link S3WriteFlags} to a command that writes. */
export function addS3WriteFlags(command: Command): Command {
  return addS3Flags(command)
    .addOption(
      new Option(
        "--part-bytes <n>",
        "for s3://: bytes of an uploaded part, from 5MiB (default: from the layout)",
      ).argParser(parseBytes),
    )
    .addOption(
      new Option("--concurrency <n>", "for s3://: parts on their way at once (default: 8)").argParser(parsePositive),
    )
    .addOption(checksumOption());
}

/** Of the commands that put objects. */
export function checksumOption(): Option {
  return new Option("--checksum <kind>", "for s3://: what uploads carry (default: crc32)").choices(["crc32", "none"]);
}

/**
 * The sink that a STORE and its flags name. `force`: an overwrite deletes also what is no part of a store, in folders.
 * @throws MillraceError INVALID_OPTION, also for S3 flags beside a folder
 */
export function sinkOf(store: string, flags: S3WriteFlags, { force = false } = {}): SinkSpec {
  if (!isS3Url(store)) {
    refuseS3Flags(flags, `${store} is a folder`);
    return fileSink(store, { force });
  }
  const { partBytes, concurrency, checksum } = flags;
  return s3Sink({ ...placeOf(store, flags), partBytes, concurrency, checksum });
}

/** A store to read, open until it is disposed. */
interface OpenedTarget extends AsyncDisposable {
  readonly target: StoreTarget;
}

/**
 * What a STORE and its flags name, for `openArray` and its like. Nothing is asked yet.
 * @throws MillraceError INVALID_OPTION, also for S3 flags beside a folder
 */
export function targetOf(store: string, flags: S3Flags): OpenedTarget {
  if (!isS3Url(store)) {
    refuseS3Flags(flags, `${store} is a folder`);
    return { target: store, [Symbol.asyncDispose]: async () => {} };
  }
  const target = s3Store(placeOf(store, flags));
  return { target, [Symbol.asyncDispose]: () => target.close() };
}

/** An s3:// URL with its flags as the library's options. */
export function placeOf(store: string, { endpoint, region, profile }: S3Flags): S3Options {
  return { ...parseS3Url(store), endpoint, region, profile };
}

/** The flags as they stand behind a STORE on a command line, with a space in front; "" where there are none. */
export function repeatFlags(flags: S3Flags): string {
  return PLACE_FLAGS.flatMap((name) => (flags[name] === undefined ? [] : [` --${name} ${flags[name]}`])).join("");
}

/** @throws MillraceError INVALID_OPTION when any of the flags is given, where none has a meaning */
export function refuseS3Flags(flags: S3WriteFlags, why: string): void {
  const given = WRITE_FLAGS.find((name) => flags[name] !== undefined);
  if (given === undefined) return;
  const flag = flagOf(given);
  throw new MillraceError("INVALID_OPTION", `${flag} is for stores on s3://; ${why}.`, {
    context: { option: flag.slice(2) },
  });
}
