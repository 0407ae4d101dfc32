import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { memorySource } from "../../dist/tiff/byte_source.js";
import { TiffFile } from "../../dist/tiff/tiff_file.js";
import { SYNTHETIC_SETS } from "./synthetic.js";

/**
 * @typedef {object} ImageSet
 * @property {string} name
 * @property {string} dtype
 * @property {number} itemBytes
 * @property {boolean} camera synthetic camera: what the speed targets are about
 * @property {boolean} image an image: what the ratio targets are about
 * @property {Uint8Array[]} chunks little-endian elements, each a chunk
 */

/**
 * All sets, the synthetic ones first.
 * @param {string | undefined} folder holds frames/*.tif (one set) and sets/*.tif (a set each); either may be missing
 * @param {number} chunkBytes
 * @returns {Promise<ImageSet[]>}
 */
export async function imageSets(folder, chunkBytes) {
  const sets = Object.entries(SYNTHETIC_SETS).map(([name, make]) => {
    const { array, camera = false, image = false } = make();
    return toSet(name, [array], chunkBytes, camera, image);
  });
  if (folder === undefined) return sets;
  const frames = tiffFiles(join(folder, "frames"));
  if (frames.length > 0) {
    const pagesOfAll = (await Promise.all(frames.map(pages))).flat();
    sets.push(toSet("frames", pagesOfAll, chunkBytes, false, true));
  }
  for (const path of tiffFiles(join(folder, "sets"))) {
    sets.push(toSet(basename(path).replace(/\.tiff?$/i, ""), await pages(path), chunkBytes, false, true));
  }
  return sets;
}

function tiffFiles(folder) {
  let names;
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
  return names
    .filter((name) => /\.tiff?$/i.test(name))
    .sort()
    .map((name) => join(folder, name));
}

const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array };

async function pages(path) {
  const all = [];
  for await (const { layout, data } of (await TiffFile.open(memorySource(path, readFileSync(path)))).images()) {
    all.push(new ARRAYS[layout.dtype](data.slice().buffer));
  }
  return all;
}

/** Chunks of `chunkBytes`, the last as short as it comes; pages of a set run into each other. */
function toSet(name, arrays, chunkBytes, camera, image) {
  const [{ constructor: type, BYTES_PER_ELEMENT: itemBytes }] = arrays;
  if (arrays.some((array) => array.constructor !== type)) throw new Error(`${name}: pages of different types`);
  const bytes = Buffer.concat(arrays.map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength)));
  const chunks = [];
  for (let at = 0; at < bytes.length; at += chunkBytes)
    chunks.push(new Uint8Array(bytes.subarray(at, at + chunkBytes)));
  return { name, dtype: type.name.replace("Array", "").toLowerCase(), itemBytes, camera, image, chunks };
}
