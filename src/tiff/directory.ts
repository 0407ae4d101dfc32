import { type ByteSource, refused, SmallReads } from "./byte_source.js";
import { TAG } from "./tags.js";

/** What the first bytes of a TIFF say (TIFF 6.0 §2; BigTIFF has 8-byte offsets). */
interface TiffHeader {
  readonly littleEndian: boolean;
  readonly big: boolean;
  readonly firstDirectory: number;
}

interface Entry {
  readonly type: number;
  readonly count: number;
  /** The value itself where it fits there, else its offset. */
  readonly field: DataView;
}

/** Bytes of a value of each field type; 0 is no type. BigTIFF adds 16 to 18. */
const TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8];

/** A text longer than this is nobody's description. */
const TEXT_BYTES_MAX = 2 ** 28;

/** The directories (pages) of one file, and their values. */
export class Directories {
  readonly source: ByteSource;
  readonly header: TiffHeader;
  /** Where each page of the main chain lies. */
  readonly offsets: readonly number[];
  readonly #reads: SmallReads;

  private constructor(source: ByteSource, reads: SmallReads, header: TiffHeader, offsets: readonly number[]) {
    this.source = source;
    this.header = header;
    this.offsets = offsets;
    this.#reads = reads;
  }

  /**
   * Reads the header and walks the chain of pages to its end. Memory: a number a page.
   * @throws MillraceError INVALID_DATA for what is no TIFF, for chains that leave the file or loop, and for a file
   *   without a page
   */
  static async open(source: ByteSource): Promise<Directories> {
    const reads = new SmallReads(source);
    const header = await readHeader(source, reads);
    const { big, littleEndian } = header;
    const offsets: number[] = [];
    const seen = new Set<number>();
    for (let offset = header.firstDirectory; offset !== 0; ) {
      const page = offsets.length;
      if (seen.has(offset))
        throw refused(source, undefined, `damaged: the list of pages runs in a circle after page ${page}.`);
      const counted = await reads.at(offset, big ? 8 : 2);
      const count =
        counted === undefined ? 0 : big ? u64(counted, 0, littleEndian) : counted.getUint16(0, littleEndian);
      const link = await reads.at(offset + (big ? 8 + count * 20 : 2 + count * 12), big ? 8 : 4);
      if (counted === undefined || link === undefined) {
        throw refused(source, undefined, `cut off: page ${page} lies past the end of the file.`, { page });
      }
      seen.add(offset);
      offsets.push(offset);
      offset = big ? u64(link, 0, littleEndian) : link.getUint32(0, littleEndian);
    }
    if (offsets.length === 0) throw refused(source, undefined, "it holds no page.");
    return new Directories(source, reads, header, offsets);
  }

  /** @throws MillraceError INVALID_DATA for entries that leave the file */
  async read(page: number): Promise<Directory> {
    const { big, littleEndian } = this.header;
    const offset = this.offsets[page];
    const head = big ? 8 : 2;
    const entryBytes = big ? 20 : 12;
    const counted = (await this.#reads.at(offset, head)) as DataView;
    const count = big ? u64(counted, 0, littleEndian) : counted.getUint16(0, littleEndian);
    const table = await this.#reads.at(offset + head, count * entryBytes);
    if (table === undefined) throw refused(this.source, page, "its directory lies past the end of the file.");
    const entries = new Map<number, Entry>();
    const descriptions: Entry[] = [];
    for (let i = 0; i < count; i++) {
      const at = i * entryBytes;
      const tag = table.getUint16(at, littleEndian);
      const entry = {
        type: table.getUint16(at + 2, littleEndian),
        count: big ? u64(table, at + 4, littleEndian) : table.getUint32(at + 4, littleEndian),
        field: new DataView(table.buffer, table.byteOffset + at + (big ? 12 : 8), big ? 8 : 4),
      };
      // Several programs may each leave a description; of every other tag the first one counts.
      if (tag === TAG.imageDescription) descriptions.push(entry);
      if (!entries.has(tag)) entries.set(tag, entry);
    }
    return new Directory(this.source, page, this.header, this.#reads, entries, descriptions);
  }
}

/** One page's tags. Values outside the directory are read when they are asked for. */
export class Directory {
  readonly page: number;
  readonly littleEndian: boolean;
  readonly #source: ByteSource;
  readonly #big: boolean;
  readonly #reads: SmallReads;
  readonly #entries: ReadonlyMap<number, Entry>;
  readonly #descriptions: readonly Entry[];

  constructor(
    source: ByteSource,
    page: number,
    { littleEndian, big }: TiffHeader,
    reads: SmallReads,
    entries: ReadonlyMap<number, Entry>,
    descriptions: readonly Entry[],
  ) {
    this.#source = source;
    this.page = page;
    this.littleEndian = littleEndian;
    this.#big = big;
    this.#reads = reads;
    this.#entries = entries;
    this.#descriptions = descriptions;
  }

  has(tag: number): boolean {
    return this.#entries.has(tag);
  }

  /** How many values the tag holds; 0 where it is not there. */
  count(tag: number): number {
    return this.#entries.get(tag)?.count ?? 0;
  }

  /** The tag's first value, or `otherwise`. */
  async number(tag: number, otherwise: number): Promise<number> {
    if (this.count(tag) === 0) return otherwise;
    return (await this.numbers(tag, 1))[0];
  }

  /**
   * The tag's first values, `most` of them at most; none where it is not there. Memory follows what the file really
   * holds.
   * @throws MillraceError INVALID_DATA for values outside the file, or of a type that holds no whole numbers
   */
  async numbers(tag: number, most: number): Promise<number[]> {
    const entry = this.#entries.get(tag);
    if (entry === undefined) return [];
    const read = READ[entry.type];
    if (read === undefined)
      throw refused(this.#source, this.page, `tag ${tag} has type ${entry.type}, no whole number.`);
    const count = Math.min(entry.count, most);
    const view = await this.#value(tag, entry, count);
    const size = TYPE_BYTES[entry.type];
    return Array.from({ length: count }, (_, i) => read(view, i * size, this.littleEndian));
  }

  /** All descriptions, as Latin 1 or UTF-8 by what they are. */
  async descriptions(): Promise<string[]> {
    const texts: string[] = [];
    for (const entry of this.#descriptions) {
      const view = await this.#value(TAG.imageDescription, entry, Math.min(entry.count, TEXT_BYTES_MAX));
      const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
      texts.push(new TextDecoder().decode(bytes).replace(/\0[\s\S]*$/, ""));
    }
    return texts;
  }

  async #value(tag: number, entry: Entry, count: number): Promise<DataView> {
    const size = TYPE_BYTES[entry.type] || 1;
    // Where the value lies depends on all of it, not on the part that is asked for.
    if (entry.count * size <= entry.field.byteLength) return entry.field;
    const at = this.#big ? u64(entry.field, 0, this.littleEndian) : entry.field.getUint32(0, this.littleEndian);
    const view = await this.#reads.at(at, count * size);
    if (view === undefined) {
      throw refused(
        this.#source,
        this.page,
        `cut off: the ${count} values of tag ${tag} lie past the end of the file.`,
      );
    }
    return view;
  }
}

type ReadValue = (view: DataView, at: number, littleEndian: boolean) => number;
const READ: readonly (ReadValue | undefined)[] = (() => {
  const read: (ReadValue | undefined)[] = [];
  read[1] = read[7] = (v, at) => v.getUint8(at);
  read[3] = (v, at, le) => v.getUint16(at, le);
  read[4] = read[13] = (v, at, le) => v.getUint32(at, le);
  read[6] = (v, at) => v.getInt8(at);
  read[8] = (v, at, le) => v.getInt16(at, le);
  read[9] = (v, at, le) => v.getInt32(at, le);
  read[16] = read[18] = u64;
  return read;
})();

async function readHeader(source: ByteSource, reads: SmallReads): Promise<TiffHeader> {
  const start = await reads.at(0, 8);
  if (start === undefined) throw refused(source, undefined, `not a TIFF file: ${source.bytes} bytes long.`);
  const order = start.getUint16(0, false);
  if (order !== 0x4949 && order !== 0x4d4d) {
    throw refused(source, undefined, "not a TIFF file: it starts with neither II nor MM.");
  }
  const littleEndian = order === 0x4949;
  const magic = start.getUint16(2, littleEndian);
  if (magic === 42) return { littleEndian, big: false, firstDirectory: start.getUint32(4, littleEndian) };
  if (magic !== 43)
    throw refused(source, undefined, `not a TIFF file: its magic number is ${magic}, expected 42 or 43.`);
  const rest = await reads.at(8, 8);
  if (rest === undefined || start.getUint16(4, littleEndian) !== 8) {
    throw refused(source, undefined, "damaged: its BigTIFF header is not one of 8-byte offsets.");
  }
  return { littleEndian, big: true, firstDirectory: u64(rest, 0, littleEndian) };
}

/** Beyond 2^53 the number is not exact, and lies outside of any file. */
function u64(view: DataView, at: number, littleEndian: boolean): number {
  return Number(view.getBigUint64(at, littleEndian));
}
