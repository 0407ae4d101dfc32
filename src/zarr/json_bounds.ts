import { METADATA_DEPTH_MAX, METADATA_VALUES_MAX } from "../base/limits.js";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * What JSON text has more of than is read, or undefined: nesting, or values. Looks at the bytes before JSON.parse turns
 * them into many times as much memory. Whether it is JSON at all is not its matter.
 */
export function jsonExcess(bytes: Uint8Array): string | undefined {
  let depth = 0;
  let values = 1;
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case QUOTE:
        for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
        break;
      case COMMA:
        values++;
        break;
      case OPEN_LIST:
      case OPEN_OBJECT:
        values++;
        if (++depth > METADATA_DEPTH_MAX) return `JSON nested deeper than ${METADATA_DEPTH_MAX}`;
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth--;
        break;
    }
    if (values > METADATA_VALUES_MAX) return `more than ${METADATA_VALUES_MAX} JSON values`;
  }
  return undefined;
}
