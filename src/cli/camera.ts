/**
 * A synthetic camera: a scene in photons per pixel, Poisson shot noise, gain, read noise, an offset, and a 12-bit
 * converter. Frame n depends only on (size, seed, n), so that a reader can make it again and compare every value.
 */

interface CameraOptions {
  /** Pixels per side; frames are square. */
  readonly size: number;
  /** 0 … 2^32 − 1. */
  readonly seed: number;
}

/** Converter counts with the shutter closed. */
export const OFFSET_COUNTS = 100;
/** Converter counts per photon. */
const GAIN = 1.6;
/** Standard deviation of the electronics' own noise, counts. */
const READ_NOISE_COUNTS = 2.2;
const COUNTS_MAX = 4095;
/** Brightest expected photon count of a pixel; scenes are held in one byte a pixel. */
const PHOTONS_MAX = 255;
/** Draws kept per expected photon count. 10 bits of a random number pick one, so one number serves three pixels. */
const DRAW_BITS = 10;
const DRAWS = 1 << DRAW_BITS;
const DRAW_MASK = DRAWS - 1;

interface Blob {
  readonly radius: number;
  readonly photons: number;
  /** Centre at frame 0 and movement per frame, pixels. Blobs wrap around at the border. */
  readonly x: number;
  readonly y: number;
  readonly dx: number;
  readonly dy: number;
}

export class SyntheticCamera {
  readonly size: number;
  readonly #seed: number;
  /** Counts for an expected photon number p are at [p · DRAWS, +DRAWS). */
  readonly #draws: Uint16Array;
  readonly #background: Uint8Array;
  readonly #scene: Uint8Array;
  readonly #blobs: readonly Blob[];

  constructor(options: CameraOptions) {
    this.size = options.size;
    this.#seed = options.seed;
    const random = new Random(mix(options.seed, 0x9e3779b9));
    this.#draws = drawTable(random);
    this.#background = background(options.size);
    this.#scene = new Uint8Array(options.size * options.size);
    this.#blobs = Array.from({ length: 12 }, () => randomBlob(random, options.size));
  }

  /** Pixels of a frame. */
  get frameElements(): number {
    return this.size * this.size;
  }

  /** Writes frame `index` to `out`, row by row. `out` holds exactly {@link frameElements} elements. */
  expose(index: number, out: Uint16Array): void {
    const scene = this.#scene;
    scene.set(this.#background);
    for (const blob of this.#blobs) addBlob(scene, this.size, blob, index);

    const draws = this.#draws;
    // xorshift32, inlined: a call per three pixels would be most of the time. State 0 would stay 0.
    let state = mix(this.#seed, index + 1) || 1;
    const count = scene.length;
    const whole = count - (count % 3);
    let i = 0;
    for (; i < whole; i += 3) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      out[i] = draws[(scene[i] << DRAW_BITS) | (state & DRAW_MASK)];
      out[i + 1] = draws[(scene[i + 1] << DRAW_BITS) | ((state >>> 10) & DRAW_MASK)];
      out[i + 2] = draws[(scene[i + 2] << DRAW_BITS) | ((state >>> 20) & DRAW_MASK)];
    }
    for (; i < count; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      out[i] = draws[(scene[i] << DRAW_BITS) | (state & DRAW_MASK)];
    }
  }
}

/** Uneven illumination: brighter towards one corner, 6 … 40 photons. */
function background(size: number): Uint8Array {
  const scene = new Uint8Array(size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) scene[y * size + x] = 6 + Math.floor((34 * (x + 2 * y)) / (3 * size));
  }
  return scene;
}

function randomBlob(random: Random, size: number): Blob {
  return {
    radius: size * (0.02 + 0.06 * random.next()),
    photons: 60 + 140 * random.next(),
    x: size * random.next(),
    y: size * random.next(),
    dx: size * 0.01 * (random.next() - 0.5),
    dy: size * 0.01 * (random.next() - 0.5),
  };
}

/** Adds a round spot that falls off with the square of the distance; saturates at PHOTONS_MAX. */
function addBlob(scene: Uint8Array, size: number, blob: Blob, frame: number): void {
  const centreX = blob.x + blob.dx * frame;
  const centreY = blob.y + blob.dy * frame;
  const reach = Math.ceil(blob.radius);
  for (let y = Math.floor(centreY) - reach; y <= centreY + reach; y++) {
    for (let x = Math.floor(centreX) - reach; x <= centreX + reach; x++) {
      const distance2 = ((x - centreX) ** 2 + (y - centreY) ** 2) / blob.radius ** 2;
      if (distance2 >= 1) continue;
      const at = wrap(y, size) * size + wrap(x, size);
      scene[at] = Math.min(PHOTONS_MAX, scene[at] + Math.floor(blob.photons * (1 - distance2)));
    }
  }
}

function wrap(value: number, size: number): number {
  const rest = value % size;
  return rest < 0 ? rest + size : rest;
}

/** For every expected photon count, DRAWS converter counts with shot noise and read noise in them. */
function drawTable(random: Random): Uint16Array {
  const table = new Uint16Array((PHOTONS_MAX + 1) * DRAWS);
  for (let photons = 0; photons <= PHOTONS_MAX; photons++) {
    for (let i = 0; i < DRAWS; i++) {
      const counts = OFFSET_COUNTS + GAIN * poisson(photons, random) + READ_NOISE_COUNTS * normal(random);
      table[photons * DRAWS + i] = Math.min(COUNTS_MAX, Math.max(0, Math.round(counts)));
    }
  }
  return table;
}

/** Poisson with mean `mean`: products of uniforms (Knuth) where that is short, else the normal approximation. */
function poisson(mean: number, random: Random): number {
  if (mean > 60) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random.next(); product > limit; product *= random.next()) count++;
  return count;
}

/** Box–Muller. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed || 1;
  }

  /** Uniform in [0, 1). */
  next(): number {
    let s = this.#state;
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    this.#state = s;
    return (s >>> 0) / 2 ** 32;
  }
}

/** Spreads two integers over 32 bits, so that neighbouring frames start far apart (the finalizer of MurmurHash3). */
function mix(a: number, b: number): number {
  let h = Math.imul(a ^ Math.imul(b, 0x85ebca6b), 0xc2b2ae35);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
