import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { MillraceError } from "../base/errors.js";

/** Attribute that marks a store as the demo's own, and says how its frames were made. */
export const DEMO_ATTRIBUTE = "millrace_demo";

export type DemoStoreState = "absent" | "demo";

/**
 * Looks at what lies where the demo wants to write. It replaces a store of its own, never anything else.
 * @throws MillraceError STORE_EXISTS when something else is there
 */
export async function examineDemoStore(store: string): Promise<DemoStoreState> {
  let text: string;
  try {
    text = await readFile(join(store, "zarr.json"), "utf8");
  } catch (error) {
    // Also a folder with other files in it reads as absent here: the sink refuses that one, mode "create".
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") return "absent";
    throw notOurs(store, error);
  }
  let attributes: unknown;
  try {
    attributes = (JSON.parse(text) as { attributes?: unknown }).attributes;
  } catch (error) {
    throw notOurs(store, error);
  }
  if (typeof attributes === "object" && attributes !== null && DEMO_ATTRIBUTE in attributes) return "demo";
  throw notOurs(store);
}

function notOurs(store: string, cause?: unknown): MillraceError {
  return new MillraceError("STORE_EXISTS", `${store} is there already and was not written by the demo.`, {
    context: { store },
    hint: "Name another folder: millrace demo STORE.",
    cause,
  });
}
