// Adds up every chunk: which blocks stay raw, which Blosc blocks and chunks are stored as they are, and how long all of
// it is (docs/encoder.md §2, §3.6, §8).
//
// Codec none does without: its chunks are as long as they are. One workgroup a chunk; its frames, or for codec zstd its
// blocks, are scanned tile by tile.

@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(4) var<storage, read_write> work: array<u32>;
@group(0) @binding(5) var<storage, read_write> blocks: array<u32>;


// Bytes of a block with its header; sets its type for good.
fn settle_block(flat: u32, bytes: u32) -> u32 {
  let descriptor = flat * BLOCK_WORDS;
  let block_type = blocks[descriptor + D_TYPE];
  if (block_type == TYPE_RLE) {
    return 4u;
  }
  if (block_type == TYPE_COMPRESSED) {
    let encoded = blocks[descriptor + D_LITERAL_BYTES] + blocks[descriptor + D_SEQUENCE_BYTES];
    if (encoded < bytes) {
      return 3u + encoded;
    }
    blocks[descriptor + D_TYPE] = TYPE_RAW;
  }
  return 3u + bytes;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let task = flat_group(group);
  if (task >= params.task_count) {
    return;
  }
  let chunk = params.chunks_at + 2u * task;
  if (tables[params.skipped_at + task / params.chunks_per_epoch] != 0u) {
    if (thread == 0u) {
      work[chunk] = 0u;
      work[chunk + 1u] = 0u;
    }
    return;
  }
  let parts = select(params.blocks_per_chunk, params.frames_per_chunk, params.codec == CODEC_BLOSC);
  let zstd_header = select(10u, 9u, params.chunk_bytes <= SINGLE_SEGMENT_MAX);
  let in_front = select(zstd_header, 16u + 4u * parts, params.codec == CODEC_BLOSC);
  let first_block = task * params.blocks_per_chunk;
  var carried = in_front;
  for (var tile = 0u; tile < parts; tile += THREADS) {
    let part = tile + thread;
    var size = 0u;
    var stored = 0u;
    if (part < parts) {
      if (params.codec == CODEC_BLOSC) {
        let content = frame_bytes(part);
        let per_frame = select(2u, params.item_bytes, is_shuffled());
        let end = min((part + 1u) * per_frame, params.blocks_per_chunk);
        var frame = 9u;
        for (var b = part * per_frame; b < end; b++) {
          frame += settle_block(first_block + b, block_of(first_block + b).bytes);
        }
        stored = select(0u, STORED, frame >= content);
        size = 4u + min(frame, content);
      } else {
        size = settle_block(first_block + part, block_of(first_block + part).bytes);
      }
    }
    let sum_to_here = scan(size, thread);
    let at = carried + sum_to_here - size;
    if (part < parts) {
      if (params.codec == CODEC_BLOSC) {
        work[params.frames_at + task * params.frames_per_chunk + part] = at | stored;
      } else {
        blocks[(first_block + part) * BLOCK_WORDS + D_AT] = at;
      }
    }
    carried += sums[THREADS - 1u];
    workgroupBarrier();
  }
  if (thread == 0u) {
    let stored = params.codec == CODEC_BLOSC && carried >= params.chunk_bytes + 16u;
    work[chunk] = select(carried, params.chunk_bytes + 16u, stored);
    work[chunk + 1u] = select(0u, STORED, stored);
  }
}
