import { InvalidArgumentError } from "commander";

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** Parses a byte count ≥ 1: `1000001`, `64KiB`, `1MiB`, `2g`. Suffixes are binary. */
export function parseBytes(text: string): number {
  const match = /^(\d+)\s*([kmg]?)(i?b)?$/i.exec(text.trim());
  const bytes = match === null ? Number.NaN : Number(match[1]) * UNITS[match[2].toLowerCase()];
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new InvalidArgumentError(`Expected a number of bytes such as 1048576 or 1MiB, got "${text}".`);
  }
  return bytes;
}

/** Parses a count ≥ 1. */
export function parsePositive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError(`Expected a whole number from 1, got "${text}".`);
  }
  return value;
}

/** Parses a count from 0. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError(`Expected a whole number from 0, got "${text}".`);
  }
  return value;
}

/** Parses a seed: 0 … 2^32 − 1. */
export function parseSeed(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0xffffffff) {
    throw new InvalidArgumentError(`Expected a whole number from 0 to 4294967295, got "${text}".`);
  }
  return value;
}

/** Parses seconds > 0; fractions are fine. */
export function parseSeconds(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError(`Expected a number of seconds above 0, got "${text}".`);
  }
  return value;
}

/** Bytes for people: decimal units, as rates are. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let value = bytes / 1000;
  let unit = 0;
  // 999.5 would print as "1000 kB".
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}

/** Bytes per second for people; "–" where no time has passed. */
export function formatRate(bytes: number, seconds: number): string {
  return seconds > 0 ? `${formatBytes(Math.round(bytes / seconds))}/s` : "–";
}

/** `1 row`, `2 rows`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Raw over stored; "–" before anything is stored. */
export function formatRatio(bytesIn: number, bytesStored: number): string {
  return bytesStored > 0 ? (bytesIn / bytesStored).toFixed(2) : "–";
}

/** Nanoseconds for people. */
export function formatNs(ns: number): string {
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toFixed(1)} µs`;
  if (ns < 1e9) return `${(ns / 1e6).toFixed(1)} ms`;
  return `${(ns / 1e9).toFixed(2)} s`;
}
