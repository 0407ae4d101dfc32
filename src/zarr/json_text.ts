import { isJsonObject, type Json } from "../base/json.js";

/**
 * JSON text where a JavaScript number is not enough: integers beyond 2^53 are written from, and read as, their exact
 * digits.
 */

/** A piece of JSON text that is written as it stands. */
export class RawJson {
  constructor(readonly text: string) {}
}

export type JsonOrRaw = Json | RawJson | readonly JsonOrRaw[] | { readonly [key: string]: JsonOrRaw };

/**
 * Pretty JSON, two spaces a level; arrays of scalars stay on one line. Members keep their order. Ends without a
 * newline.
 */
export function writeJson(value: JsonOrRaw, indent = ""): string {
  if (value instanceof RawJson) return value.text;
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    const items = (value as readonly JsonOrRaw[]).map((item) => writeJson(item, deeper));
    if (value.every((item) => typeof item !== "object" || item === null)) return `[${items.join(", ")}]`;
    return `[\n${items.map((item) => deeper + item).join(",\n")}\n${indent}]`;
  }
  if (isJsonObject(value)) {
    const members = Object.entries(value).map(([k, v]) => `${deeper}${JSON.stringify(k)}: ${writeJson(v, deeper)}`);
    return members.length === 0 ? "{}" : `{\n${members.join(",\n")}\n${indent}}`;
  }
  return JSON.stringify(value);
}

/** Where the value of a member stands in its text, from `start` up to `end`. */
interface TextSpan {
  readonly start: number;
  readonly end: number;
}

/** The text of a member of the top-level object, see {@link topLevelSpan}. */
export function topLevelMember(text: string, name: string): string | undefined {
  const span = topLevelSpan(text, name);
  return span && text.slice(span.start, span.end);
}

/**
 * Where the value of a member of the top-level object stands, or undefined when there is none. Of a member that is
 * there twice the last one counts, as in JSON.parse. `text` must be what JSON.parse has accepted as an object: nothing
 * is checked here.
 */
export function topLevelSpan(text: string, name: string): TextSpan | undefined {
  let found: TextSpan | undefined;
  let at = text.indexOf("{") + 1;
  for (;;) {
    at = skipSpace(text, at);
    if (text[at] === "}" || at >= text.length) return found;
    const keyEnd = skipString(text, at);
    const key: unknown = JSON.parse(text.slice(at, keyEnd));
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = skipValue(text, start);
    if (key === name) found = { start, end };
    at = skipSpace(text, end);
    if (text[at] === ",") at++;
  }
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && " \t\r\n".includes(text[at])) at++;
  return at;
}

/** From an opening quote to behind the closing one. */
function skipString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

function skipValue(text: string, from: number): number {
  if (text[from] === '"') return skipString(text, from);
  let at = from;
  if (text[from] !== "{" && text[from] !== "[") {
    while (at < text.length && !" \t\r\n,}]".includes(text[at])) at++;
    return at;
  }
  let depth = 0;
  do {
    const c = text[at];
    if (c === '"') {
      at = skipString(text, at);
      continue;
    }
    if (c === "{" || c === "[") depth++;
    else if (c === "}" || c === "]") depth--;
    at++;
  } while (depth > 0 && at < text.length);
  return at;
}
