/** Lines of `label  value` with the values under each other. */
export function formatFields(fields: readonly (readonly [label: string, value: string])[], indent = ""): string {
  const width = Math.max(...fields.map(([label]) => label.length));
  return fields.map(([label, value]) => `${indent}${label.padEnd(width)}  ${value}\n`).join("");
}
