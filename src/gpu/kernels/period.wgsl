// Counts, in a sample of every frame, at which distances bytes repeat (docs/encoder.md §1, "The period").
//
// One workgroup looks at one frame, or at 64 KiB of it where codec zstd makes one frame of the chunk. Sums of integers:
// their order does not matter.

@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> planes: array<u32>;
@group(0) @binding(4) var<storage, read_write> work: array<atomic<u32>>;

const PART_BYTES = 65536u;

var<workgroup> equal: array<atomic<u32>, 4>;

fn byte_at(at: u32) -> u32 {
  return (planes[at >> 2u] >> ((at & 3u) * 8u)) & 0xffu;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let flat = flat_group(group);
  let task = flat / params.period_groups;
  let part = flat % params.period_groups;
  // The rest of a workgroup's grid, and skipped epochs, are left without work rather than without their turn at the
  // barrier.
  let idle = task >= params.task_count;
  let frame = select(part, 0u, params.codec == CODEC_ZSTD);
  let begin = select(0u, part * PART_BYTES, params.codec == CODEC_ZSTD);
  var bytes = 0u;
  if (!idle) {
    if (tables[params.skipped_at + task / params.chunks_per_epoch] == 0u) {
      bytes = frame_bytes(frame) / GROUP_BYTES * GROUP_BYTES;
    }
  }
  let to = select(bytes, min(bytes, begin + PART_BYTES), params.codec == CODEC_ZSTD);
  let chunk_at = task * params.chunk_stride;
  if (thread < 4u) {
    atomicStore(&equal[thread], 0u);
  }
  workgroupBarrier();

  var counts = vec4<u32>(0u);
  let first_octet = begin / (8u * GROUP_BYTES);
  let items = select(0u, (to - begin + 8u * GROUP_BYTES - 1u) / (8u * GROUP_BYTES) * GROUP_BYTES, to > begin);
  for (var item = thread; item < items; item += THREADS) {
    let octet = first_octet + item / GROUP_BYTES;
    let start = (octet * 8u + ((5u * octet) & 7u)) * GROUP_BYTES;
    if (start >= to) {
      continue;
    }
    let within = item % GROUP_BYTES;
    if (is_shuffled()) {
      // Position j of the frame is byte j mod T of element j / T; the sample holds whole elements, so planes may go one
      // by one.
      let elements_in_group = GROUP_BYTES / params.item_bytes;
      let element = start / params.item_bytes + within % elements_in_group;
      let elements = min(BLOCK_BYTES, params.chunk_elements - frame * BLOCK_BYTES);
      let first_plane_at = chunk_at + frame * BLOCK_BYTES * params.item_bytes;
      let plane_at = first_plane_at + (within / elements_in_group) * align16(elements);
      let value = byte_at(plane_at + element);
      for (var k = 1u; k <= 4u; k++) {
        if (element >= k) {
          counts[k - 1u] += u32(value == byte_at(plane_at + element - k));
        }
      }
    } else {
      let position = start + within;
      let frame_at = chunk_at + select(0u, frame * 2u * BLOCK_BYTES, params.codec == CODEC_BLOSC);
      let value = byte_at(frame_at + position);
      for (var k = 1u; k <= 4u; k++) {
        let back = k * params.item_bytes;
        if (position >= back) {
          counts[k - 1u] += u32(value == byte_at(frame_at + position - back));
        }
      }
    }
  }
  for (var k = 0u; k < 4u; k++) {
    if (counts[k] != 0u) {
      atomicAdd(&equal[k], counts[k]);
    }
  }
  workgroupBarrier();
  if (thread < 4u && !idle) {
    let counter = params.periods_at + 4u * (task * params.frames_per_chunk + frame) + thread;
    atomicAdd(&work[counter], atomicLoad(&equal[thread]));
  }
}
