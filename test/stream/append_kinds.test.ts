import { createContext, runInContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { DTYPE_NAMES, type DType } from "../../src/geometry/dtype.js";
import type { MemorySinkSpec } from "../../src/sinks/memory_spec.js";
import { memorySink } from "../../src/sinks/specs.js";
import { openArray } from "../../src/store/array_reader.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { openWriter } from "../../src/writer/open_writer.js";

/**
 * What append takes: bytes for every dtype, and elements of the dtype itself. All else would be stored as bit patterns.
 */
const ROW_ELEMENTS = 8;

const ARRAY_OF: Readonly<Record<DType, string>> = {
  uint8: "Uint8Array",
  uint16: "Uint16Array",
  uint32: "Uint32Array",
  uint64: "BigUint64Array",
  int8: "Int8Array",
  int16: "Int16Array",
  int32: "Int32Array",
  int64: "BigInt64Array",
  float16: "Float16Array",
  float32: "Float32Array",
  float64: "Float64Array",
};

interface TypedArrayConstructor {
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): ArrayBufferView;
}

/** The typed arrays that this engine has: Float16Array is a late one. */
const constructors = [...Object.values(ARRAY_OF), "Uint8ClampedArray"]
  .map((name) => (globalThis as Record<string, unknown>)[name] as TypedArrayConstructor | undefined)
  .filter((kind) => kind !== undefined);

async function open(dtype: DType): Promise<{ sink: MemorySinkSpec; writer: ArrayWriter }> {
  const sink = memorySink();
  const writer = await openWriter({
    sink,
    backend: "cpu",
    threads: "inline",
    array: {
      dtype,
      codec: "none",
      dimensions: [
        { name: "t", size: null, chunk: 1 },
        { name: "x", size: ROW_ELEMENTS, chunk: ROW_ELEMENTS },
      ],
    },
  });
  return { sink, writer };
}

const refusal = (given: string, expected: string) =>
  expect.objectContaining({ code: "INVALID_DATA", context: expect.objectContaining({ given, expected }) });

describe("the kind of what is appended", () => {
  it.each(DTYPE_NAMES)("is that of %s, or bytes", async (dtype) => {
    const { sink, writer } = await open(dtype);
    const bytes = Uint8Array.from({ length: writer.geometry.rowBytes }, (_, i) => i + 1);
    let rows = 0;
    for (const Kind of constructors) {
      const data = new Kind(bytes.buffer);
      const isOwn = Kind.name === ARRAY_OF[dtype];
      if (isOwn || Kind.name === "Uint8Array" || (Kind.name === "Uint8ClampedArray" && dtype === "uint8")) {
        await writer.append(data);
        expect(writer.tryAppend(data)).toBe(bytes.byteLength);
        rows += 2;
        continue;
      }
      await expect(writer.append(data)).rejects.toThrow(refusal(Kind.name, ARRAY_OF[dtype]));
      expect(() => writer.tryAppend(data)).toThrow(refusal(Kind.name, ARRAY_OF[dtype]));
    }
    expect(writer.watermarks.accepted).toBe(rows);
    await writer.close();
    const { data } = await (await openArray(sink.files)).readRegion();
    for (let row = 0; row < rows; row++)
      expect(data.subarray(row * bytes.length, (row + 1) * bytes.length)).toEqual(bytes);
  });

  it("is looked at on every way in", async () => {
    const { writer } = await open("uint16");
    const floats = new Float32Array(ROW_ELEMENTS);
    const refused = refusal("Float32Array", "Uint16Array");
    await expect(writer.writeFrom([floats])).rejects.toThrow(refused);
    await expect(writer.writable.getWriter().write(floats)).rejects.toThrow(refused);
    expect(writer.watermarks.accepted).toBe(0);
    await writer.abort();
  });

  it("is no matter of its name or realm", async () => {
    const { writer } = await open("uint16");
    class Frame extends Uint16Array {
      override get [Symbol.toStringTag](): "Uint16Array" {
        return "Frame" as "Uint16Array";
      }
    }
    class Disguised extends Float32Array {
      override get [Symbol.toStringTag](): "Float32Array" {
        return "Uint16Array" as "Float32Array";
      }
    }
    const elsewhere = (code: string): ArrayBufferView => runInContext(code, createContext({}));
    await writer.append(new Frame(ROW_ELEMENTS));
    await writer.append(elsewhere("new Uint16Array(8)"));
    await writer.append(elsewhere("new Uint8Array(16)"));
    await writer.append(elsewhere("new ArrayBuffer(16)"));
    await expect(writer.append(new Disguised(ROW_ELEMENTS))).rejects.toThrow(refusal("Float32Array", "Uint16Array"));
    await expect(writer.append(elsewhere("new Int16Array(8)"))).rejects.toThrow(refusal("Int16Array", "Uint16Array"));
    expect(writer.watermarks.accepted).toBe(4);
    await writer.close();
  });
});

describe("bytes", () => {
  it.each([
    ["an ArrayBuffer", (bytes: Uint8Array) => bytes.slice().buffer],
    [
      "a SharedArrayBuffer",
      (bytes: Uint8Array) => {
        const shared = new SharedArrayBuffer(bytes.length);
        new Uint8Array(shared).set(bytes);
        return shared;
      },
    ],
    ["a DataView", (bytes: Uint8Array) => new DataView(bytes.slice().buffer)],
    ["a Buffer", (bytes: Uint8Array) => Buffer.from(bytes)],
  ])("in %s go in by every call", async (_, wrap) => {
    const { sink, writer } = await open("float32");
    const row = (n: number): Uint8Array => Uint8Array.from({ length: 4 * ROW_ELEMENTS }, (_, i) => n * 32 + i);
    await writer.append(wrap(row(0)));
    expect(writer.tryAppend(wrap(row(1)))).toBe(32);
    await writer.writeFrom([wrap(row(2))]);
    const stream = writer.writable.getWriter();
    await stream.write(wrap(row(3)));
    await stream.close();
    const { data } = await (await openArray(sink.files)).readRegion();
    expect(Buffer.compare(data, Buffer.concat([row(0), row(1), row(2), row(3)]))).toBe(0);
  });

  it.each<[string, () => ArrayBufferView | ArrayBufferLike]>([
    ["a detached ArrayBuffer", () => detached().buffer],
    ["a Uint16Array over a detached buffer", () => detached()],
    ["a Uint8Array over a detached buffer", () => detached((buffer) => new Uint8Array(buffer))],
    ["a Uint16Array outside of a resized buffer", () => outside((buffer) => new Uint16Array(buffer, 8, 4))],
    ["a Uint8Array outside of a resized buffer", () => outside((buffer) => new Uint8Array(buffer, 8, 8))],
    ["a DataView outside of a resized buffer", () => outside((buffer) => new DataView(buffer, 8, 8))],
  ])("in %s are refused, not taken for none", async (_, make) => {
    const { writer } = await open("uint16");
    await expect(writer.append(make())).rejects.toThrow(expect.objectContaining({ code: "INVALID_DATA" }));
    expect(() => writer.tryAppend(make())).toThrow(expect.objectContaining({ code: "INVALID_DATA" }));
    await writer.append(new Uint16Array(0));
    await writer.append(new ArrayBuffer(0));
    await writer.close();
  });
});

type View = Uint8Array | Uint16Array | DataView;

function detached(make = (buffer: ArrayBuffer): View => new Uint16Array(buffer)): View {
  const view = make(new ArrayBuffer(16));
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  return view;
}

function outside(make: (buffer: ArrayBuffer) => View): View {
  type Resizable = ArrayBuffer & { resize(bytes: number): void };
  const ResizableBuffer = ArrayBuffer as unknown as new (bytes: number, about: { maxByteLength: number }) => Resizable;
  const buffer = new ResizableBuffer(16, { maxByteLength: 32 });
  const view = make(buffer);
  buffer.resize(4);
  return view;
}

it.each([
  ["undefined", undefined],
  ["null", null],
  ["a list of numbers", [1, 2, 3]],
  ["a text", "bytes"],
  ["a number", 7],
  ["an object with a false tag", { [Symbol.toStringTag]: "ArrayBuffer", byteLength: 16 }],
])("%s is no data", async (_, data) => {
  const { writer } = await open("uint16");
  const given = data as unknown as Uint8Array;
  await expect(writer.append(given)).rejects.toThrow(expect.objectContaining({ code: "INVALID_DATA" }));
  expect(() => writer.tryAppend(given)).toThrow(expect.objectContaining({ code: "INVALID_DATA" }));
  await expect(writer.writeFrom(given as unknown as Iterable<Uint8Array>)).rejects.toThrow(
    expect.objectContaining({ code: "INVALID_DATA" }),
  );
  await writer.close();
});
