import { OURS } from "./contenders.js";

const Z1 = "libzstd 1";
const B1 = "libblosc zstd-1";

export function geometricMean(values) {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/**
 * The Markdown tables of docs/benchmarks.md. `rows`: { set, ratio: { contender: number }, gbPerSecond: { contender: {
 * median } } }
 */
export function tables(rows, contenders) {
  const table = (title, names, cell) => [
    "",
    `| ${title} | ${names.join(" | ")} |`,
    `|---|${names.map(() => "---|").join("")}`,
    ...rows.map((row) => `| ${row.set} | ${names.map((name) => cell(row, name) ?? "–").join(" | ")} |`),
  ];
  const names = contenders.map(({ name }) => name);
  return [
    ...table(
      "ratio",
      names.filter((name) => name !== "memcpy" && name !== `${OURS}, TypeScript`),
      (row, name) => row.ratio[name]?.toFixed(3),
    ),
    ...table("GB/s, one core", names, (row, name) => row.gbPerSecond[name]?.median.toFixed(2)),
  ].join("\n");
}

/** What the targets are about, over the rows that are images, and over all. */
export function summary(rows) {
  const lines = [];
  const compare = (title, chosen, value) => {
    const found = chosen.map((row) => ({ set: row.set, value: value(row) })).filter(({ value }) => value !== undefined);
    if (found.length === 0) return;
    const least = found.reduce((a, b) => (b.value < a.value ? b : a));
    const mean = geometricMean(found.map(({ value }) => value));
    lines.push({ title, geometricMean: mean, least: least.value, leastSet: least.set, sets: found.length });
  };
  const images = rows.filter(({ image }) => image);
  const cameras = rows.filter(({ camera }) => camera);
  const ratio = (peer) => (row) => row.ratio[peer] && row.ratio[OURS] / row.ratio[peer];
  // Round by round, then the median: what slowed a round down slowed both.
  const speed = (peer) => (row) => row.speedOver[peer];
  compare(`ratio over ${Z1}, images`, images, ratio(Z1));
  compare(`ratio over ${B1}, images`, images, ratio(B1));
  compare(
    `ratio over ${Z1}, all sets with content`,
    rows.filter(({ set }) => set !== "constant"),
    ratio(Z1),
  );
  compare(`speed over ${Z1}, camera`, cameras, speed(Z1));
  compare(`speed over ${B1}, camera`, cameras, speed(B1));
  compare(`speed over ${Z1}, images`, images, speed(Z1));
  compare(`speed over ${B1}, images`, images, speed(B1));
  return lines;
}

export function summaryText(lines) {
  return [
    "",
    "| | geometric mean | least | at |",
    "|---|---|---|---|",
    ...lines.map(
      ({ title, geometricMean: mean, least, leastSet }) =>
        `| ${title} | ${mean.toFixed(2)} | ${least.toFixed(2)} | ${leastSet} |`,
    ),
  ].join("\n");
}
