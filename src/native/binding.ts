import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { MillraceError } from "../base/errors.js";
import { NATIVE_ABI_VERSION, type NativeAddon } from "./addon.js";

/**
 * The one loader of the native addon. Without it Millrace gives the same bytes, slower; so a missing addon is a state
 * to report (`addonStatus`, `addonWarning`), never a failure, unless MILLRACE_ADDON=require asks for that.
 *
 * MILLRACE_ADDON: "off" = do as if there were none; "require" = throw when it does not load; anything else = use it
 * when there.
 */
export interface AddonStatus {
  readonly loaded: boolean;
  /** The file that was loaded, or that failed to. */
  readonly path?: string;
  /** Why it is not loaded, in one sentence; "loaded" when it is. */
  readonly reason: string;
  /** What to do about it; empty when there is nothing to do. */
  readonly hint: string;
  /** What it costs that it is not loaded; absent when it is. */
  readonly cost?: string;
}

/** What `createRequire` gives, and where to look: replaceable for tests. */
export interface AddonSource {
  readonly candidates: readonly string[];
  readonly exists: (path: string) => boolean;
  readonly load: (path: string) => unknown;
}

/** Works in a project that has installed the package, and in a checkout. */
const BUILD_HINT =
  process.platform === "linux"
    ? "Run `npx millrace build-addon` (needs CMake or a C++17 compiler) to build it."
    : 'The codecs "none" and "zstd:1" need it least.';
const NOT_BUILT =
  process.platform === "linux" ? "it has not been built" : `there is none for ${process.platform} in this version`;
/** 16-bit camera frames, per second of an x64 core's time with AVX-512: 1.6 to 2 GB with it, 66 to 83 MB without. */
const COST = "the default codec takes some twenty times as long, for the same bytes";

function isMusl(): boolean {
  // Newer Node has excludeNetwork; the types of Node 20 do not know it.
  const report = process.report as (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined;
  if (process.platform !== "linux" || report === undefined) return false;
  // Or the report resolves the names of all network peers first.
  const before = report.excludeNetwork;
  report.excludeNetwork = true;
  const header = (report.getReport() as { header?: { glibcVersionRuntime?: string } }).header;
  report.excludeNetwork = before;
  return header?.glibcVersionRuntime === undefined;
}

/**
 * Prebuilt file first, then what `scripts/build_native.js` makes. The same two levels up from `src/native` and
 * `dist/native`.
 */
function defaultSource(): AddonSource {
  const root = new URL("../../", import.meta.url);
  const target = `${process.platform}-${process.arch}`;
  const plain = new URL(`prebuilds/${target}/millrace.node`, root);
  const musl = new URL(`prebuilds/${target}-musl/millrace.node`, root);
  const prebuilt = existsSync(plain) || existsSync(musl) ? [isMusl() ? musl : plain] : [];
  return {
    candidates: [...prebuilt, new URL("build/Release/millrace.node", root)].map((url) => fileURLToPath(url)),
    exists: existsSync,
    load: createRequire(import.meta.url),
  };
}

/**
 * Tries the candidates in order; the first one that exists, loads and has this interface's version wins. Pure but for
 * `source`.
 */
export function findAddon(source: AddonSource): { addon: NativeAddon | undefined; status: AddonStatus } {
  let failed: AddonStatus | undefined;
  for (const path of source.candidates) {
    if (!source.exists(path)) continue;
    try {
      const addon = source.load(path) as NativeAddon;
      if (addon.abiVersion === NATIVE_ABI_VERSION)
        return { addon, status: { loaded: true, path, reason: "loaded", hint: "" } };
      failed ??= {
        loaded: false,
        path,
        reason: `it has interface version ${addon.abiVersion}, this Millrace needs ${NATIVE_ABI_VERSION}`,
        hint: BUILD_HINT,
      };
    } catch (error) {
      failed ??= {
        loaded: false,
        path,
        reason: error instanceof Error ? error.message : String(error),
        hint: BUILD_HINT,
      };
    }
  }
  return { addon: undefined, status: failed ?? { loaded: false, reason: NOT_BUILT, hint: BUILD_HINT } };
}

let cached: { addon: NativeAddon | undefined; status: AddonStatus } | undefined;

function resolveAddon(): { addon: NativeAddon | undefined; status: AddonStatus } {
  if (cached === undefined) {
    cached =
      process.env.MILLRACE_ADDON === "off"
        ? {
            addon: undefined,
            status: {
              loaded: false,
              reason: "MILLRACE_ADDON=off disables it",
              hint: "Unset MILLRACE_ADDON to use it.",
            },
          }
        : findAddon(defaultSource());
  }
  return cached;
}

/**
 * The addon, or undefined where it is missing or switched off. Loaded once a thread, then remembered.
 *
 * @throws MillraceError ADDON_UNAVAILABLE when MILLRACE_ADDON=require and it does not load.
 */
export function loadAddon(): NativeAddon | undefined {
  const { addon, status } = resolveAddon();
  if (addon === undefined && process.env.MILLRACE_ADDON === "require") {
    throw new MillraceError(
      "ADDON_UNAVAILABLE",
      `MILLRACE_ADDON=require, but the native addon did not load: ${status.reason}.`,
      {
        context: { path: status.path ?? null },
        hint: status.hint,
      },
    );
  }
  return addon;
}

/** Whether the addon is in use, and why not; for `millrace doctor`. Never throws. */
export function addonStatus(): AddonStatus {
  const { status } = resolveAddon();
  return status.loaded ? status : { ...status, cost: COST };
}

let warned = false;

/**
 * One sentence for the user, the first time it is asked for in a thread where the addon did not load; undefined
 * afterwards, when it is loaded, and when MILLRACE_ADDON=off says that this is wanted. This module prints nothing.
 */
export function addonWarning(): string | undefined {
  const { loaded, reason, hint } = addonStatus();
  if (loaded || warned || process.env.MILLRACE_ADDON === "off") return undefined;
  warned = true;
  return `millrace: running without the native addon (${COST}): ${reason}. ${hint}`;
}
