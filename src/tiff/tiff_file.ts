import type { DimensionOptions } from "../geometry/array_geometry.js";
import type { DType } from "../geometry/dtype.js";
import type { Stack } from "./axes.js";
import { type ByteSource, refused } from "./byte_source.js";
import { Directories } from "./directory.js";
import { isReduced, type PageLayout, pageBytes, readPageLayout } from "./page_layout.js";
import { fitFrame, type PlanePlan, planPlanes } from "./plane_order.js";
import { isOnePiece, PageReader } from "./read_page.js";
import { readStack } from "./stack.js";
import { TAG } from "./tags.js";

/** The array that the file's frames are for. */
interface TiffExpectation {
  readonly dtype: DType;
  readonly dimensions: readonly DimensionOptions[];
}

/** A page, decoded. */
interface TiffImage {
  readonly layout: PageLayout;
  /**
   * Little-endian, [height, width, samples], or [samples, height, width] where `layout.apart`. Valid until the next
   * page is asked for.
   */
  readonly data: Uint8Array;
}

/** A TIFF or BigTIFF file, read from any place: memory is that of one page and one strip or tile. */
export class TiffFile {
  readonly #source: ByteSource;
  readonly #directories: Directories;
  /** The chain's pages without reduced copies, which are no frames. */
  readonly #pages: readonly number[];
  readonly #isFrame: ReadonlySet<number>;

  private constructor(source: ByteSource, directories: Directories, pages: readonly number[]) {
    this.#source = source;
    this.#directories = directories;
    this.#pages = pages;
    this.#isFrame = new Set(pages);
  }

  /** @throws MillraceError INVALID_DATA for what is no TIFF, or damaged in its list of pages */
  static async open(source: ByteSource): Promise<TiffFile> {
    const directories = await Directories.open(source);
    const pages: number[] = [];
    for (let page = 0; page < directories.offsets.length; page++) {
      if (!(await isReduced(await directories.read(page)))) pages.push(page);
    }
    if (pages.length === 0) throw refused(source, undefined, "it holds reduced copies of images only.");
    return new TiffFile(source, directories, pages);
  }

  /** Pages in the file's order, whatever their shapes are. Reduced copies are left out. */
  async *images(): AsyncGenerator<TiffImage, void> {
    const reader = new PageReader(this.#source);
    for (const page of this.#pages) {
      const layout = await this.#layout(page);
      yield { layout, data: await reader.read(layout) };
    }
  }

  /**
   * The file's frames in the order of `dimensions`, as little-endian elements: [height, width], or [height, width,
   * samples] where the last
   * dimension is that of a pixel's samples. A frame is valid until the next one is asked for.
   * @throws MillraceError INVALID_DATA naming the file and the page, what the array needs and what the file is. What
   *   the first page and the
   *   metadata say is checked before the first frame, the other pages when it is their turn.
   */
  async *frames(expected: TiffExpectation): AsyncGenerator<Uint8Array, void> {
    const first = await this.#layout(this.#pages[0]);
    checkDType(this.#source, first, expected.dtype);
    const fit = fitFrame(this.#source, first, expected.dimensions);
    const stack = await this.#stack(first);
    const plan = planPlanes(this.#source, stack, first.samples, fit);
    const reader = new PageReader(this.#source);
    let held: { plane: number; layout: PageLayout; data: Uint8Array } | undefined;
    let frame = new Uint8Array(0);
    const behind = await this.#planesBehind(first, stack);
    for (const { plane, sample } of plan.frames()) {
      if (held === undefined || held.plane !== plane) {
        const layout = behind ? first : await this.#layout(this.#pageOf(stack, plane));
        checkDType(this.#source, layout, expected.dtype);
        checkSame(this.#source, layout, first, expected.dimensions);
        held = { plane, layout, data: await reader.read(layout, behind ? plane : 0) };
      }
      const { layout, data } = held;
      if (layout.samples === 1 || (plan.interleaved && !layout.apart)) yield data;
      else {
        const bytes = plan.interleaved ? data.byteLength : data.byteLength / layout.samples;
        if (frame.byteLength !== bytes) frame = new Uint8Array(bytes);
        rearrange(layout, plan, data, sample, frame);
        yield frame;
      }
    }
  }

  async #layout(page: number): Promise<PageLayout> {
    return await readPageLayout(this.#source, await this.#directories.read(page));
  }

  async #stack(first: PageLayout): Promise<Stack> {
    const directory = await this.#directories.read(this.#pages[0]);
    return readStack({
      source: this.#source,
      descriptions: await directory.descriptions(),
      first,
      chainLength: this.#directories.offsets.length,
      pageCount: this.#pages.length,
      metaMorphPlanes: directory.count(TAG.metaMorphPlanes),
    });
  }

  #pageOf(stack: Stack, plane: number): number {
    if (stack.pages === undefined) return this.#pages[plane];
    const page = stack.pages[plane];
    if (this.#isFrame.has(page)) return page;
    throw refused(this.#source, undefined, `${stack.by} names page ${page} for plane ${plane}, which is not there.`, {
      page,
    });
  }

  /**
   * Whether planes lie one behind the other after the only page, without pages of their own, as ImageJ, tifffile and
   * MetaMorph store them.
   * @throws MillraceError INVALID_DATA where the file does not hold them so, and where it holds more than it tells of
   */
  async #planesBehind(first: PageLayout, stack: Stack): Promise<boolean> {
    const planes = stack.axes.reduce((count, { size }) => count * size, 1);
    const bytes = pageBytes(first);
    if (stack.pages === undefined && planes > this.#pages.length) {
      const end = first.segments.offsets[0] + planes * bytes;
      if (isOnePiece(first) && end <= this.#source.bytes) return true;
      throw refused(
        this.#source,
        first.page,
        `${stack.by} tells of ${planes} planes behind this one page, and the file does not hold them in one piece, ` +
          "uncompressed.",
        { planes, pages: this.#pages.length, end, bytes: this.#source.bytes },
        "Save the stack as OME-TIFF, as an image sequence or as raw data.",
      );
    }
    const told = first.segments.counts.reduce((sum, count) => sum + count, 0);
    if (isOnePiece(first) && told >= 2 * bytes) {
      throw refused(
        this.#source,
        first.page,
        `its strips hold ${told} bytes, and one plane takes ${bytes}: planes behind it that nothing tells of; ` +
          "not supported.",
        { told, bytes },
      );
    }
    return false;
  }
}

function checkDType(source: ByteSource, { page, dtype }: PageLayout, expected: DType): void {
  if (dtype === expected) return;
  throw refused(source, page, `its samples are ${dtype}; --dtype says ${expected}.`, { expected, got: dtype });
}

/** Every page must be as the first one, whose fit was checked. */
function checkSame(
  source: ByteSource,
  layout: PageLayout,
  first: PageLayout,
  dimensions: readonly DimensionOptions[],
): void {
  if (layout.samples !== first.samples) {
    const message = `it has ${layout.samples} samples a pixel; page ${first.page} has ${first.samples}.`;
    throw refused(source, layout.page, message, { expected: first.samples, got: layout.samples });
  }
  fitFrame(source, layout, dimensions);
}

/**
 * A page in another arrangement than it is stored in: one sample's plane of it, or all samples of a pixel side by side.
 */
function rearrange(layout: PageLayout, plan: PlanePlan, data: Uint8Array, sample: number, out: Uint8Array): void {
  const { samples, itemBytes, width, height, apart } = layout;
  const planeBytes = width * height * itemBytes;
  if (apart && !plan.interleaved) {
    out.set(data.subarray(sample * planeBytes, (sample + 1) * planeBytes));
    return;
  }
  const pixelBytes = samples * itemBytes;
  if (apart) {
    for (let s = 0; s < samples; s++)
      copyItems(data, s * planeBytes, itemBytes, out, s * itemBytes, pixelBytes, itemBytes);
  } else {
    copyItems(data, sample * itemBytes, pixelBytes, out, 0, itemBytes, itemBytes);
  }
}

/** As many items as `out` has pixels for, from every `fromStep` bytes to every `toStep` bytes. */
function copyItems(
  data: Uint8Array,
  from: number,
  fromStep: number,
  out: Uint8Array,
  to: number,
  toStep: number,
  itemBytes: number,
): void {
  for (let i = from, j = to; j < out.length; i += fromStep, j += toStep) {
    for (let b = 0; b < itemBytes; b++) out[j + b] = data[i + b];
  }
}
