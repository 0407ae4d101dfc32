import type { JsonObject } from "../base/json.js";
import { writeJson } from "./json_text.js";

/**
 * zarr.json of a group, UTF-8. No `consolidated_metadata`: it would go stale with the first growth of an array below.
 */
export function groupMetadata(attributes: JsonObject = {}): Uint8Array {
  return new TextEncoder().encode(`${writeJson({ zarr_format: 3, node_type: "group", attributes })}\n`);
}
