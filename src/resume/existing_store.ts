import { MillraceError } from "../base/errors.js";
import type { SinkSpec, StoredObjects } from "../handoff/sink.js";
import type { S3Place } from "../s3/s3_options.js";
import { openSdkApi } from "../s3/sdk_api.js";
import { FileStore } from "../store/file_store.js";
import { MemoryStore } from "../store/memory_store.js";
import { S3Store } from "../store/s3_store.js";
import type { ObjectReader } from "../store/store_reader.js";

/** Connections at once: one reads the last epoch. */
const SOCKETS = 4;

export interface ExistingStore extends AsyncDisposable {
  readonly objects: ObjectReader;
}

/**
 * Reads, on the caller's thread, the place that a sink writes to.
 * @throws MillraceError INVALID_OPTION for a sink that cannot be read from here
 */
export function existingStore(sink: Pick<SinkSpec, "kind" | "location" | "options" | "instance">): ExistingStore {
  const { kind, location, options, instance } = sink;
  if (instance !== undefined) {
    if (instance.stored === undefined) throw unreadable(kind);
    return nothingToClose(objectsOf(location, instance.stored));
  }
  switch (kind) {
    case "file":
      return nothingToClose(new FileStore(location));
    case "memory": {
      const { files } = sink as { readonly files?: unknown };
      if (files instanceof Map) return nothingToClose(new MemoryStore(files));
      break;
    }
    case "s3": {
      const store = new S3Store(location, () => openSdkApi(options.place as S3Place, SOCKETS));
      return { objects: store, [Symbol.asyncDispose]: () => store.close() };
    }
    case "throttled":
      return existingStore(options.inner as Pick<SinkSpec, "kind" | "location" | "options">);
  }
  throw unreadable(kind);
}

function objectsOf(location: string, { size, getRange }: StoredObjects): ObjectReader {
  return { location, size, getRange };
}

function nothingToClose(objects: ObjectReader): ExistingStore {
  return { objects, [Symbol.asyncDispose]: async () => {} };
}

function unreadable(kind: string): MillraceError {
  return new MillraceError("INVALID_OPTION", `mode "resume" reads the store, which a sink of kind ${kind} cannot.`, {
    context: { option: "mode", kind },
    hint: "It works with fileSink, s3Sink and memorySink.",
  });
}
