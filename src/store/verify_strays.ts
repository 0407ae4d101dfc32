import { memberKey } from "../zarr/chunk_key.js";
import { METADATA_NAME } from "./array_layout.js";
import { adviceOn, type LeftWriter, WRITER_FOLDER, WRITER_MARKER } from "./left_writer.js";
import type { StoreEntry } from "./store_reader.js";
import type { ArrayCheck } from "./verify_array.js";
import type { CheckedNodes } from "./verify_nodes.js";
import { Findings } from "./verify_report.js";
import { ancestors } from "./walk.js";

/** As the sinks name unfinished objects. */
const PARTIAL_SUFFIX = ".partial";
const TEMPORARY_SUFFIX = ".tmp";

/** Judges the objects of a store that hold no part of an array. */
export class StrayCheck {
  readonly #known: ReadonlySet<string>;
  #writerObjects = 0;
  #firstWriterKey: string | undefined;

  constructor(
    private readonly nodes: CheckedNodes,
    private readonly writer: LeftWriter | undefined,
    private readonly location: string,
  ) {
    this.#known = new Set([...nodes.arrays.keys(), ...nodes.unread, ...nodes.groups]);
  }

  /** @param owner the array below whose node the object lies */
  check({ key, size }: StoreEntry, owner: ArrayCheck | undefined): Findings {
    const findings = new Findings();
    const { defects, warnings } = findings;
    const [parent] = ancestors(key);
    const name = key.slice(parent === "" ? 0 : parent.length + 1);
    if (name === METADATA_NAME) {
      // Where the root is an array nobody looked for nodes below it.
      if (this.nodes.arrays.has("") && parent !== "") defects.add("NODE_BELOW_ARRAY", key, 'lies below the array ""');
      else if (!this.#known.has(parent))
        defects.add("READ", key, "the zarr.json came, or went, while the store was read");
    } else if (key.split("/").includes(WRITER_FOLDER)) {
      this.#writerObjects++;
      this.#firstWriterKey ??= key;
    } else if (name.endsWith(PARTIAL_SUFFIX)) {
      warnings.add("PARTIAL_SHARD", key, `an unfinished shard of ${size} bytes; ${this.#whose()}`);
    } else if (name.endsWith(TEMPORARY_SUFFIX)) {
      warnings.add("TEMPORARY_FILE", key, `an unfinished object of ${size} bytes; ${this.#whose()}`);
    } else if (!ancestors(key).some((path) => this.nodes.unread.has(path))) {
      warnings.add("STRAY_KEY", key, `an object of ${size} bytes that belongs to ${this.#nothing(key, owner)}`);
    }
    return findings;
  }

  /** What the writer's own folder says, once all of it was seen. */
  finish({ warnings }: Findings): void {
    if (this.writer !== undefined) {
      const { who } = this.writer;
      const more = this.#writerObjects > 1 ? `, and ${this.#writerObjects - 1} files of its journal are there` : "";
      warnings.add(
        "WRITER",
        WRITER_MARKER,
        `${who}, has not closed the store${more}. ${adviceOn(this.writer, this.location)}`,
      );
    } else if (this.#firstWriterKey !== undefined) {
      const message = `${this.#writerObjects} files of a writer's journal, and no marker of a writer that has the store open: they can be removed`;
      warnings.add("WRITER", this.#firstWriterKey, message);
    }
  }

  #whose(): string {
    if (this.writer !== undefined) return "its writer has not closed the store: see WRITER";
    return "no writer has the store open, so it can be removed";
  }

  #nothing(key: string, owner: ArrayCheck | undefined): string {
    if (owner === undefined) return "no node";
    const relative = owner.relative(key);
    const rank = owner.layout.metadata.shape.length;
    if (!/^(c[/.])?\d+([/.]\d+)*$/.test(relative))
      return `no node, in the folder of the array ${JSON.stringify(owner.path)}`;
    return `no shard: its name is not that of a shard of ${rank} dimensions`;
  }
}

/** A shard that lies outside the shape as a whole. Its chunks are checked all the same. */
export function judgeOutside(
  key: string,
  array: ArrayCheck,
  coordinates: readonly number[],
  writer: LeftWriter | undefined,
  { notes, warnings }: Findings,
): void {
  const outside = array.dimensionsOutside(coordinates);
  if (outside.length === 0) return;
  const { shape } = array.layout.metadata;
  const where = { coordinates: [...coordinates] };
  if (outside.length === 1 && outside[0] === 0 && writer !== undefined) {
    notes.add(
      "UNPUBLISHED",
      key,
      `holds rows from ${coordinates[0] * array.layout.block[0]}, and ${shape[0]} are published`,
      where,
    );
    return;
  }
  const d = outside[0];
  const message = `lies from ${coordinates[d] * array.layout.block[d]} along dimension ${d}, which has size ${shape[d]} in ${memberKey(array.path, METADATA_NAME)}`;
  warnings.add("OUTSIDE_SHAPE", key, message, where);
}
