// Shared by every kernel: the parameters of a batch, and where a block's bytes lie.
//
// Everything that differs between arrays is a parameter: one set of pipelines serves every stream of a device, and
// compiling them is the slowest part of opening one.
//
// Words of docs/encoder.md. A "task" is one chunk of one epoch; tasks are numbered epoch · chunks_per_epoch + chunk.
// Bytes are little-endian in u32 words; "at" names are byte offsets unless they say words.

const CODEC_NONE = 0u;
const CODEC_BLOSC = 1u;
const CODEC_ZSTD = 2u;

const BLOCK_BYTES = 32768u;
const THREADS = 256u;
// Bytes of a block that one thread looks after.
const SPAN_BYTES = 128u;
const SPAN_WORDS = 32u;
const GROUP_BYTES = 64u;

// Marks a frame or a chunk that is stored as it is; the other bits may hold an offset in a chunk. Those that reach this
// bit are of chunks that grew past 2 GiB, which are stored as a whole.
const STORED = 0x80000000u;
// Content up to which a frame is a single segment (docs/encoder.md §2).
const SINGLE_SEGMENT_MAX = 8388608u;
// Words of `output` in front of the tables of sizes and offsets.
const TOTAL_WORDS = 4u;
// Literals below which there is one stream.
const ONE_STREAM_BELOW = 256u;
// Codes of literal lengths and of match lengths.
const LL_CODES = 36u;
const ML_CODES = 53u;

struct Params {
  item_bytes: u32,
  codec: u32,
  chunk_bytes: u32,
  chunk_elements: u32,
  // Bytes of a chunk in `planes`, a multiple of 16.
  chunk_stride: u32,
  chunks_per_epoch: u32,
  epoch_count: u32,
  epoch_bytes: u32,
  epoch_rows: u32,
  // Rows of the last epoch that hold data.
  last_epoch_rows: u32,
  task_count: u32,
  blocks_per_chunk: u32,
  frames_per_chunk: u32,
  rank: u32,
  // One element of padding.
  fill_low: u32,
  fill_high: u32,
  // Word offsets of the regions of `work`.
  periods_at: u32,
  frames_at: u32,
  chunks_at: u32,
  masks_at: u32,
  mask_words: u32,
  prefixes_at: u32,
  prefix_words: u32,
  codes_at: u32,
  sequences_at: u32,
  sequence_words: u32,
  states_at: u32,
  state_words: u32,
  cells_max: u32,
  // Words of a block in `payload`.
  payload_words: u32,
  // Word offsets in `tables`.
  dims_at: u32,
  chunk_table_at: u32,
  chunk_table_words: u32,
  skipped_at: u32,
  // Byte offset of the encoded chunks in `output`, behind the table of sizes and offsets.
  data_at: u32,
  // Workgroups a chunk of the gather and of the period kernel.
  gather_groups: u32,
  period_groups: u32,
  // Counts the batches of a device; comes back in front of the output, so that a stale one is noticed.
  generation: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

// Workgroups along x wherever a dispatch needs a second dimension: more than 65,535 are not allowed.
const GROUPS_X = 4096u;

fn flat_group(id: vec3<u32>) -> u32 {
  return id.x + id.y * GROUPS_X;
}

var<workgroup> sums: array<u32, THREADS>;

// The sum of the values of this thread and of all before it; `sums` then holds every thread's. For whole workgroups; a
// barrier must stand between reading `sums` and the next scan.
fn scan(value: u32, thread: u32) -> u32 {
  sums[thread] = value;
  workgroupBarrier();
  for (var step = 1u; step < THREADS; step <<= 1u) {
    var add = 0u;
    if (thread >= step) {
      add = sums[thread - step];
    }
    workgroupBarrier();
    sums[thread] += add;
    workgroupBarrier();
  }
  return sums[thread];
}

fn is_shuffled() -> bool {
  return params.codec == CODEC_BLOSC && params.item_bytes > 1u;
}

fn align16(value: u32) -> u32 {
  return (value + 15u) & ~15u;
}

// A zstd block: of a shuffled frame one plane, else 32 KiB of the chunk.
struct Block {
  task: u32,
  // Number inside the chunk.
  index: u32,
  // Byte offset in `planes`, a multiple of 16.
  at: u32,
  bytes: u32,
  frame: u32,
}

fn block_of(flat: u32) -> Block {
  var block: Block;
  block.task = flat / params.blocks_per_chunk;
  block.index = flat % params.blocks_per_chunk;
  let chunk_at = block.task * params.chunk_stride;
  if (is_shuffled()) {
    block.frame = block.index / params.item_bytes;
    let plane = block.index % params.item_bytes;
    block.bytes = min(BLOCK_BYTES, params.chunk_elements - block.frame * BLOCK_BYTES);
    block.at = chunk_at + block.frame * BLOCK_BYTES * params.item_bytes + plane * align16(block.bytes);
  } else {
    block.frame = select(0u, block.index / 2u, params.codec == CODEC_BLOSC);
    block.bytes = min(BLOCK_BYTES, params.chunk_bytes - block.index * BLOCK_BYTES);
    block.at = chunk_at + block.index * BLOCK_BYTES;
  }
  return block;
}

// Content bytes of a frame: a Blosc block, or for codec zstd the chunk.
fn frame_bytes(frame: u32) -> u32 {
  if (params.codec == CODEC_ZSTD) {
    return params.chunk_bytes;
  }
  let most = BLOCK_BYTES * max(params.item_bytes, 2u);
  return min(most, params.chunk_bytes - frame * most);
}

// Words of a block's descriptor in `blocks`.
const BLOCK_WORDS = 192u;
const D_TYPE = 0u;
const D_LITERALS = 1u;
const D_SEQUENCES = 2u;
const D_PERIOD = 3u;
// 0 raw, 1 compressed.
const D_FORM = 4u;
const D_LITERAL_BYTES = 5u;
const D_SEQUENCE_BYTES = 6u;
const D_HEADER_BYTES = 7u;
const D_TREE_BYTES = 8u;
// Bits of the literals before the borders of the four streams, then of all.
const D_BORDERS = 9u;
// Bytes before the block in its chunk; codec zstd.
const D_AT = 14u;
const D_TREE = 16u;
const D_LL_COUNTS = 64u;
const D_ML_COUNTS = 100u;

// First word of a block's sequences section in `payload`: behind its literals section, which begins with the block's
// words. Blocks that stay compressed are shorter than their content, so that both fit into as many words.
fn sequences_word(flat: u32, literal_bytes: u32) -> u32 {
  return flat * params.payload_words + (literal_bytes + 3u) / 4u;
}

const TYPE_RAW = 0u;
const TYPE_RLE = 1u;
const TYPE_COMPRESSED = 2u;

// Codes of lengths, RFC 8878 3.1.1.3.2.1.1.
fn literal_length_code(value: u32) -> u32 {
  if (value < 16u) {
    return value;
  }
  if (value < 24u) {
    return 16u + ((value - 16u) >> 1u);
  }
  if (value < 32u) {
    return 20u + ((value - 24u) >> 2u);
  }
  if (value < 48u) {
    return 22u + ((value - 32u) >> 3u);
  }
  return select(19u + firstLeadingBit(value), 24u, value < 64u);
}

// Of a match length less 3.
fn match_length_code(value: u32) -> u32 {
  if (value < 32u) {
    return value;
  }
  if (value < 40u) {
    return 32u + ((value - 32u) >> 1u);
  }
  if (value < 48u) {
    return 36u + ((value - 40u) >> 2u);
  }
  if (value < 64u) {
    return 38u + ((value - 48u) >> 3u);
  }
  if (value < 96u) {
    return 40u + ((value - 64u) >> 4u);
  }
  return select(36u + firstLeadingBit(value), 42u, value < 128u);
}
