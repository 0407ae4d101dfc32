// Streams small arrays. `writeAll` runs in Node too, so that a test can compare the stores.

const SHAPE = [13, 37, 50];
const ROW_ELEMENTS = SHAPE[1] * SHAPE[2];
/** Rows left at the fill value: a whole chunk and then some. */
const SKIPPED = { from: 6, rows: 3 };

function arrayOptions(codec) {
  return {
    dtype: "uint16",
    codec,
    fillValue: 7,
    attributes: { camera: "none" },
    dimensions: [
      { name: "t", size: null, chunk: 2, shard: 4 },
      { name: "y", size: SHAPE[1], chunk: 16, shard: 32, unit: "micrometer", scale: 0.5 },
      { name: "x", size: SHAPE[2], chunk: 24 },
    ],
  };
}

/** Elements tell where they are in their high byte, and are noisy in the low one. */
function rows(from, to) {
  const elements = new Uint16Array((to - from) * ROW_ELEMENTS);
  for (let i = 0; i < elements.length; i++) {
    const at = from * ROW_ELEMENTS + i;
    elements[i] = ((at >> 5) & 0xff00) | ((Math.imul(at, 2654435761) >>> 24) & 0x3f);
  }
  return elements;
}

async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Streams one array into `sink`; `millrace` is the module. Returns what the writer says at the end. */
export async function stream(millrace, sink, codec, over = {}) {
  const writer = await millrace.openWriter({
    sink,
    array: arrayOptions(codec),
    threads: "inline",
    batchEpochs: 2,
    publishIntervalMs: 0,
    ...over,
  });
  const pieces = [rows(0, SKIPPED.from), rows(SKIPPED.from + SKIPPED.rows, SHAPE[0])];
  for (const [i, elements] of pieces.entries()) {
    // No divisor of a row, a chunk or a slot.
    for (let at = 0; at < elements.length; at += 1999) await writer.append(elements.subarray(at, at + 1999));
    if (i === 0) await writer.skip(SKIPPED.rows);
  }
  await writer.close();
  const { adapter, backend, watermarks } = writer;
  return { adapter, backend, watermarks, chunksByRoute: writer.metrics().chunksByRoute };
}

/** Every object of a store as its size and SHA-256. */
export async function describeFiles(files) {
  const objects = {};
  for (const key of [...files.keys()].sort()) {
    const bytes = files.get(key);
    objects[key] = `${bytes.byteLength} ${await sha256(bytes)}`;
  }
  return objects;
}

/**
 * The stores of all codecs, written at the same time: on a GPU the streams share a device, and kernels compile once.
 */
export async function writeAll(millrace, codecs, over) {
  const stores = codecs.map(async (codec) => {
    const sink = millrace.memorySink();
    const said = await stream(millrace, sink, codec, over);
    return [codec, { ...said, objects: await describeFiles(sink.files) }];
  });
  return Object.fromEntries(await Promise.all(stores));
}

/** The same in a worker of the page. */
export function writeAllInWorker(codecs, over) {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(`in the worker: ${message}`));
    worker.postMessage({ codecs, over });
  });
}

async function codeOf(call) {
  try {
    await call();
    return "";
  } catch (error) {
    return error.code;
  }
}

/** A stream whose sink does not answer: what it says it waits for, and how it ends. */
export async function stall(millrace, ending) {
  const { arrived, closeGate, openGate } = await import("./held_sink.js");
  closeGate();
  arrived.count = 0;
  const writer = await millrace.openWriter({
    sink: millrace.moduleSink(new URL("./held_sink.js", import.meta.url)),
    array: arrayOptions("none"),
    threads: "inline",
    batchEpochs: 1,
    depth: 2,
    publishIntervalMs: 0,
  });
  const stream = writer.writable.getWriter();
  const written = stream.write(rows(0, 13)).then(
    () => "written",
    (error) => error.code,
  );
  stream.closed.catch(() => {});
  const waits = () => writer.metrics().waiting.map(({ owner, rule }) => `${owner} ${rule}`);
  // The batch behind the held one waits for its turn, and the engine for a slot. Until it does, it waits for other
  // things.
  const standstill = [
    "producer STAGING_FREE",
    "engine JOIN_BEFORE_REFILL",
    "delivery DELIVER_OLDEST_FIRST",
    "delivery OUTPUT_RELEASED",
  ];
  const stands = () => standstill.every((wait, i) => waits()[i] === wait);
  while (arrived.count === 0 || !stands()) await new Promise((resolve) => setTimeout(resolve, 1));
  const waiting = waits();
  const ended = ending === "close" ? stream.close() : stream.abort(new Error("enough"));
  // An abort answers the chunk before the sink does.
  const early = ending === "close" ? undefined : await written;
  openGate();
  await ended;
  return { waiting, early, written: await written, left: waits(), accepted: writer.watermarks.accepted };
}

export async function run({ codecs }) {
  const millrace = await import("/dist/browser.js");
  const stores = await writeAll(millrace, codecs);
  const discarded = await stream(millrace, millrace.discardSink(), codecs[0]);
  const own = millrace.moduleSink(new URL("./map_sink.js", import.meta.url));
  await stream(millrace, own, codecs[0]);
  const { files } = await import("./map_sink.js");
  const open = (over, codec) =>
    codeOf(() => millrace.openWriter({ sink: millrace.memorySink(), array: arrayOptions(codec ?? "none"), ...over }));
  return {
    stores,
    discarded,
    ownSink: await describeFiles(files),
    inWorker: await writeAllInWorker(codecs),
    stalled: { close: await stall(millrace, "close"), abort: await stall(millrace, "abort") },
    refused: {
      workers: await open({ threads: "workers" }),
      libzstd: await open({}, "zstd:3"),
      gpu: await open({ backend: "gpu" }),
    },
  };
}
