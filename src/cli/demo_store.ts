import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { MillraceError } from "../base/errors.js";
import type { StoreReader, StoreTarget } from "../index.js";

/** Attribute that marks a store as the demo's own, and says how its frames were made. */
export const DEMO_ATTRIBUTE = "millrace_demo";

type DemoStoreState = "absent" | "demo";

/**
 * Looks at what lies where the demo wants to write. It replaces a store of its own, never anything else.
 * @param store as it was named, for messages
 * @throws MillraceError STORE_EXISTS when something else is there, or what reading rejects with
 */
export async function examineDemoStore(store: string, target: StoreTarget): Promise<DemoStoreState> {
  const text = typeof target === "string" ? await readFromFolder(target) : await readFrom(target as StoreReader);
  // A place with other objects in it reads as absent too: the sink refuses that one, mode "create".
  if (text === undefined) return "absent";
  let attributes: unknown;
  try {
    attributes = (JSON.parse(text) as { attributes?: unknown }).attributes;
  } catch (error) {
    throw notOurs(store, error);
  }
  if (typeof attributes === "object" && attributes !== null && DEMO_ATTRIBUTE in attributes) return "demo";
  throw notOurs(store);
}

async function readFromFolder(folder: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, "zarr.json"), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw notOurs(folder, error);
  }
}

async function readFrom(reader: StoreReader): Promise<string | undefined> {
  const bytes = await reader.get("zarr.json");
  return bytes && new TextDecoder().decode(bytes);
}

function notOurs(store: string, cause?: unknown): MillraceError {
  return new MillraceError("STORE_EXISTS", `${store} is there already and was not written by the demo.`, {
    context: { store },
    hint: "Name another place: millrace demo STORE.",
    cause,
  });
}
