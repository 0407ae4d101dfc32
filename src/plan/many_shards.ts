import { isMillraceError } from "../base/errors.js";
import type { CodecSpec } from "../codec/codec.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { adviseLayout } from "./advise_layout.js";
import { formatBytes } from "./format_bytes.js";

/**
 * Shards side by side from which on somebody is told. Eight times what adviseLayout allows: who has so many has seldom
 * meant it.
 */
export const MANY_SHARDS = 4096;

/**
 * What a user should know before a row of very many shards is made: each is opened, written, synced and renamed by
 * itself, so a row takes minutes where a better layout takes milliseconds. Undefined for a layout that is all right.
 * @param sinkKind of the sink: says what a shard becomes
 */
export function manyShardsWarning(g: ArrayGeometry, codec: CodecSpec, sinkKind: string): string | undefined {
  if (g.shardsPerRow < MANY_SHARDS || sinkKind === "discard") return undefined;
  const things = sinkKind === "file" ? "files" : "objects";
  const rows = g.epochsPerShard * g.epochRows;
  const bytes = formatBytes(g.shard.reduce((elements, n) => elements * n, g.itemBytes));
  const each = rows === 1 ? `Each index of ${g.names[0]}` : `Every ${rows} indexes of ${g.names[0]}`;
  const become = `${rows === 1 ? "becomes" : "become"} ${g.shardsPerRow} ${things}, one a shard of ${bytes}`;
  return `${each} ${become}: this takes very long. ${betterLayout(g, codec, things)}`;
}

function betterLayout(g: ArrayGeometry, codec: CodecSpec, things: string): string {
  try {
    const dimensions = g.names.map((name, d) => ({ name, size: d === 0 ? g.rowCount : g.shape[d] }));
    const advised = adviseLayout({ dtype: g.dtype, codec, dimensions }).dimensions;
    const text = (of: "chunk" | "shard"): string => advised.map((d) => d[of] ?? d.chunk).join(" × ");
    const count = advised.slice(1).reduce((n, d) => n * Math.ceil((d.size ?? 1) / (d.shard ?? d.chunk)), 1);
    const proposal = `chunks of ${text("chunk")} and shards of ${text("shard")}`;
    return `adviseLayout proposes ${proposal}: ${count} ${things} at a time.`;
  } catch (error) {
    // No chunk of a usual size fits these dimensions; then there is nothing to propose.
    if (!isMillraceError(error)) throw error;
    return "Use larger shards.";
  }
}
