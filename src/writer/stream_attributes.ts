import type { JsonObject } from "../base/json.js";
import { encoderKind } from "../codec/codec.js";
import { ENCODER_VERSION } from "../codec/encoder/index.js";
import type { CheckedOptions } from "../options_check.js";
import { OWN_ATTRIBUTES } from "../zarr/attributes.js";

/**
 * What the array's attributes hold: the user's own, and under "millrace" what Zarr has no place for: type, unit and
 * scale of each dimension, and the version of the block encoder's specification where it wrote the chunks (the same
 * version gives the same bytes). Left out when there is nothing to say.
 */
export function streamAttributes(checked: CheckedOptions): JsonObject {
  const dimensions = checked.dimensions.map(({ name, type, unit, scale }) => ({
    name,
    ...(type === undefined ? {} : { type }),
    ...(unit === undefined ? {} : { unit }),
    ...(scale === undefined ? {} : { scale }),
  }));
  const described = dimensions.some((d) => Object.keys(d).length > 1);
  const encoded = encoderKind(checked.codec) === "millrace";
  if (!described && !encoded) return checked.attributes;
  return {
    ...checked.attributes,
    [OWN_ATTRIBUTES]: { ...(described ? { dimensions } : {}), ...(encoded ? { encoderVersion: ENCODER_VERSION } : {}) },
  };
}
