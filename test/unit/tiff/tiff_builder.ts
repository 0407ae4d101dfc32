/**
 * Builds small TIFF files (TIFF 6.0 §2) from pages of samples, so that tests choose byte order, layout, compression and
 * tags.
 */
export interface TiffPage {
  readonly width: number;
  readonly height: number;
  /** Sample values in C order: [height, width, samplesPerPixel], with `planar` 2 [samplesPerPixel, height, width]. */
  readonly samples: readonly (number | bigint)[];
  /** Default: 16. Others than whole bytes are packed. */
  readonly bits?: number;
  /** 1 unsigned, 2 signed, 3 float. */
  readonly format?: 1 | 2 | 3;
  readonly samplesPerPixel?: number;
  /** Rows of a strip; the last strip may be shorter. */
  readonly rowsPerStrip?: number;
  /** Width and height of tiles; those at the edge are padded with 0xee. */
  readonly tile?: readonly [number, number];
  readonly photometric?: number;
  readonly planar?: number;
  readonly predictor?: 1 | 2 | 3;
  /** The tag's value, and what is done to a strip or tile. */
  readonly compression?: { readonly code: number; readonly encode: (bytes: Uint8Array) => Uint8Array };
  readonly description?: string;
  /** More entries, or others in the place of those made here: tag, type (1, 3 or 4), values. */
  readonly tags?: readonly (readonly [number, 1 | 3 | 4, readonly number[]])[];
}

interface Block {
  readonly row: number;
  readonly column: number;
  readonly plane: number;
  readonly rows: number;
  readonly columns: number;
}

export function buildTiff(pages: readonly TiffPage[], littleEndian: boolean, big = false): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  let end = 0;
  const put = (bytes: Uint8Array): number => {
    const at = end;
    parts.push(bytes, new Uint8Array(bytes.byteLength % 2));
    end += bytes.byteLength + (bytes.byteLength % 2);
    return at;
  };
  const numbers = (size: number, values: readonly number[]): Uint8Array => {
    const view = new DataView(new ArrayBuffer(size * values.length));
    for (const [i, value] of values.entries()) {
      if (size === 1) view.setUint8(i, value);
      else if (size === 2) view.setUint16(2 * i, value, littleEndian);
      else if (size === 4) view.setUint32(4 * i, value, littleEndian);
      else view.setBigUint64(8 * i, BigInt(value), littleEndian);
    }
    return new Uint8Array(view.buffer);
  };
  const word = big ? 8 : 4;
  put(Uint8Array.from(littleEndian ? [0x49, 0x49] : [0x4d, 0x4d]));
  put(numbers(2, big ? [43, 8, 0] : [42]));
  /** The link to the next directory, filled in when that is put. */
  let link = numbers(word, [0]);
  put(link);
  for (const page of pages) {
    const { bits = 16, format = 1, samplesPerPixel = 1, planar = 1, tile, width, height } = page;
    const blocks = blocksOf(page).map((block) => {
      const bytes = blockBytes(page, block, littleEndian);
      return page.compression === undefined ? bytes : page.compression.encode(bytes);
    });
    const offsets = blocks.map(put);
    const counts = blocks.map((block) => block.byteLength);
    const description = page.description === undefined ? [] : [...new TextEncoder().encode(`${page.description}\0`)];
    const entries = new Map<number, readonly [number, readonly number[]]>([
      [256, [4, [width]]],
      [257, [4, [height]]],
      [258, [3, new Array<number>(samplesPerPixel).fill(bits)]],
      [259, [3, [page.compression?.code ?? 1]]],
      [262, [3, [page.photometric ?? 1]]],
      [277, [3, [samplesPerPixel]]],
      [284, [3, [planar]]],
      [317, [3, [page.predictor ?? 1]]],
      [339, [3, new Array<number>(samplesPerPixel).fill(format)]],
      ...(description.length > 0 ? ([[270, [2, description]]] as const) : []),
      ...(tile === undefined
        ? ([
            [278, [4, [page.rowsPerStrip ?? height]]],
            [273, [big ? 16 : 4, offsets]],
            [279, [big ? 16 : 4, counts]],
          ] as const)
        : ([
            [322, [4, [tile[0]]]],
            [323, [4, [tile[1]]]],
            [324, [big ? 16 : 4, offsets]],
            [325, [big ? 16 : 4, counts]],
          ] as const)),
      ...(page.tags ?? []).map(([tag, type, values]) => [tag, [type, values]] as const),
    ]);
    const table: Uint8Array[] = [numbers(big ? 8 : 2, [entries.size])];
    for (const [tag, [type, values]] of [...entries].sort((a, b) => a[0] - b[0])) {
      const value = numbers({ 1: 1, 2: 1, 3: 2, 4: 4, 16: 8 }[type]!, values);
      const field = new Uint8Array(word);
      field.set(value.byteLength <= word ? value : numbers(word, [put(value)]));
      table.push(numbers(2, [tag, type]), numbers(word, [values.length]), field);
    }
    link.set(numbers(word, [end]));
    link = numbers(word, [0]);
    put(join([...table, link.subarray(0, 0)]));
    put(link);
  }
  return join(parts);
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

function blocksOf({ width, height, samplesPerPixel = 1, planar = 1, rowsPerStrip = height, tile }: TiffPage): Block[] {
  const [columns, rows] = tile ?? [width, rowsPerStrip];
  const blocks: Block[] = [];
  for (let plane = 0; plane < (planar === 2 ? samplesPerPixel : 1); plane++) {
    for (let row = 0; row < height; row += rows) {
      for (let column = 0; column < width; column += columns) {
        blocks.push({ plane, row, column, columns, rows: tile === undefined ? Math.min(rows, height - row) : rows });
      }
    }
  }
  return blocks;
}

/** A strip's or tile's bytes before compression. */
function blockBytes(page: TiffPage, block: Block, littleEndian: boolean): Uint8Array {
  const { bits = 16, format = 1, samplesPerPixel = 1, planar = 1, predictor = 1, width, height } = page;
  const stride = planar === 2 ? 1 : samplesPerPixel;
  const rowSamples = block.columns * stride;
  const itemBytes = bits / 8;
  const rows: Uint8Array[] = [];
  for (let r = 0; r < block.rows; r++) {
    const values = Array.from({ length: rowSamples }, (_, i): number | bigint | undefined => {
      const x = block.column + Math.floor(i / stride);
      const y = block.row + r;
      if (x >= width || y >= height) return undefined;
      return page.samples[block.plane * width * height + (y * width + x) * stride + (i % stride)];
    });
    if (!Number.isInteger(itemBytes)) {
      rows.push(packed(values.map(Number), bits));
      continue;
    }
    const view = new DataView(new ArrayBuffer(rowSamples * itemBytes));
    const order = predictor === 3 ? false : littleEndian;
    for (const [i, value] of values.entries()) {
      if (value === undefined) for (let b = 0; b < itemBytes; b++) view.setUint8(i * itemBytes + b, 0xee);
      else if (format === 3 && bits === 64) view.setFloat64(i * 8, Number(value), order);
      else if (format === 3 && bits === 32) view.setFloat32(i * 4, Number(value), order);
      else if (bits === 8) view.setUint8(i, Number(value));
      else if (bits === 16) view.setUint16(i * 2, Number(value), order);
      else if (bits === 32) view.setUint32(i * 4, Number(value), order);
      else view.setBigUint64(i * 8, BigInt.asUintN(64, BigInt(value)), order);
    }
    let row = new Uint8Array(view.buffer);
    if (predictor === 2) differences(view, itemBytes, stride, littleEndian);
    if (predictor === 3) {
      const planes = new Uint8Array(row.length);
      for (let i = 0; i < row.length; i++) planes[(i % itemBytes) * rowSamples + Math.floor(i / itemBytes)] = row[i];
      for (let i = row.length - 1; i >= stride; i--) planes[i] -= planes[i - stride];
      row = planes;
    }
    rows.push(row);
  }
  return join(rows);
}

function differences(view: DataView, itemBytes: number, stride: number, littleEndian: boolean): void {
  const get = (i: number) =>
    itemBytes === 1
      ? BigInt(view.getUint8(i))
      : itemBytes === 2
        ? BigInt(view.getUint16(2 * i, littleEndian))
        : itemBytes === 4
          ? BigInt(view.getUint32(4 * i, littleEndian))
          : view.getBigUint64(8 * i, littleEndian);
  for (let i = view.byteLength / itemBytes - 1; i >= stride; i--) {
    const value = BigInt.asUintN(8 * itemBytes, get(i) - get(i - stride));
    if (itemBytes === 1) view.setUint8(i, Number(value));
    else if (itemBytes === 2) view.setUint16(2 * i, Number(value), littleEndian);
    else if (itemBytes === 4) view.setUint32(4 * i, Number(value), littleEndian);
    else view.setBigUint64(8 * i, value, littleEndian);
  }
}

function packed(values: readonly number[], bits: number): Uint8Array {
  const text = values.map((value) => (value || 0).toString(2).padStart(bits, "0")).join("");
  const bytes = new Uint8Array(Math.ceil(text.length / 8));
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(8 * i, 8 * i + 8).padEnd(8, "0"), 2);
  return bytes;
}

/** LZW as the reader's counterpart; clears the table once `clearAt` is the next free code (the specification: 4095). */
export function encodeLzw(src: Uint8Array, clearAt = 4095): Uint8Array {
  const codes: string[] = [];
  let table = new Map<string, number>();
  let next = 258;
  let width = 9;
  const emit = (code: number) => codes.push(code.toString(2).padStart(width, "0"));
  const grow = () => {
    if (next === 512 || next === 1024 || next === 2048) width++;
  };
  const code = (key: string) => (key.length === 1 ? key.charCodeAt(0) : table.get(key));
  emit(256);
  let held = "";
  for (const byte of src) {
    const key = held + String.fromCharCode(byte);
    if (code(key) !== undefined) {
      held = key;
      continue;
    }
    emit(code(held)!);
    table.set(key, next++);
    grow();
    held = String.fromCharCode(byte);
    if (next === clearAt) {
      emit(256);
      table = new Map();
      next = 258;
      width = 9;
    }
  }
  if (held !== "") emit(code(held)!);
  next++;
  grow();
  emit(257);
  const text = codes.join("");
  return Uint8Array.from({ length: Math.ceil(text.length / 8) }, (_, i) =>
    Number.parseInt(text.slice(8 * i, 8 * i + 8).padEnd(8, "0"), 2),
  );
}
