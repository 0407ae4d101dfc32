// SwiftShader, a Vulkan device in software: unpacked once from a development package, so that GPU tests run on machines
// without a GPU.
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createBrotliDecompress } from "node:zlib";

const cache = join(dirname(dirname(fileURLToPath(import.meta.url))), "node_modules", ".cache", "millrace");

/**
 * Where the package that carries Chromium and SwiftShader is: `folder` with its compressed files in `bin/`, its
 * `version`, and a `require` that resolves what it depends on. undefined where it is not installed or its binaries
 * cannot run: they are for Linux on x64. Its own code is not loaded: that wants a newer Node than this project does.
 */
export function chromiumPackage() {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  let main;
  try {
    main = createRequire(import.meta.url).resolve("@sparticuz/chromium");
  } catch {
    return undefined;
  }
  const folder = dirname(dirname(dirname(main)));
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return { folder, version, require: createRequire(main) };
}

/**
 * The folder `name` of the cache, filled by `fill(folder)` where it is not there yet. Safe when several processes do it
 * at once: each fills a folder of its own, the first to finish gives it the name, the others throw theirs away.
 */
export async function cachedFolder(name, fill) {
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const own = await mkdtemp(join(cache, `${name}.`));
  try {
    await fill(own);
    await rename(own, folder);
  } catch (error) {
    await rm(own, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** Unpacks `bin/<file>`, a tar archive under brotli, of `found`, a `chromiumPackage()`, into `folder`. */
export async function unpackTar(found, file, folder) {
  const { extract } = found.require("tar-fs");
  await pipeline(
    createReadStream(join(found.folder, "bin", file)),
    createBrotliDecompress(),
    // The archive names an owner of its own, which root would otherwise give to the files.
    extract(folder, { chown: false }),
  );
}

/**
 * Environment variables for a child process that make SwiftShader its only Vulkan device; to be laid over
 * `process.env`. The loader reads LD_LIBRARY_PATH when a process starts: setting it in a running one does nothing.
 * undefined where SwiftShader cannot run.
 */
export async function swiftshaderEnv() {
  const found = chromiumPackage();
  if (found === undefined) return undefined;
  const folder = await cachedFolder(`swiftshader-${found.version}`, (own) =>
    unpackTar(found, "swiftshader.tar.br", own),
  );
  const before = process.env.LD_LIBRARY_PATH;
  return {
    VK_ICD_FILENAMES: join(folder, "vk_swiftshader_icd.json"),
    LD_LIBRARY_PATH: before ? `${folder}${delimiter}${before}` : folder,
  };
}
