/** Builds small TIFF files (TIFF 6.0 §2) from pages of samples, so that tests choose byte order, sample format and tags. */
export interface TiffPage {
  readonly width: number;
  readonly height: number;
  /** Sample values in C order. */
  readonly samples: readonly number[];
  readonly bits?: 8 | 16 | 32 | 64;
  /** 1 unsigned, 2 signed, 3 float. */
  readonly format?: 1 | 2 | 3;
  readonly samplesPerPixel?: number;
  /** Rows of a strip; the last strip may be shorter. */
  readonly rowsPerStrip?: number;
  readonly photometric?: number;
  readonly planar?: number;
  readonly description?: string;
}

export function buildTiff(pages: readonly TiffPage[], littleEndian: boolean): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(
    8 + pages.reduce((sum, p) => sum + 512 + p.samples.length * 8 + (p.description?.length ?? 0), 0),
  );
  const view = new DataView(bytes.buffer);
  const u16 = (at: number, value: number) => view.setUint16(at, value, littleEndian);
  const u32 = (at: number, value: number) => view.setUint32(at, value, littleEndian);
  view.setUint16(0, littleEndian ? 0x4949 : 0x4d4d, false);
  u16(2, 42);
  let end = 8;
  let linkAt = 4;
  const reserve = (count: number) => {
    const at = end;
    end += count + (count % 2);
    return at;
  };
  for (const page of pages) {
    const { bits = 16, format = 1, samplesPerPixel = 1 } = page;
    const rowsPerStrip = page.rowsPerStrip ?? page.height;
    const rowSamples = page.width * samplesPerPixel;
    const strips: { at: number; count: number }[] = [];
    for (let row = 0; row < page.height; row += rowsPerStrip) {
      const samples = page.samples.slice(row * rowSamples, (row + rowsPerStrip) * rowSamples);
      const at = reserve((samples.length * bits) / 8);
      samples.forEach((value, i) => {
        if (format === 3 && bits === 64) view.setFloat64(at + i * 8, value, littleEndian);
        else if (format === 3) view.setFloat32(at + i * 4, value, littleEndian);
        else if (bits === 8) view.setUint8(at + i, value);
        else if (bits === 16) u16(at + i * 2, value);
        else u32(at + i * 4, value);
      });
      strips.push({ at, count: (samples.length * bits) / 8 });
    }
    const list = (values: readonly number[]) => {
      if (values.length === 1) return { type: 4, count: 1, value: values[0] };
      const at = reserve(values.length * 4);
      for (const [i, value] of values.entries()) u32(at + i * 4, value);
      return { type: 4, count: values.length, value: at };
    };
    const short = (value: number) => ({ type: 3, count: 1, value });
    const entries: [number, { type: number; count: number; value: number }][] = [
      [256, short(page.width)],
      [257, short(page.height)],
      [258, short(bits)],
      [259, short(1)],
      [262, short(page.photometric ?? 1)],
    ];
    if (page.description !== undefined) {
      const at = reserve(page.description.length + 1);
      for (let i = 0; i < page.description.length; i++) bytes[at + i] = page.description.charCodeAt(i);
      entries.push([270, { type: 2, count: page.description.length + 1, value: at }]);
    }
    entries.push(
      [273, list(strips.map((s) => s.at))],
      [277, short(samplesPerPixel)],
      [278, short(rowsPerStrip)],
      [279, list(strips.map((s) => s.count))],
      [284, short(page.planar ?? 1)],
      [339, short(format)],
    );
    const ifd = reserve(2 + entries.length * 12 + 4);
    u32(linkAt, ifd);
    u16(ifd, entries.length);
    entries.forEach(([tag, { type, count, value }], i) => {
      const at = ifd + 2 + i * 12;
      u16(at, tag);
      u16(at + 2, type);
      u32(at + 4, count);
      if (type === 3) u16(at + 8, value);
      else u32(at + 8, value);
    });
    linkAt = ifd + 2 + entries.length * 12;
  }
  return bytes.slice(0, end);
}
