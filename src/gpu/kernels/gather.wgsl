// Gathers every chunk out of the batch, pads it, and separates the bytes of its elements into planes (docs/encoder.md
// §1).
//
// One invocation makes one word of each plane, or one word of the chunk where nothing is shuffled.

@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(2) var<storage, read> input: array<u32>;
@group(0) @binding(3) var<storage, read_write> planes: array<u32>;

// No byte of `input`, which ends before it: the plan bounds every buffer.
const ROW = 0xffffffffu;

// Byte offset of an element in the batch; ROW where there is none, and the fill value stands.
fn source_of(element: u32, chunk_row: u32, base: u32, rows: u32) -> u32 {
  var rest = element;
  var at = base;
  var inside = true;
  for (var k = params.rank; k > 0u; k--) {
    let d = k - 1u;
    let size = tables[params.dims_at + 2u * d];
    var index = rest;
    if (d > 0u) {
      index = rest % size;
      rest = rest / size;
    }
    let extent = select(tables[chunk_row + 3u + d], rows, d == 0u);
    inside = inside && index < extent;
    at += index * tables[params.dims_at + 2u * d + 1u];
  }
  return select(ROW, at, inside);
}

fn low_word(at: u32) -> u32 {
  if (at == ROW) {
    return params.fill_low;
  }
  let word = input[at >> 2u];
  if (params.item_bytes >= 4u) {
    return word;
  }
  let mask = select(0xffffu, 0xffu, params.item_bytes == 1u);
  return (word >> ((at & 3u) * 8u)) & mask;
}

fn high_word(at: u32) -> u32 {
  if (at == ROW) {
    return params.fill_high;
  }
  return input[(at >> 2u) + 1u];
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let flat = flat_group(group);
  let task = flat / params.gather_groups;
  if (task >= params.task_count) {
    return;
  }
  let epoch = task / params.chunks_per_epoch;
  if (tables[params.skipped_at + epoch] != 0u) {
    return;
  }
  let unit = (flat % params.gather_groups) * THREADS + thread;
  let chunk_row = params.chunk_table_at + (task % params.chunks_per_epoch) * params.chunk_table_words;
  let base = epoch * params.epoch_bytes + tables[chunk_row];
  let rows = select(params.epoch_rows, params.last_epoch_rows, epoch + 1u == params.epoch_count);
  let chunk_at = task * params.chunk_stride;

  if (is_shuffled()) {
    let first = unit * 4u;
    if (first >= params.chunk_elements) {
      return;
    }
    var low = vec4<u32>(0u);
    var high = vec4<u32>(0u);
    for (var i = 0u; i < 4u; i++) {
      if (first + i < params.chunk_elements) {
        let at = source_of(first + i, chunk_row, base, rows);
        low[i] = low_word(at);
        if (params.item_bytes == 8u) {
          high[i] = high_word(at);
        }
      }
    }
    let frame = first / BLOCK_BYTES;
    let elements = min(BLOCK_BYTES, params.chunk_elements - frame * BLOCK_BYTES);
    let to = (chunk_at + frame * BLOCK_BYTES * params.item_bytes + (first - frame * BLOCK_BYTES)) >> 2u;
    let stride = align16(elements) >> 2u;
    let shifts = vec4<u32>(0u, 8u, 16u, 24u);
    for (var plane = 0u; plane < params.item_bytes; plane++) {
      let words = select(low, high, plane > 3u);
      let bytes = ((words >> vec4<u32>((plane & 3u) * 8u)) & vec4<u32>(0xffu)) << shifts;
      planes[to + plane * stride] = bytes.x | bytes.y | bytes.z | bytes.w;
    }
    return;
  }

  let byte = unit * 4u;
  if (byte >= params.chunk_bytes) {
    return;
  }
  var word = 0u;
  if (params.item_bytes == 8u) {
    let at = source_of(byte / 8u, chunk_row, base, rows);
    word = low_word(at);
    if ((byte & 4u) != 0u) {
      word = high_word(at);
    }
  } else {
    for (var i = 0u; i < 4u / params.item_bytes; i++) {
      let element = byte / params.item_bytes + i;
      if (element < params.chunk_elements) {
        word |= low_word(source_of(element, chunk_row, base, rows)) << (i * params.item_bytes * 8u);
      }
    }
  }
  planes[(chunk_at + byte) >> 2u] = word;
}
