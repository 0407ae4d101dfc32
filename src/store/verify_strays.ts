import { METADATA_NAME } from "../base/metadata_name.js";
import { memberKey } from "../zarr/chunk_key.js";
import { adviceOn, type LeftWriters, WRITER_FOLDER, WRITER_MARKER } from "./left_writer.js";
import type { StoreEntry, StoreReader } from "./store_reader.js";
import type { ArrayCheck } from "./verify_array.js";
import type { CheckedNodes } from "./verify_nodes.js";
import { Findings } from "./verify_report.js";
import { ancestors } from "./walk.js";

/** As the sinks name unfinished objects. */
const PARTIAL_SUFFIX = ".partial";
const TEMPORARY_SUFFIX = ".tmp";

/** Folders of writers of which the files are counted. */
const WRITER_FOLDERS_MAX = 100_000;

/** Files of a writer's folder, besides its marker. */
interface WriterFiles {
  count: number;
  /** One of them. */
  readonly key: string | undefined;
}

/** Judges the objects of a store that hold no part of an array. */
export class StrayCheck {
  readonly #known: ReadonlySet<string>;
  /** By the node that the writer has open. */
  readonly #files = new Map<string, WriterFiles>();

  constructor(
    private readonly nodes: CheckedNodes,
    private readonly writers: LeftWriters,
    private readonly store: StoreReader,
  ) {
    this.#known = new Set([...nodes.arrays.keys(), ...nodes.unread, ...nodes.groups]);
  }

  /** @param owner the array below whose node the object lies */
  async check({ key, size }: StoreEntry, owner: ArrayCheck | undefined): Promise<Findings> {
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
      await this.#countWriterFile(key);
    } else if (name.endsWith(PARTIAL_SUFFIX)) {
      const whose = await this.#whose(key.slice(0, -PARTIAL_SUFFIX.length), owner);
      warnings.add("PARTIAL_SHARD", key, `an unfinished shard of ${size} bytes; ${whose}`);
    } else if (name.endsWith(TEMPORARY_SUFFIX)) {
      warnings.add("TEMPORARY_FILE", key, `an unfinished object of ${size} bytes; ${await this.#whose(key, owner)}`);
    } else if (!ancestors(key).some((path) => this.nodes.unread.has(path))) {
      warnings.add("STRAY_KEY", key, `an object of ${size} bytes that belongs to ${this.#nothing(key, owner)}`);
    }
    return findings;
  }

  /** What the writers' own folders say, once all of them were seen. */
  async finish({ defects, warnings }: Findings): Promise<void> {
    for (const writer of await this.writers.found()) {
      const { who, path } = writer;
      const files = this.#files.get(path)?.count ?? 0;
      const more = files > 0 ? `, and ${files} files of its journal are there` : "";
      const message = `${who}, has not closed the store${more}. ${adviceOn(writer, this.store.location)}`;
      warnings.add("WRITER", memberKey(path, WRITER_MARKER), message);
    }
    for (const [path, { count, key }] of this.#files) {
      // A marker that was listed, or a journal, may have gone since: then its writer has closed the store.
      if (key === undefined || (await this.writers.nearestNow([path])) !== undefined) continue;
      if ((await this.store.size(key)) === undefined) continue;
      const message =
        `${count} files of a writer's journal, and no marker of a writer ` +
        "that has the store open: they can be removed";
      warnings.add("WRITER", key, message);
    }
    for (const { context, message } of this.writers.failures) defects.add("READ", String(context.key ?? ""), message);
  }

  async #countWriterFile(key: string): Promise<void> {
    const names = key.split("/");
    const path = names.slice(0, names.indexOf(WRITER_FOLDER)).join("/");
    const isMarker = key === memberKey(path, WRITER_MARKER);
    const files = this.#files.get(path);
    if (files?.key !== undefined) files.count += isMarker ? 0 : 1;
    else if (this.#files.size < WRITER_FOLDERS_MAX) {
      this.#files.set(path, { count: isMarker ? 0 : 1, key: isMarker ? undefined : key });
    }
    if (isMarker) await this.writers.nearest([path]);
  }

  /**
   * Whose unfinished object lies at a key. A writer may have a store open inside this one, or below an array of it:
   * what is not told by any
   * node's marker may not be removed on a guess.
   */
  async #whose(key: string, owner: ArrayCheck | undefined): Promise<string> {
    const isOwnShard = owner?.coordinatesOf(key) !== undefined;
    const paths = isOwnShard ? [owner.path, ...ancestors(owner.path)] : ancestors(key);
    const writer = await this.writers.nearestNow(paths);
    if (writer === undefined) return "no writer has the store open, so it can be removed";
    const which = writer.path === "" ? "" : ` of ${JSON.stringify(writer.path)}`;
    return `its writer has not closed the store: see WRITER${which}`;
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
export async function judgeOutside(
  key: string,
  array: ArrayCheck,
  coordinates: readonly number[],
  writers: LeftWriters,
  { notes, warnings }: Findings,
): Promise<void> {
  const outside = array.dimensionsOutside(coordinates);
  if (outside.length === 0) return;
  const { shape } = array.layout.metadata;
  const where = { coordinates: [...coordinates] };
  const isBehind = outside.length === 1 && outside[0] === 0;
  if (isBehind && (await writers.nearest([array.path, ...ancestors(array.path)])) !== undefined) {
    notes.add(
      "UNPUBLISHED",
      key,
      `holds rows from ${coordinates[0] * array.layout.block[0]}, and ${shape[0]} are published`,
      where,
    );
    return;
  }
  const d = outside[0];
  const message =
    `lies from ${coordinates[d] * array.layout.block[d]} along dimension ${d}, ` +
    `which has size ${shape[d]} in ${memberKey(array.path, METADATA_NAME)}`;
  warnings.add("OUTSIDE_SHAPE", key, message, where);
}
