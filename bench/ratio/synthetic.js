// Image sets made from nothing: the same bytes on every machine, up to rounding of Math.exp and Math.log at the last
// place of a photon count.
import { random32 } from "../../test/helpers/encoder_corpus.js";

const SIDE = 512;
const FRAMES = 4;

/** Uniform in (0, 1). */
const uniform = (next) => (next() + 0.5) / 2 ** 32;

/** Standard normal, by Box and Muller. */
const normal = (next) => Math.sqrt(-2 * Math.log(uniform(next))) * Math.cos(2 * Math.PI * uniform(next));

/** Poisson: by products of uniforms (Knuth) below 30, by the normal approximation above. */
function poisson(mean, next) {
  if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(next)));
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = uniform(next); product > limit; product *= uniform(next)) count++;
  return count;
}

/** A scene: a background, thirty soft spots. Mean about 1, maximum about 2. */
function scene(next) {
  const field = new Float64Array(SIDE * SIDE).fill(0.1);
  for (let spot = 0; spot < 30; spot++) {
    const [cy, cx] = [uniform(next) * SIDE, uniform(next) * SIDE];
    const width = 5 + 35 * uniform(next);
    const height = 0.2 + 0.8 * uniform(next);
    for (let y = 0; y < SIDE; y++) {
      const dy = (y - cy) ** 2;
      if (dy > 25 * width * width) continue;
      for (let x = 0; x < SIDE; x++)
        field[y * SIDE + x] += height * Math.exp(-(dy + (x - cx) ** 2) / (2 * width * width));
    }
  }
  return field;
}

/** An sCMOS camera: offset 100, 0.46 electrons a count, read noise of 1.6 electrons, photon noise. */
function camera(photons, seed) {
  const next = random32(seed);
  const out = new Uint16Array(FRAMES * SIDE * SIDE);
  for (let frame = 0; frame < FRAMES; frame++) {
    const field = scene(next);
    for (let i = 0; i < field.length; i++) {
      const electrons = poisson(photons * field[i], next) + 1.6 * normal(next);
      out[frame * field.length + i] = Math.min(65535, Math.max(0, Math.round(100 + electrons / 0.46)));
    }
  }
  return out;
}

/** A segmentation: ellipses with numbers, background 0. */
function labels(seed) {
  const next = random32(seed);
  const out = new Uint16Array(2 * SIDE * SIDE);
  for (let id = 1; id <= 260; id++) {
    const frame = id & 1;
    const [cy, cx] = [uniform(next) * SIDE, uniform(next) * SIDE];
    const [ry, rx] = [6 + 14 * uniform(next), 6 + 14 * uniform(next)];
    for (let y = Math.max(0, Math.ceil(cy - ry)); y < Math.min(SIDE, cy + ry); y++) {
      const half = rx * Math.sqrt(Math.max(0, 1 - ((y - cy) / ry) ** 2));
      const row = (frame * SIDE + y) * SIDE;
      out.fill(id, row + Math.max(0, Math.ceil(cx - half)), row + Math.min(SIDE, Math.ceil(cx + half)));
    }
  }
  return out;
}

const from = (array, of) => array.map((_, i) => of(i));

/** @type {Readonly<Record<string, () => { array: NodeJS.TypedArray, camera?: boolean, image?: boolean }>>} */
export const SYNTHETIC_SETS = {
  "camera, empty": () => ({ array: camera(1, 1), camera: true, image: true }),
  "camera, dim": () => ({ array: camera(10, 2), camera: true, image: true }),
  "camera, mid": () => ({ array: camera(100, 3), camera: true, image: true }),
  "camera, bright": () => ({ array: camera(1000, 4), camera: true, image: true }),
  "camera, very bright": () => ({ array: camera(8000, 5), camera: true, image: true }),
  "uniform 12 bit": () => {
    const next = random32(6);
    return { array: from(new Uint16Array(FRAMES * SIDE * SIDE), () => next() >>> 20) };
  },
  "labels, synthetic": () => ({ array: labels(7) }),
  "float32, flat-fielded": () => {
    // A dark frame taken off, divided by a smooth gain: continuous values, as every calibrated image has.
    const raw = camera(200, 8);
    return { array: from(new Float32Array(raw.length), (i) => (raw[i] - 100) / (1 + 0.2 * Math.sin((i % SIDE) / 90))) };
  },
  constant: () => ({ array: new Uint16Array(FRAMES * SIDE * SIDE).fill(258) }),
  random: () => {
    const next = random32(9);
    return { array: from(new Uint16Array(FRAMES * SIDE * SIDE), () => next() >>> 16) };
  },
};
