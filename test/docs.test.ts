import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ERROR_CODES } from "../src/base/errors.js";
import { ORDERING_COUNTED_RULES } from "../src/metrics/counted_rules.js";
import { ORDERING_RULE_NAMES, ORDERING_RULES } from "../src/slots/ordering.js";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

/** First column of the rows of a Markdown table, where it is `CODE` or CODE. */
function firstColumn(markdown: string): string[] {
  return [...markdown.matchAll(/^\| `?([A-Z][A-Z0-9_]+)`? \|/gm)].map((match) => match[1]);
}

it("docs/errors.md lists every code with its meaning", () => {
  const page = read("docs/errors.md");
  expect(firstColumn(page).sort()).toEqual(Object.keys(ERROR_CODES).sort());
  for (const [code, meaning] of Object.entries(ERROR_CODES)) expect(page).toContain(`| \`${code}\` | ${meaning} |`);
});

it("docs/ordering.md lists every rule as the code has it", () => {
  const page = read("docs/ordering.md");
  expect(firstColumn(page)).toEqual(ORDERING_RULE_NAMES);
  for (const [name, { producer, consumer, guards }] of Object.entries(ORDERING_RULES)) {
    expect(page).toContain(`| ${name} | ${producer} → ${consumer} | ${guards} |`);
  }
});

it("metrics count waits under every rule", () => {
  expect(ORDERING_COUNTED_RULES.slice(0, -1)).toEqual(ORDERING_RULE_NAMES);
});

it("documented codes of public functions exist", () => {
  for (const file of [
    "src/writer/array_writer.ts",
    "src/writer/open_writer.ts",
    "src/writer/estimate.ts",
    "src/writer/page_writer.ts",
    "src/sinks/specs.ts",
    "src/store/verify.ts",
  ]) {
    for (const [, list] of read(file).matchAll(/@throws MillraceError ([^*]*)/g)) {
      for (const [code] of list.matchAll(/\b[A-Z]+(_[A-Z0-9]+)+\b/g)) expect(Object.keys(ERROR_CODES)).toContain(code);
    }
  }
});
