import { MillraceError } from "../base/errors.js";
import type { CodecSpec } from "../codec/codec.js";
import { type EncodePoolHandle, type GatherHandle, NATIVE_CODECS, type NativeAddon } from "../native/addon.js";
import { type EncodePlan, type EncodeRequest, isSkipped, rowsOfEpoch } from "./batch_tasks.js";
import type { EncodeMemory } from "./chunk_worker.js";
import type { Executor } from "./executor.js";

/**
 * The addon's thread pool: chunks go from staging to the output slot without touching JavaScript. Not for libzstd's
 * codecs.
 */
export class NativeExecutor implements Executor {
  readonly adapter: string;
  readonly #addon: NativeAddon;
  readonly #plan: EncodePlan;
  readonly #memory: EncodeMemory;
  readonly #pool: EncodePoolHandle;
  readonly #gather: GatherHandle;
  readonly #codec: number;
  readonly #staging: number[];
  readonly #output: number[];
  readonly #sizes: number[];
  /** Tasks of a full batch; most batches are one, so their offsets are computed once. */
  readonly #full: {
    readonly srcOffsets: Float64Array;
    readonly dstOffsets: Float64Array;
    readonly extents: Uint32Array;
  };
  #closed: Promise<void> | undefined;

  constructor(addon: NativeAddon, plan: EncodePlan, memory: EncodeMemory, codec: CodecSpec, threads: number) {
    this.#addon = addon;
    this.#plan = plan;
    this.#memory = memory;
    this.#codec = NATIVE_CODECS[codec.name];
    const { gather, encoder } = addon.features;
    this.adapter = `native (${codec.name === "none" ? gather : encoder}) × ${threads}`;
    this.#pool = addon.encodePoolCreate(threads);
    this.#gather = addon.gatherCreate(plan.gather);
    this.#staging = memory.staging.map((bytes) => addon.regionAdd(bytes));
    this.#output = memory.output.map((bytes) => addon.regionAdd(bytes));
    this.#sizes = memory.sizes.map((sizes) =>
      addon.regionAdd(new Uint8Array(sizes.buffer, sizes.byteOffset, sizes.byteLength)),
    );
    this.#full = this.#offsets(plan.layout.epochsPerBatch);
  }

  encode(request: EncodeRequest): Promise<number> {
    const { table, layout } = this.#plan;
    const partial = request.lastEpochRows !== this.#plan.epochRows;
    const tasks = request.epochCount * table.chunksPerEpoch;
    let { srcOffsets, dstOffsets, extents } = this.#full;
    if (tasks !== srcOffsets.length) {
      const from = request.stagingEpoch * table.chunksPerEpoch;
      srcOffsets = srcOffsets.subarray(from, from + tasks);
      dstOffsets = dstOffsets.subarray(0, tasks);
      extents = extents.subarray(0, tasks * table.rank);
    }
    if (partial) {
      extents = extents.slice();
      const rows = rowsOfEpoch(this.#plan, request, request.epochCount - 1);
      for (let task = tasks - table.chunksPerEpoch; task < tasks; task++) extents[task * table.rank] = rows;
    }
    if (request.skippedEpochs !== undefined) return this.#encodeAround(request, srcOffsets, dstOffsets, extents);
    return this.#submit(request, tasks, srcOffsets, dstOffsets, extents, 0, layout.chunkStrideBytes);
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#addon.encodePoolClose(this.#pool, () => {
        for (const id of [...this.#staging, ...this.#output, ...this.#sizes]) this.#addon.regionRemove(id);
        resolve();
      });
    });
    return this.#closed;
  }

  /** Skipped epochs are rare: each run of epochs between them becomes a job of its own. */
  async #encodeAround(
    request: EncodeRequest,
    srcOffsets: Float64Array,
    dstOffsets: Float64Array,
    extents: Uint32Array,
  ): Promise<number> {
    const { table, layout } = this.#plan;
    const sizes = this.#memory.sizes[request.outputIndex];
    const jobs: Promise<number>[] = [];
    for (let epoch = 0; epoch < request.epochCount; ) {
      let end = epoch + 1;
      const skipped = isSkipped(request.skippedEpochs, epoch);
      while (end < request.epochCount && isSkipped(request.skippedEpochs, end) === skipped) end++;
      const from = epoch * table.chunksPerEpoch;
      const to = end * table.chunksPerEpoch;
      if (skipped) sizes.fill(0, from, to);
      else {
        jobs.push(
          this.#submit(
            request,
            to - from,
            srcOffsets.subarray(from, to),
            dstOffsets.subarray(from, to),
            extents.subarray(from * table.rank, to * table.rank),
            from * 4,
            layout.chunkStrideBytes,
          ),
        );
      }
      epoch = end;
    }
    // Every job is joined before the first failure is reported: slots must not be touched after this settles.
    const settled = await Promise.allSettled(jobs);
    let busyNs = 0;
    for (const job of settled) {
      if (job.status === "rejected") throw job.reason;
      busyNs += job.value;
    }
    return busyNs;
  }

  #submit(
    request: EncodeRequest,
    chunkCount: number,
    srcOffsets: Float64Array,
    dstOffsets: Float64Array,
    extents: Uint32Array,
    sizesOffset: number,
    dstCapacityBytes: number,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#addon.encodePoolSubmit(
        this.#pool,
        {
          gather: this.#gather,
          srcRegion: this.#staging[request.stagingIndex],
          dstRegion: this.#output[request.outputIndex],
          chunkCount,
          srcOffsets,
          dstOffsets,
          extents,
          dstCapacityBytes,
          sizesRegion: this.#sizes[request.outputIndex],
          sizesOffset,
          codec: this.#codec,
        },
        (error, busyNs) => {
          if (error === null) resolve(busyNs);
          else {
            reject(
              new MillraceError("CODEC_FAILED", `the native encode pool failed: ${error.message}.`, { cause: error }),
            );
          }
        },
      );
    });
  }

  #offsets(epochs: number): { srcOffsets: Float64Array; dstOffsets: Float64Array; extents: Uint32Array } {
    const { table, layout, epochBytes } = this.#plan;
    const tasks = epochs * table.chunksPerEpoch;
    const srcOffsets = new Float64Array(tasks);
    const dstOffsets = new Float64Array(tasks);
    const extents = new Uint32Array(tasks * table.rank);
    for (let epoch = 0; epoch < epochs; epoch++) {
      extents.set(table.extents, epoch * table.extents.length);
      for (let chunk = 0; chunk < table.chunksPerEpoch; chunk++) {
        const task = epoch * table.chunksPerEpoch + chunk;
        srcOffsets[task] = epoch * epochBytes + table.srcOffset[chunk];
        dstOffsets[task] = task * layout.chunkStrideBytes;
      }
    }
    return { srcOffsets, dstOffsets, extents };
  }
}
