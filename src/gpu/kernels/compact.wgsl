// Lays every encoded block down at its final place, with the headers of block, frame and container (docs/encoder.md §2,
// §8).
//
// One workgroup a block. Neighbours may meet inside a word: such a word is or-ed into zeros, every other one is stored.

@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> planes: array<u32>;
@group(0) @binding(4) var<storage, read_write> work: array<u32>;
@group(0) @binding(5) var<storage, read_write> blocks: array<u32>;
@group(0) @binding(6) var<storage, read_write> payload: array<u32>;
@group(0) @binding(7) var<storage, read_write> output: array<atomic<u32>>;

const FROM_PLANES = 0u;
const FROM_PAYLOAD = 1u;
// The chunk itself, put together again from its planes.
const FROM_ELEMENTS = 2u;

fn or_byte(at: u32, value: u32) {
  if (value != 0u) {
    atomicOr(&output[at >> 2u], value << ((at & 3u) * 8u));
  }
}

fn or_bytes(at: u32, value: u32, count: u32) {
  for (var i = 0u; i < count; i++) {
    or_byte(at + i, (value >> (i * 8u)) & 0xffu);
  }
}

// Where a stored frame's content lies; FROM_ELEMENTS only.
var<private> frame_at: u32;
var<private> plane_stride: u32;

// Byte `at` of a source.
fn byte_from(source: u32, at: u32) -> u32 {
  if (source == FROM_PAYLOAD) {
    return (payload[at >> 2u] >> ((at & 3u) * 8u)) & 0xffu;
  }
  var begin = at;
  if (source == FROM_ELEMENTS) {
    begin = frame_at + (at % params.item_bytes) * plane_stride + at / params.item_bytes;
  }
  return (planes[begin >> 2u] >> ((begin & 3u) * 8u)) & 0xffu;
}

fn word_from(source: u32, at: u32) -> u32 {
  if (source == FROM_ELEMENTS) {
    return byte_from(source, at) | (byte_from(source, at + 1u) << 8u) | (byte_from(source, at + 2u) << 16u)
      | (byte_from(source, at + 3u) << 24u);
  }
  let shift = (at & 3u) * 8u;
  let index = at >> 2u;
  if (source == FROM_PAYLOAD) {
    if (shift == 0u) {
      return payload[index];
    }
    return (payload[index] >> shift) | (payload[index + 1u] << (32u - shift));
  }
  if (shift == 0u) {
    return planes[index];
  }
  return (planes[index] >> shift) | (planes[index + 1u] << (32u - shift));
}

// The whole workgroup copies.
fn copy(source: u32, begin: u32, to: u32, count: u32, thread: u32) {
  let first = to >> 2u;
  let last = (to + count + 3u) >> 2u;
  for (var w = first + thread; w < last; w += THREADS) {
    let low = max(w * 4u, to);
    let high = min(w * 4u + 4u, to + count);
    if (high - low == 4u) {
      atomicStore(&output[w], word_from(source, begin + low - to));
    } else {
      for (var at = low; at < high; at++) {
        or_byte(at, byte_from(source, begin + at - to));
      }
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let flat = flat_group(group);
  if (flat >= params.task_count * params.blocks_per_chunk) {
    return;
  }
  let block = block_of(flat);
  if (tables[params.skipped_at + block.task / params.chunks_per_epoch] != 0u) {
    return;
  }
  let chunk = params.chunks_at + 2u * block.task;
  let chunk_size = work[chunk];
  let chunk_to = params.data_at + atomicLoad(&output[TOTAL_WORDS + params.task_count + block.task]);

  if (params.codec == CODEC_NONE) {
    copy(FROM_PLANES, block.at, chunk_to + block.index * BLOCK_BYTES, block.bytes, thread);
    return;
  }

  let descriptor = flat * BLOCK_WORDS;
  var to = chunk_to + blocks[descriptor + D_AT];
  var last = block.index + 1u == params.blocks_per_chunk;
  if (params.codec == CODEC_BLOSC) {
    let blosc_block = BLOCK_BYTES * max(params.item_bytes, 2u);
    let stored = work[chunk + 1u] == STORED;
    if (block.index == 0u && thread == 0u) {
      let flags = 0x90u | select(0u, 1u, is_shuffled()) | select(0u, 2u, stored);
      or_bytes(chunk_to, 2u | (1u << 8u) | (flags << 16u) | (params.item_bytes << 24u), 4u);
      or_bytes(chunk_to + 4u, params.chunk_bytes, 4u);
      or_bytes(chunk_to + 8u, min(blosc_block, params.chunk_bytes), 4u);
      or_bytes(chunk_to + 12u, chunk_size, 4u);
    }
    let per_frame = select(2u, params.item_bytes, is_shuffled());
    let in_frame = block.index % per_frame;
    let content = frame_bytes(block.frame);
    frame_at = block.task * params.chunk_stride + block.frame * blosc_block;
    plane_stride = select(0u, align16(block.bytes), is_shuffled());
    if (stored) {
      let content_to = chunk_to + 16u + block.frame * blosc_block;
      if (is_shuffled()) {
        // This block's share of the frame: as many bytes as its plane has.
        copy(FROM_ELEMENTS, in_frame * block.bytes, content_to + in_frame * block.bytes, block.bytes, thread);
      } else {
        copy(FROM_PLANES, block.at, content_to + in_frame * BLOCK_BYTES, block.bytes, thread);
      }
      return;
    }
    let entry = work[params.frames_at + block.task * params.frames_per_chunk + block.frame];
    let frame_to = chunk_to + (entry & ~STORED);
    let frame_end = min((block.frame + 1u) * per_frame, params.blocks_per_chunk);
    if (in_frame == 0u && thread == 0u) {
      or_bytes(chunk_to + 16u + 4u * block.frame, entry & ~STORED, 4u);
    }
    if ((entry & STORED) != 0u) {
      if (in_frame == 0u && thread == 0u) {
        or_bytes(frame_to, content, 4u);
      }
      let share = select(in_frame * BLOCK_BYTES, in_frame * block.bytes, is_shuffled());
      copy(FROM_PLANES, block.at, frame_to + 4u + share, block.bytes, thread);
      return;
    }
    // Blocks of this frame, in front of this one and altogether.
    var before = 9u;
    var all = 9u;
    for (var b = flat - in_frame; b < flat - block.index + frame_end; b++) {
      let own = b * BLOCK_WORDS;
      var size = 3u + block_of(b).bytes;
      if (blocks[own + D_TYPE] == TYPE_RLE) {
        size = 4u;
      }
      if (blocks[own + D_TYPE] == TYPE_COMPRESSED) {
        size = 3u + blocks[own + D_LITERAL_BYTES] + blocks[own + D_SEQUENCE_BYTES];
      }
      all += size;
      before += select(0u, size, b < flat);
    }
    if (in_frame == 0u && thread == 0u) {
      or_bytes(frame_to, all, 4u);
      or_bytes(frame_to + 4u, 0xfd2fb528u, 4u);
      or_byte(frame_to + 8u, 0xa0u);
      or_bytes(frame_to + 9u, content, 4u);
    }
    to = frame_to + 4u + before;
    last = block.index + 1u == frame_end;
  } else if (block.index == 0u && thread == 0u) {
    let single = params.chunk_bytes <= SINGLE_SEGMENT_MAX;
    or_bytes(chunk_to, 0xfd2fb528u, 4u);
    or_byte(chunk_to + 4u, select(0x80u, 0xa0u, single));
    if (!single) {
      or_byte(chunk_to + 5u, 0x28u);
    }
    or_bytes(chunk_to + select(6u, 5u, single), params.chunk_bytes, 4u);
  }

  let block_type = blocks[descriptor + D_TYPE];
  let literal_bytes = blocks[descriptor + D_LITERAL_BYTES];
  let sequence_bytes = blocks[descriptor + D_SEQUENCE_BYTES];
  let encoded = select(block.bytes, literal_bytes + sequence_bytes, block_type == TYPE_COMPRESSED);
  if (thread == 0u) {
    or_bytes(to, u32(last) | (block_type << 1u) | (encoded << 3u), 3u);
  }
  if (block_type == TYPE_RLE) {
    if (thread == 0u) {
      or_byte(to + 3u, byte_from(FROM_PLANES, block.at));
    }
    return;
  }
  if (block_type == TYPE_RAW) {
    copy(FROM_PLANES, block.at, to + 3u, block.bytes, thread);
    return;
  }
  copy(FROM_PAYLOAD, flat * params.payload_words * 4u, to + 3u, literal_bytes, thread);
  let sequences_at = sequences_word(flat, literal_bytes) * 4u;
  copy(FROM_PAYLOAD, sequences_at, to + 3u + literal_bytes, sequence_bytes, thread);
}
