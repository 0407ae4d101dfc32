import type { JsonObject } from "../base/json.js";
import type { CheckedOptions } from "../options_check.js";

/**
 * What the array's attributes hold: the user's own, and under "millrace" what Zarr has no place for: type, unit and scale of
 * each dimension. Left out when no dimension says anything.
 */
export function streamAttributes(checked: CheckedOptions): JsonObject {
  const dimensions = checked.dimensions.map(({ name, type, unit, scale }) => ({
    name,
    ...(type === undefined ? {} : { type }),
    ...(unit === undefined ? {} : { unit }),
    ...(scale === undefined ? {} : { scale }),
  }));
  if (dimensions.every((d) => Object.keys(d).length === 1)) return checked.attributes;
  return { ...checked.attributes, millrace: { dimensions } };
}
