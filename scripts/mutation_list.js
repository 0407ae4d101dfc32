// The faults that scripts/mutations.js seeds, one at a time, and the tests that must fail for each.
//
// Texts stand in places that seldom move: arithmetic and single conditions, not whole statements. Each must be there
// exactly once.
// The tests are files that are quick and near: what they take is paid for every mutation. Behind " > " stands a part of
// the names of those tests of a file that are enough, where the whole file takes long.

const GEOMETRY = "test/unit/geometry/epoch_table.test.ts";
const METADATA = "test/unit/zarr/metadata.test.ts";
const FILL = "test/unit/zarr/fill_value.test.ts";
const GOLDEN = "test/unit/codec/golden.test.ts";
const MODEL = "test/model/interleavings.test.ts";
const RULES = "test/stream/mutation.test.ts";
const INTAKE = "test/unit/staging/intake.test.ts";
const RECOVERY = "test/unit/recover/file_recovery.test.ts";
const UPLOAD = "test/unit/s3/shard_upload.test.ts";
const PLAN = "test/unit/plan/memory_plan.test.ts";
const TIDY = "test/tidy.test.ts";

/** [what is wrong then, file below src/, text, what stands there instead, tests that must notice] */
export const MUTATIONS = [
  // Shapes and positions.
  [
    "a chunk at the edge is as wide as any",
    "geometry/epoch_table.ts",
    "Math.min(g.chunk[i + 1], inner[i] - first)",
    "g.chunk[i + 1]",
    [GEOMETRY],
  ],
  [
    "chunks of a shard are numbered without their strides",
    "geometry/epoch_table.ts",
    "innerPosition[c] = dot(at, positionStrides)",
    "innerPosition[c] = dot(at, [...positionStrides].reverse())",
    [GEOMETRY],
  ],
  [
    "digits of an index are weighed by the dimension opposite",
    "geometry/mixed_radix.ts",
    "index * shape[d] + coordinates[d]",
    "index * shape[shape.length - 1 - d] + coordinates[d]",
    ["test/unit/geometry/mixed_radix.test.ts"],
  ],
  [
    "a half is rounded up at every tie",
    "geometry/float16.ts",
    "rest === 0.5 && floor % 2 === 1",
    "rest === 0.5",
    ["test/unit/geometry/float16.test.ts"],
  ],

  // The bytes of the format.
  [
    "offsets past 4 GiB have their high word big-endian",
    "zarr/shard_index.ts",
    "(value - low) / 2 ** 32, true",
    "(value - low) / 2 ** 32, false",
    ["test/unit/zarr/shard_index.test.ts"],
  ],
  [
    "the checksum covers all of the index but its last entry",
    "zarr/shard_index.ts",
    "crc32c(this.#bytes.subarray(0, end))",
    "crc32c(this.#bytes.subarray(0, end - ENTRY_BYTES))",
    ["test/unit/zarr/shard_index.test.ts"],
  ],
  [
    "a checksum does not go on from the one before",
    "codec/crc32c.ts",
    "let crc = ~seed;",
    "let crc = ~0;",
    ["test/unit/codec/crc32c.test.ts"],
  ],
  [
    "zarr.json states chunks where it should state shards",
    "zarr/array_metadata.ts",
    "chunk_shape: g.shard",
    "chunk_shape: g.chunk",
    [METADATA],
  ],
  [
    "a NaN loses its payload in zarr.json",
    "zarr/fill_value.ts",
    "if (bits === quietNaNBits(dtype))",
    "if (bits !== 0n)",
    [FILL],
  ],
  [
    "a chunk's key joins its coordinates by dots",
    "zarr/chunk_key.ts",
    '["c", ...coordinates].join(separator)',
    '["c", ...coordinates].join(".")',
    ["test/unit/zarr/chunk_key.test.ts"],
  ],

  // Codecs.
  [
    "of equal weights the package comes before the leaf",
    "codec/encoder/huffman_code.ts",
    "weights[leaf] <= sum",
    "weights[leaf] < sum",
    [GOLDEN],
  ],
  [
    "a run is worth its place at one bit less",
    "codec/encoder/runs.ts",
    "if (worth < SEQUENCE_COST)",
    "if (worth < SEQUENCE_COST - 1)",
    [GOLDEN],
  ],
  [
    "Blosc's header says shuffled for bytes",
    "codec/encoder/blosc_container.ts",
    "(itemBytes > 1 ? FLAG_SHUFFLE : 0)",
    "FLAG_SHUFFLE",
    [GOLDEN],
  ],
  [
    "libzstd compresses at one level less",
    "codec/libzstd.ts",
    "CParameter.compressionLevel, level)",
    "CParameter.compressionLevel, level - 1)",
    ["test/unit/codec/libzstd.test.ts"],
  ],

  // Slots, staging and the schedule.
  [
    "a holder of an older generation may use a slot",
    "slots/slot_ring.ts",
    "generation !== slot.generation)",
    "generation < slot.generation)",
    ["test/unit/slots/slot_ring.test.ts"],
  ],
  [
    "a flush takes complete epochs alone, and forgets the tail",
    "staging/intake.ts",
    "slots[next.index].set(from);",
    "",
    [INTAKE],
  ],
  ["a skip may run past its epoch", "staging/intake.ts", "epochRows - rowInEpoch)", "epochRows)", [INTAKE]],
  [
    "the tail that waited for the only slot is lost",
    "staging/intake.ts",
    "if (carry !== undefined) this.#init.slots[slot.index].set(carry);",
    "",
    [INTAKE],
  ],
  [
    "a stream that is resumed starts an epoch late",
    "staging/intake.ts",
    "Math.floor(this.#firstRow / init.epochRows)",
    "Math.ceil(this.#firstRow / init.epochRows)",
    [INTAKE],
  ],
  [
    "the watermark passes a batch that is not encoded",
    "pipeline/schedule.ts",
    "if (next === undefined) break;",
    "if (next === undefined) { this.#rowsEncoded = rowTo; break; }",
    ["test/unit/pipeline/schedule.test.ts"],
  ],
  [
    "the sink may have as many bytes pending as it likes",
    "pipeline/schedule.ts",
    'counters.get("sinkPendingBytes") <= maxPendingBytes',
    "maxPendingBytes > 0",
    ["test/unit/pipeline/schedule.test.ts"],
  ],

  // Delivery.
  [
    "delivery takes batches as they come",
    "pipeline/turn_queue.ts",
    "if (this.#turn >= generation) return",
    "return",
    [MODEL],
  ],
  [
    "a row is published before its shards are sealed",
    "pipeline/array_delivery.ts",
    'await this.#order.waitFor("PUBLISH_AFTER_DURABLE", sealed, undefined);',
    "sealed.catch(() => {});",
    [RULES],
  ],
  [
    "a later row is begun before the rows that were skipped are published",
    "pipeline/array_delivery.ts",
    'await this.#order.waitFor("SKIP_PUBLISHED", this.#publisher.publishUpTo(rowTo), undefined);',
    "this.#publisher.publishUpTo(rowTo).catch(() => {});",
    [MODEL],
  ],
  [
    "the journal tells of data that are still on their way",
    "pipeline/array_delivery.ts",
    'this.#order.waitFor("JOURNAL_AFTER_DATA", appended, undefined)',
    "Promise.resolve()",
    [RULES],
  ],
  [
    "a chunk has its place in the shard of the batch",
    "pipeline/shard_row.ts",
    "(firstEpoch + epochInBatch) % this.#g.epochsPerShard",
    "epochInBatch % this.#g.epochsPerShard",
    ["test/stream/writer_api.test.ts"],
  ],
  [
    "a shape is published again that readers have",
    "pipeline/publisher.ts",
    "if (rows <= this.#published) return;",
    "",
    ["test/unit/pipeline/publisher.test.ts"],
  ],
  [
    "a leaving process asks no engine to stop",
    "pipeline/exit_handshake.ts",
    "for (const stream of live) stream.stop();",
    "",
    ["test/fault/process_end.test.ts > codec none process.exit(0)"],
  ],

  // Encode threads and kernels.
  [
    "the last epoch is gathered whole",
    "cpu/batch_tasks.ts",
    "=== request.epochCount - 1 ?",
    "=== request.epochCount ?",
    ["test/stream/workers.test.ts"],
  ],
  [
    "a batch is done when the first encode thread is",
    "cpu/worker_executor.ts",
    "if (job.waitingFor.size > 0) return;",
    "",
    ["test/unit/cpu/worker_executor.test.ts"],
  ],
  [
    "a gather jumps back by one element too few",
    "cpu/gather.ts",
    "from -= srcStrides[k] * extents[k]",
    "from -= srcStrides[k] * (extents[k] - 1)",
    ["test/unit/cpu/gather.test.ts"],
  ],
  [
    "regions of the device's memory overlap",
    "plan/gpu_layout.ts",
    "words += count;",
    "words += count >> 1;",
    ["test/gpu/kernel_plan.test.ts"],
  ],
  [
    "threads of a kernel look after half of a block",
    "gpu/kernels/common.wgsl",
    "const SPAN_BYTES = 128u;",
    "const SPAN_BYTES = 64u;",
    ["test/gpu/kernel_plan.test.ts"],
  ],
  [
    "a kernel takes 255 literals for more than one stream holds",
    "gpu/kernels/common.wgsl",
    "const ONE_STREAM_BELOW = 256u;",
    "const ONE_STREAM_BELOW = 255u;",
    ["test/gpu/streams.test.ts > on both sides of every limit"],
  ],

  // Files and journals.
  [
    "a shard has its name before its bytes are on the medium",
    "sinks/file_shard.ts",
    "this.partial.finish(durable)",
    "this.partial.finish(false)",
    ["test/unit/sinks/file_order.test.ts"],
  ],
  [
    "a full disk is any failure",
    "sinks/os_error.ts",
    'ENOSPC: "DISK_FULL"',
    'ENOSPC: "SINK_FAILED"',
    ["test/unit/sinks/os_error.test.ts"],
  ],
  [
    "a torn row is kept to its longest shard",
    "recover/row_plan.ts",
    "epochs = Math.min(epochs, proven)",
    "epochs = Math.max(epochs, proven)",
    [RECOVERY],
  ],
  [
    "recovery goes on behind a row that is not whole",
    "recover/file_plan.ts",
    "plan.rowsTo < (end + 1) * rowsPerShard",
    "plan.rowsTo < end * rowsPerShard",
    [RECOVERY],
  ],
  [
    "verify says nothing of a chunk that does not decode",
    "store/chunk_check.ts",
    "bad.push({ at, ...fault })",
    "bytesDecoded++",
    ["test/unit/store/verify.test.ts"],
  ],

  // S3.
  [
    "parts are so small that a shard has too many",
    "s3/part_plan.ts",
    "const PARTS_WANTED = 9_000;",
    "const PARTS_WANTED = 11_000;",
    ["test/unit/s3/part_plan.test.ts"],
  ],
  [
    "a write whose answer was lost counts as lost",
    "s3/shard_upload.ts",
    "head.bytes === bytes) return true;",
    "head.bytes === bytes) return false;",
    [UPLOAD],
  ],
  [
    "an upload that is given up stays on the server",
    "s3/shard_upload.ts",
    "this.#creating === undefined || (await this.#abortUpload())",
    "true",
    [UPLOAD],
  ],
  [
    "uploads under longer keys are aborted too",
    "s3/shard_upload.ts",
    "if (upload.key === this.#key) await",
    "await",
    [UPLOAD],
  ],
  [
    "a missing bucket is a refused key",
    "s3/s3_error.ts",
    'NoSuchBucket: "S3_NO_BUCKET"',
    'NoSuchBucket: "S3_ACCESS_DENIED"',
    ["test/unit/s3/s3_error.test.ts"],
  ],

  // Plans, options, figures, the command line.
  [
    "the plan forgets the indexes of open shards",
    "plan/memory_plan.ts",
    'product([openShards, indexBytes], "bytes of indexes")',
    "0",
    [PLAN],
  ],
  [
    "the least value of an option is refused",
    "options_check.ts",
    "value >= min && value <= max",
    "value > min && value <= max",
    ["test/unit/options_check.test.ts"],
  ],
  [
    "values share a bucket twice as wide",
    "metrics/histogram.ts",
    "const shift = 21 - Math.clz32(value)",
    "const shift = 22 - Math.clz32(value)",
    ["test/unit/metrics/histogram.test.ts"],
  ],
  [
    "an unknown codec ends with the code of bad data",
    "cli/exit.ts",
    '  "UNKNOWN_CODEC",\n',
    "",
    ["test/unit/cli/exit.test.ts"],
  ],
  [
    "--dims lets every dimension be unbounded",
    "cli/dims.ts",
    "sizeElements === 0 && index > 0",
    "sizeElements === 0 && index > 1",
    ["test/unit/cli/dims.test.ts"],
  ],

  // House rules.
  [
    "geometry imports a sink",
    "geometry/chunk_grid.ts",
    'import { assert } from "../base/assert.js";',
    'import { assert } from "../base/assert.js";\nimport type {} from "../sinks/specs.js";',
    [TIDY],
  ],
  [
    "the clock is read in a sink",
    "sinks/discard.ts",
    "export class ",
    "export const openedMs = Date.now();\n\nexport class ",
    [TIDY],
  ],
  [
    "an error code is in no document",
    "base/errors.ts",
    "export const ERROR_CODES = {",
    'export const ERROR_CODES = {\n  UNHEARD_OF: "Nobody wrote this down.",',
    ["test/docs.test.ts"],
  ],
].map(([what, file, text, instead, tests]) => ({ what, file: `src/${file}`, text, instead, tests }));
