// Makes the Huffman code of a block's literals, its tree description, and the place of every thread's literals in their
// streams (docs/encoder.md §4, §5).
//
// One workgroup a block. Package-merge in parallel: an item's place in a merged list is its own index plus a binary
// search in the other list; which items are leaves is one bit each, and the lengths are counted from those bits
// backwards.

@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> planes: array<u32>;
@group(0) @binding(4) var<storage, read_write> work: array<u32>;
@group(0) @binding(5) var<storage, read_write> blocks: array<u32>;

const CODE_BITS_MAX = 11u;
const DIRECT_LAST_MAX = 128u;
const TREE_BYTES_LIMIT = 128u;
const WEIGHTS = 12u;
// Words of a list's leaf bits; a list has 2 · 256 − 1 items at most.
const FLAG_WORDS = 16u;

var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> leaf_weight: array<u32, 256>;
var<workgroup> leaf_symbol: array<u32, 256>;
var<workgroup> list: array<u32, 512>;
var<workgroup> merged: array<u32, 512>;
// Of lists 2 … 11; list 1 is leaves alone.
var<workgroup> is_leaf: array<atomic<u32>, 160>;
var<workgroup> lengths: array<u32, 256>;
var<workgroup> borders: array<u32, 5>;
var<workgroup> tree: array<u32, 40>;
var<workgroup> tree_bytes: u32;
var<workgroup> symbol_count: atomic<u32>;
var<workgroup> last_symbol: atomic<u32>;
var<workgroup> longest: atomic<u32>;
var<workgroup> header: vec4<u32>;

// Leaves among the first items of list `round` + 1.
fn leaves_among(round: u32, items: u32) -> u32 {
  if (round == 0u) {
    return items;
  }
  var found = 0u;
  for (var w = 0u; w * 32u < items; w++) {
    let left = items - w * 32u;
    let mask = select((1u << (left & 31u)) - 1u, 0xffffffffu, left >= 32u);
    found += countOneBits(atomicLoad(&is_leaf[(round - 1u) * FLAG_WORDS + w]) & mask);
  }
  return found;
}

// A bit stream in `tree`, behind the byte that holds its size.
var<private> tree_bits: u32;

fn put(value: u32, bits: u32) {
  if (bits == 0u) {
    return;
  }
  let word = tree_bits >> 5u;
  let shift = tree_bits & 31u;
  if (word + 1u < 40u) {
    tree[word] |= value << shift;
    if (shift + bits > 32u) {
      tree[word + 1u] |= value >> (32u - shift);
    }
  }
  tree_bits += bits;
}

fn weight_of(symbol: u32) -> u32 {
  let length = lengths[symbol];
  return select(atomicLoad(&longest) + 1u - length, 0u, length == 0u);
}

// The tree description in its FSE form, made in `tree`; 0 when there is none. One thread.
fn describe_by_fse(described: u32) -> u32 {
  if (described < 2u) {
    return 0u;
  }
  var counts: array<u32, WEIGHTS>;
  for (var i = 0u; i < described; i++) {
    counts[weight_of(i)]++;
  }
  var distinct = 0u;
  for (var s = 0u; s < WEIGHTS; s++) {
    distinct += u32(counts[s] > 0u);
  }
  if (distinct < 2u) {
    return 0u;
  }
  let log = select(5u, 6u, described >= 64u);
  let size = 1u << log;

  // §7.1
  var p: array<u32, WEIGHTS>;
  var rest: array<u32, WEIGHTS>;
  var used = 0u;
  for (var s = 0u; s < WEIGHTS; s++) {
    let share = (counts[s] * size) / described;
    rest[s] = select(0u, (counts[s] * size) % described + 1u, share > 0u);
    p[s] = select(0u, max(1u, share), counts[s] > 0u);
    used += p[s];
  }
  while (used < size) {
    var best = 0u;
    for (var s = 1u; s < WEIGHTS; s++) {
      if (rest[s] > rest[best]) {
        best = s;
      }
    }
    rest[best] = 0u;
    p[best]++;
    used++;
  }
  while (used > size) {
    var best = 0u;
    for (var s = 1u; s < WEIGHTS; s++) {
      if (p[s] > p[best]) {
        best = s;
      }
    }
    p[best]--;
    used--;
  }

  // §7.2; the size goes into the first byte at the end.
  for (var w = 0u; w < 40u; w++) {
    tree[w] = 0u;
  }
  tree_bits = 8u;
  put(log - 5u, 4u);
  var remaining = size;
  var symbol = 0u;
  while (remaining > 0u) {
    let most = remaining + 1u;
    let bits = firstLeadingBit(most) + 1u;
    let threshold = (1u << bits) - 1u - most;
    let value = p[symbol] + 1u;
    if (value < threshold) {
      put(value, bits - 1u);
    } else {
      put(select(value + threshold, value, value < (1u << (bits - 1u))), bits);
    }
    remaining -= p[symbol];
    symbol++;
    if (p[symbol - 1u] != 0u) {
      continue;
    }
    var zeros = 0u;
    while (p[symbol] == 0u) {
      zeros++;
      symbol++;
    }
    while (zeros >= 3u) {
      put(3u, 2u);
      zeros -= 3u;
    }
    put(zeros, 2u);
  }
  tree_bits = (tree_bits + 7u) & ~7u;

  // §7.3: the cells of each symbol, ascending, one symbol behind the other.
  var cells: array<u32, 64>;
  var symbols: array<u32, 64>;
  var starts: array<u32, WEIGHTS>;
  var filled: array<u32, WEIGHTS>;
  var at = 0u;
  var start = 0u;
  for (var s = 0u; s < WEIGHTS; s++) {
    starts[s] = start;
    start += p[s];
    for (var k = 0u; k < p[s]; k++) {
      symbols[at] = s;
      at = (at + (size >> 1u) + (size >> 3u) + 3u) & (size - 1u);
    }
  }
  for (var x = 0u; x < size; x++) {
    let s = symbols[x];
    cells[starts[s] + filled[s]] = x;
    filled[s]++;
  }

  // §7.4: even weights in state 1, odd ones in state 2, from the last to the first.
  var states = array<u32, 2>(0u, 0u);
  for (var i = described; i > 0u; i--) {
    let s = weight_of(i - 1u);
    let which = (i - 1u) & 1u;
    if (i + 1u >= described) {
      states[which] = cells[starts[s]];
    } else {
      let y = states[which] + size;
      var bits = log - firstLeadingBit(p[s]);
      if ((y >> bits) < p[s]) {
        bits--;
      }
      put(y & ((1u << bits) - 1u), bits);
      states[which] = cells[starts[s] + (y >> bits) - p[s]];
    }
    if (tree_bits > 8u * TREE_BYTES_LIMIT + 64u) {
      return 0u;
    }
  }
  put(states[1], log);
  put(states[0], log);
  put(1u, 1u);
  let bytes = (tree_bits + 7u) / 8u;
  if (bytes - 1u >= TREE_BYTES_LIMIT) {
    return 0u;
  }
  tree[0] |= bytes - 1u;
  return bytes;
}

// Makes the shorter description; leaves its size in tree_bytes, 0 when neither form is possible. One thread.
fn describe() {
  let described = atomicLoad(&last_symbol);
  let direct = select(0u, 1u + (described + 1u) / 2u, described <= DIRECT_LAST_MAX);
  let fse = describe_by_fse(described);
  tree_bytes = fse;
  if (direct == 0u || (fse != 0u && fse < direct)) {
    return;
  }
  for (var w = 0u; w < 40u; w++) {
    tree[w] = 0u;
  }
  tree[0] = 127u + described;
  for (var i = 0u; i < described; i++) {
    // Two weights a byte, the even one in the high half.
    let byte = 1u + i / 2u;
    tree[byte >> 2u] |= weight_of(i) << ((byte & 3u) * 8u + select(4u, 0u, (i & 1u) != 0u));
  }
  tree_bytes = direct;
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
    header = vec4<u32>(blocks[descriptor + D_TYPE], blocks[descriptor + D_LITERALS], 0u, 0u);
    atomicStore(&symbol_count, 0u);
    atomicStore(&last_symbol, 0u);
    atomicStore(&longest, 0u);
  }
  let given = workgroupUniformLoad(&header);
  if (given.x != TYPE_COMPRESSED) {
    return;
  }
  let literal_count = given.y;
  let at = block.at;
  let bytes = block.bytes;
  let masks = params.masks_at + flat * params.mask_words;
  let span_word = thread * SPAN_WORDS;

  atomicStore(&histogram[thread], 0u);
  lengths[thread] = 0u;
  if (thread < 160u) {
    atomicStore(&is_leaf[thread], 0u);
  }
  if (thread < 5u) {
    borders[thread] = 0u;
  }
  workgroupBarrier();

  for (var w = 0u; w < SPAN_WORDS; w++) {
    let position = (span_word + w) * 4u;
    if (position < bytes) {
      let word = planes[(at + position) >> 2u];
      let matched = work[masks + (position >> 5u)] >> (position & 31u);
      for (var i = 0u; i < min(4u, bytes - position); i++) {
        if ((matched & (1u << i)) == 0u) {
          atomicAdd(&histogram[(word >> (i * 8u)) & 0xffu], 1u);
        }
      }
    }
  }
  workgroupBarrier();

  // Leaves in ascending order of (count, symbol).
  let own = atomicLoad(&histogram[thread]);
  if (own > 0u) {
    var rank = 0u;
    for (var s = 0u; s < 256u; s++) {
      let other = atomicLoad(&histogram[s]);
      rank += u32(other > 0u && (other < own || (other == own && s < thread)));
    }
    leaf_weight[rank] = own;
    leaf_symbol[rank] = thread;
    list[rank] = own;
    atomicAdd(&symbol_count, 1u);
    atomicMax(&last_symbol, thread);
  }
  workgroupBarrier();
  if (thread == 0u) {
    header.z = atomicLoad(&symbol_count);
  }
  let leaf_count = workgroupUniformLoad(&header).z;
  let raw_bytes = literal_count + select(select(3u, 2u, literal_count < 4096u), 1u, literal_count < 32u);
  if (leaf_count < 2u) {
    if (thread == 0u) {
      blocks[descriptor + D_FORM] = 0u;
      blocks[descriptor + D_LITERAL_BYTES] = raw_bytes;
      blocks[descriptor + D_HEADER_BYTES] = raw_bytes - literal_count;
    }
    return;
  }

  // Package-merge. `list` holds list `round`, ascending.
  var items = leaf_count;
  for (var round = 1u; round < CODE_BITS_MAX; round++) {
    let packages = items / 2u;
    let flags = (round - 1u) * FLAG_WORDS;
    if (thread < leaf_count) {
      // A leaf stands behind the packages that weigh less.
      let weight = leaf_weight[thread];
      var low = 0u;
      var high = packages;
      while (low < high) {
        let middle = (low + high) / 2u;
        if (list[2u * middle] + list[2u * middle + 1u] < weight) {
          low = middle + 1u;
        } else {
          high = middle;
        }
      }
      let place = thread + low;
      merged[place] = weight;
      atomicOr(&is_leaf[flags + (place >> 5u)], 1u << (place & 31u));
    }
    if (thread < packages) {
      // A package stands behind the leaves that weigh as much or less.
      let weight = list[2u * thread] + list[2u * thread + 1u];
      var low = 0u;
      var high = leaf_count;
      while (low < high) {
        let middle = (low + high) / 2u;
        if (leaf_weight[middle] <= weight) {
          low = middle + 1u;
        } else {
          high = middle;
        }
      }
      merged[thread + low] = weight;
    }
    items = leaf_count + packages;
    workgroupBarrier();
    list[thread] = merged[thread];
    list[thread + 256u] = merged[thread + 256u];
    workgroupBarrier();
  }
  var length = 0u;
  var wanted = 2u * leaf_count - 2u;
  for (var round = CODE_BITS_MAX; round > 0u; round--) {
    let found = leaves_among(round - 1u, wanted);
    length += u32(thread < found);
    wanted = 2u * (wanted - found);
  }
  if (thread < leaf_count) {
    lengths[leaf_symbol[thread]] = length;
    atomicMax(&longest, length);
  }
  workgroupBarrier();

  // Canonical values: from the longest codes to the shortest, inside a length by symbol.
  let own_length = lengths[thread];
  var code = 0u;
  if (own_length > 0u) {
    var shorter = array<u32, 12>();
    var before = 0u;
    for (var s = 0u; s < 256u; s++) {
      let other = lengths[s];
      shorter[other]++;
      before += u32(other == own_length && s < thread);
    }
    for (var l = CODE_BITS_MAX; l > own_length; l--) {
      code = (code + shorter[l]) >> 1u;
    }
    code += before;
  }
  work[params.codes_at + flat * 256u + thread] = own_length | (code << 8u);
  if (thread == 0u) {
    describe();
  }

  // Bits of this span's literals, and before them.
  var bits = 0u;
  let segment = (literal_count + 3u) / 4u;
  let prefix = params.prefixes_at + 2u * (flat * params.prefix_words + thread);
  var number = 0u;
  if (thread < params.prefix_words) {
    number = work[prefix];
  }
  // Where streams begin inside this span: literal k · segment, at so many bits from the span's start.
  var begins = vec4<u32>(0xffffffffu);
  for (var w = 0u; w < SPAN_WORDS; w++) {
    let position = (span_word + w) * 4u;
    if (position < bytes) {
      let word = planes[(at + position) >> 2u];
      let matched = work[masks + (position >> 5u)] >> (position & 31u);
      for (var i = 0u; i < min(4u, bytes - position); i++) {
        if ((matched & (1u << i)) == 0u) {
          if (number == segment) {
            begins.y = bits;
          }
          if (number == 2u * segment) {
            begins.z = bits;
          }
          if (number == 3u * segment) {
            begins.w = bits;
          }
          bits += lengths[(word >> (i * 8u)) & 0xffu];
          number++;
        }
      }
    }
  }
  let sum_to_here = scan(bits, thread);
  let before_span = sum_to_here - bits;
  if (thread < params.prefix_words) {
    work[prefix + 1u] = before_span;
  }
  for (var k = 1u; k < 4u; k++) {
    if (begins[k] != 0xffffffffu) {
      borders[k] = before_span + begins[k];
    }
  }
  workgroupBarrier();

  if (thread == 0u) {
    let total = sums[THREADS - 1u];
    let streams = select(4u, 1u, literal_count < ONE_STREAM_BELOW);
    var inner = tree_bytes;
    if (streams == 1u) {
      inner += total / 8u + 1u;
    } else {
      inner += 6u + (borders[1] / 8u + 1u) + ((borders[2] - borders[1]) / 8u + 1u)
        + ((borders[3] - borders[2]) / 8u + 1u) + ((total - borders[3]) / 8u + 1u);
    }
    let largest = max(literal_count, inner);
    let header_bytes = select(select(select(5u, 4u, largest < 16384u), 3u, largest < 1024u), 3u, streams == 1u);
    let compressed = tree_bytes != 0u && header_bytes + inner < raw_bytes;
    blocks[descriptor + D_FORM] = u32(compressed);
    blocks[descriptor + D_LITERAL_BYTES] = select(raw_bytes, header_bytes + inner, compressed);
    blocks[descriptor + D_HEADER_BYTES] = select(raw_bytes - literal_count, header_bytes, compressed);
    blocks[descriptor + D_TREE_BYTES] = tree_bytes;
    blocks[descriptor + D_BORDERS] = 0u;
    blocks[descriptor + D_BORDERS + 1u] = borders[1];
    blocks[descriptor + D_BORDERS + 2u] = borders[2];
    blocks[descriptor + D_BORDERS + 3u] = borders[3];
    blocks[descriptor + D_BORDERS + 4u] = total;
  }
  if (thread < 40u) {
    blocks[descriptor + D_TREE + thread] = tree[thread];
  }
}
