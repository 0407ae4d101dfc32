// Writes the literals section of a block (docs/encoder.md §4): its header, the tree, and every thread's codes at their
// place.
//
// One workgroup a block. A stream holds its last literal lowest, so each thread goes through its span backwards.

@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> planes: array<u32>;
@group(0) @binding(4) var<storage, read_write> work: array<u32>;
@group(0) @binding(5) var<storage, read_write> blocks: array<u32>;
@group(0) @binding(6) var<storage, read_write> payload: array<atomic<u32>>;

var<workgroup> needed: u32;

var<private> to_word: u32;
var<private> accumulator: u32;
var<private> filled: u32;
// The first word of what a thread writes is shared with the thread behind it.
var<private> shared_word: bool;

// A place so many bits behind the start of a byte. Never in bits alone: those of 512 MiB are more than a u32 counts.
fn seek(byte: u32, bits: u32) {
  let in_word = (byte & 3u) * 8u + bits;
  to_word = (byte >> 2u) + (in_word >> 5u);
  filled = in_word & 31u;
  accumulator = 0u;
  shared_word = true;
}

fn put(value: u32, bits: u32) {
  accumulator |= value << filled;
  let most = filled + bits;
  if (most < 32u) {
    filled = most;
    return;
  }
  if (shared_word) {
    atomicOr(&payload[to_word], accumulator);
    shared_word = false;
  } else {
    atomicStore(&payload[to_word], accumulator);
  }
  to_word++;
  accumulator = 0u;
  if (most > 32u) {
    accumulator = value >> (32u - filled);
  }
  filled = most - 32u;
}

fn flush() {
  if (filled > 0u) {
    atomicOr(&payload[to_word], accumulator);
  }
}

fn or_byte(at: u32, value: u32) {
  atomicOr(&payload[at >> 2u], value << ((at & 3u) * 8u));
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
  let descriptor = flat * BLOCK_WORDS;
  if (thread == 0u) {
    needed = 0u;
    if (blocks[descriptor + D_TYPE] == TYPE_COMPRESSED) {
      let section = blocks[descriptor + D_LITERAL_BYTES];
      needed = select(0u, section, section + blocks[descriptor + D_SEQUENCE_BYTES] < block.bytes);
    }
  }
  let section_bytes = workgroupUniformLoad(&needed);
  if (section_bytes == 0u) {
    return;
  }
  let section_word = flat * params.payload_words;
  for (var w = thread; w * 4u < section_bytes; w += THREADS) {
    atomicStore(&payload[section_word + w], 0u);
  }
  storageBarrier();

  let at = section_word * 4u;
  let literals = blocks[descriptor + D_LITERALS];
  let header_bytes = blocks[descriptor + D_HEADER_BYTES];
  let compressed = blocks[descriptor + D_FORM] == 1u;
  let masks = params.masks_at + flat * params.mask_words;
  let prefix = params.prefixes_at + 2u * (flat * params.prefix_words + thread);
  let span_word = thread * SPAN_WORDS;

  if (!compressed) {
    if (thread < header_bytes) {
      let format = select(select(3u, 1u, header_bytes == 2u), 0u, header_bytes == 1u);
      let header = (format << 2u) | (literals << select(4u, 3u, header_bytes == 1u));
      or_byte(at + thread, (header >> (thread * 8u)) & 0xffu);
    }
    if (span_word * 4u < block.bytes) {
      seek(at + header_bytes + work[prefix], 0u);
      for (var w = 0u; w < SPAN_WORDS; w++) {
        let position = (span_word + w) * 4u;
        if (position < block.bytes) {
          let word = planes[(block.at + position) >> 2u];
          let matched = work[masks + (position >> 5u)] >> (position & 31u);
          for (var i = 0u; i < min(4u, block.bytes - position); i++) {
            if ((matched & (1u << i)) == 0u) {
              put((word >> (i * 8u)) & 0xffu, 8u);
            }
          }
        }
      }
      flush();
    }
    return;
  }

  let tree_bytes = blocks[descriptor + D_TREE_BYTES];
  let single = literals < ONE_STREAM_BELOW;
  let segment = select((literals + 3u) / 4u, 0xffffffffu, single);
  // Bits before each stream, and behind the last one.
  let b0 = 0u;
  let b1 = blocks[descriptor + D_BORDERS + 1u];
  let b2 = blocks[descriptor + D_BORDERS + 2u];
  let b3 = blocks[descriptor + D_BORDERS + 3u];
  let total = blocks[descriptor + D_BORDERS + 4u];
  let sizes = vec3<u32>((b1 - b0) / 8u + 1u, (b2 - b1) / 8u + 1u, (b3 - b2) / 8u + 1u);
  let streams_at = at + header_bytes + tree_bytes + select(6u, 0u, single);
  let third_at = streams_at + sizes.x + sizes.y;
  let stream_at = array<u32, 4>(streams_at, streams_at + sizes.x, third_at, third_at + sizes.z);
  let stream_end = array<u32, 4>(select(b1, total, single), b2, b3, total);

  if (thread < header_bytes) {
    let inner = section_bytes - header_bytes;
    let format = select(header_bytes - 2u, 0u, single);
    let shift = 4u + select(10u + 4u * (header_bytes - 3u), 10u, single);
    var header = 2u | (format << 2u) | (literals << 4u) | (inner << shift);
    if (thread == 4u) {
      header = inner >> (32u - shift);
    }
    or_byte(at + thread, (header >> ((thread & 3u) * 8u)) & 0xffu);
  }
  if (thread < tree_bytes) {
    or_byte(at + header_bytes + thread, (blocks[descriptor + D_TREE + (thread >> 2u)] >> ((thread & 3u) * 8u)) & 0xffu);
  }
  if (!single && thread < 6u) {
    or_byte(at + header_bytes + tree_bytes + thread, (sizes[thread >> 1u] >> ((thread & 1u) * 8u)) & 0xffu);
  }

  if (span_word * 4u >= block.bytes) {
    return;
  }
  // Literals, and their bits, before the end of this span.
  var number = literals;
  var bits = total;
  if (thread + 1u < params.prefix_words) {
    number = work[prefix + 2u];
    bits = work[prefix + 3u];
  }
  if (number == work[prefix]) {
    return;
  }
  var stream = min(3u, (number - 1u) / segment);
  seek(stream_at[stream], stream_end[stream] - bits);
  for (var w = SPAN_WORDS; w > 0u; w--) {
    let position = (span_word + w - 1u) * 4u;
    if (position < block.bytes) {
      let word = planes[(block.at + position) >> 2u];
      let matched = work[masks + (position >> 5u)] >> (position & 31u);
      for (var i = min(4u, block.bytes - position); i > 0u; i--) {
        if ((matched & (1u << (i - 1u))) == 0u) {
          let code = work[params.codes_at + flat * 256u + ((word >> ((i - 1u) * 8u)) & 0xffu)];
          put(code >> 8u, code & 0xffu);
          number--;
          if (number == 0u || (!single && number == stream * segment)) {
            // The first literal of its stream: the end mark.
            put(1u, 1u);
            flush();
            if (number > 0u) {
              stream--;
              seek(stream_at[stream], 0u);
            }
          }
        }
      }
    }
  }
  if (number > 0u) {
    flush();
  }
}
