// Writes the sequences section of a block (docs/encoder.md §6, §7).
//
// One invocation a block: each state depends on the one before, and a batch has blocks enough to keep a device busy.

@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(4) var<storage, read_write> work: array<u32>;
@group(0) @binding(5) var<storage, read_write> blocks: array<u32>;
@group(0) @binding(6) var<storage, read_write> payload: array<u32>;

const MODE_PREDEFINED = 0u;
const MODE_RLE = 1u;
const MODE_FSE = 2u;
const PREDEFINED_LOG = 6u;
const FSE_SEQUENCES_MIN = 64u;
const FSE_STREAM_BITS_MIN = 32u;

// Words of `tables`, from its start.
const LG_AT = 0u;
const LL_DEFAULT_AT = 520u;
const ML_DEFAULT_AT = 584u;
const LL_CELLS_AT = 648u;
const ML_CELLS_AT = 712u;

// Words of a block's states: for both lengths p, starts and cells; then the symbols of the table being made.
const P_WORDS = 64u;

struct Coding {
  mode: u32,
  log: u32,
  // The code, in mode RLE.
  code: u32,
  codes: u32,
  // Word offsets of probabilities and of the cells' starts, and of the cells.
  p_at: u32,
  cells_at: u32,
  // Word offset in the block's descriptor.
  counts_at: u32,
}

var<private> writer_at: u32;
var<private> writer_end: u32;
var<private> accumulator: u32;
var<private> filled: u32;
var<private> written: u32;
// False while a description is only measured.
var<private> storing: bool;

// Up to 31 bits. What goes past the end of the room is counted and not stored: such a block is stored raw.
fn put(value: u32, bits: u32) {
  if (bits == 0u) {
    return;
  }
  written += bits;
  if (!storing) {
    return;
  }
  accumulator |= value << filled;
  let most = filled + bits;
  if (most >= 32u) {
    if (writer_at < writer_end) {
      payload[writer_at] = accumulator;
    }
    writer_at++;
    accumulator = 0u;
    if (most > 32u) {
      accumulator = value >> (32u - filled);
    }
    filled = most - 32u;
  } else {
    filled = most;
  }
}

fn align_byte() {
  put(0u, (8u - (written & 7u)) & 7u);
}

fn lg(p: u32) -> u32 {
  return tables[LG_AT + p];
}

// §7.2
fn describe_table(p_at: u32, log: u32) {
  put(log - 5u, 4u);
  var remaining = 1u << log;
  var s = 0u;
  while (remaining > 0u) {
    let most = remaining + 1u;
    let bits = firstLeadingBit(most) + 1u;
    let threshold = (1u << bits) - 1u - most;
    let p = work[p_at + s];
    let value = p + 1u;
    if (value < threshold) {
      put(value, bits - 1u);
    } else {
      put(select(value + threshold, value, value < (1u << (bits - 1u))), bits);
    }
    remaining -= p;
    s++;
    if (p != 0u) {
      continue;
    }
    var zeros = 0u;
    while (work[p_at + s] == 0u) {
      zeros++;
      s++;
    }
    while (zeros >= 3u) {
      put(3u, 2u);
      zeros -= 3u;
    }
    put(zeros, 2u);
  }
  align_byte();
}

// §7.1, into work[p_at …]; every symbol of the kind gets a value.
fn normalize(coding: Coding, count: u32) {
  let size = 1u << coding.log;
  var rest: array<u32, ML_CODES>;
  var used = 0u;
  for (var s = 0u; s < coding.codes; s++) {
    let scaled = blocks[coding.counts_at + s] * size;
    let share = scaled / count;
    rest[s] = select(0u, scaled % count + 1u, share > 0u);
    let p = select(0u, max(1u, share), scaled > 0u);
    work[coding.p_at + s] = p;
    used += p;
  }
  while (used < size) {
    var best = 0u;
    for (var s = 1u; s < coding.codes; s++) {
      if (rest[s] > rest[best]) {
        best = s;
      }
    }
    rest[best] = 0u;
    work[coding.p_at + best]++;
    used++;
  }
  while (used > size) {
    var best = 0u;
    for (var s = 1u; s < coding.codes; s++) {
      if (work[coding.p_at + s] > work[coding.p_at + best]) {
        best = s;
      }
    }
    work[coding.p_at + best]--;
    used--;
  }
}

// The cells of each symbol, ascending, one symbol behind the other; starts behind the probabilities. §7.3
fn make_cells(coding: Coding, symbols_at: u32) {
  let size = 1u << coding.log;
  var at = 0u;
  var start = 0u;
  for (var s = 0u; s < coding.codes; s++) {
    let p = work[coding.p_at + s];
    work[coding.p_at + P_WORDS + s] = start;
    start += p;
    for (var k = 0u; k < p; k++) {
      work[symbols_at + at] = s;
      at = (at + (size >> 1u) + (size >> 3u) + 3u) & (size - 1u);
    }
  }
  var next: array<u32, ML_CODES>;
  for (var x = 0u; x < size; x++) {
    let s = work[symbols_at + x];
    work[coding.cells_at + work[coding.p_at + P_WORDS + s] + next[s]] = x;
    next[s]++;
  }
}

// The cheapest of the three modes, on equal cost the first.
fn choose(given: Coding, default_at: u32, count: u32) -> Coding {
  var coding = given;
  var distinct = 0u;
  var cost = 256u * PREDEFINED_LOG;
  for (var s = 0u; s < coding.codes; s++) {
    let occurs = blocks[coding.counts_at + s];
    if (occurs > 0u) {
      distinct++;
      coding.code = s;
      cost += occurs * (256u * PREDEFINED_LOG - lg(tables[default_at + s]));
    }
  }
  coding.mode = MODE_PREDEFINED;
  coding.log = PREDEFINED_LOG;
  if (distinct == 1u) {
    if (256u * 8u < cost) {
      coding.mode = MODE_RLE;
    }
    return coding;
  }
  if (count < FSE_SEQUENCES_MIN) {
    return coding;
  }
  coding.log = min(9u, max(6u, firstLeadingBit(count) - 2u));
  normalize(coding, count);
  var stream = 0u;
  for (var s = 0u; s < coding.codes; s++) {
    let occurs = blocks[coding.counts_at + s];
    if (occurs > 0u) {
      stream += occurs * (256u * coding.log - lg(work[coding.p_at + s]));
    }
  }
  if (stream >= 256u * FSE_STREAM_BITS_MIN) {
    storing = false;
    written = 0u;
    describe_table(coding.p_at, coding.log);
    if (256u * (written + coding.log) + stream < cost) {
      coding.mode = MODE_FSE;
      return coding;
    }
  }
  coding.log = PREDEFINED_LOG;
  return coding;
}

fn literal_length_bits(value: u32) -> u32 {
  if (value < 16u) {
    return 0u;
  }
  if (value < 24u) {
    return 1u;
  }
  if (value < 32u) {
    return 2u;
  }
  if (value < 48u) {
    return 3u;
  }
  return select(firstLeadingBit(value), 4u, value < 64u);
}

// Of a match length less 3.
fn match_length_bits(value: u32) -> u32 {
  if (value < 32u) {
    return 0u;
  }
  if (value < 40u) {
    return 1u;
  }
  if (value < 48u) {
    return 2u;
  }
  if (value < 64u) {
    return 3u;
  }
  if (value < 96u) {
    return 4u;
  }
  return select(firstLeadingBit(value), 5u, value < 128u);
}

// §7.4: puts a code into a state and gives the state that follows.
fn put_state(coding: Coding, state: u32, code: u32, default_at: u32, cells_at: u32) -> u32 {
  if (coding.mode == MODE_RLE) {
    return 0u;
  }
  var p = 0u;
  if (coding.mode == MODE_FSE) {
    p = work[coding.p_at + code];
  } else {
    p = tables[default_at + code];
  }
  let y = state + (1u << coding.log);
  var bits = coding.log - firstLeadingBit(p);
  if ((y >> bits) < p) {
    bits--;
  }
  put(y & ((1u << bits) - 1u), bits);
  return state_cell(coding, code, (y >> bits) - p, cells_at);
}

fn state_cell(coding: Coding, code: u32, index: u32, cells_at: u32) -> u32 {
  if (coding.mode == MODE_FSE) {
    return work[coding.cells_at + work[coding.p_at + P_WORDS + code] + index];
  }
  // The predefined cells name the start of each code in their upper half.
  return tables[cells_at + (tables[cells_at + code] >> 16u) + index] & 0xffffu;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let flat = flat_group(group) * 64u + thread;
  if (flat >= params.task_count * params.blocks_per_chunk) {
    return;
  }
  let task = flat / params.blocks_per_chunk;
  if (tables[params.skipped_at + task / params.chunks_per_epoch] != 0u) {
    return;
  }
  let descriptor = flat * BLOCK_WORDS;
  if (blocks[descriptor + D_TYPE] != TYPE_COMPRESSED) {
    return;
  }
  let count = blocks[descriptor + D_SEQUENCES];
  writer_at = sequences_word(flat, blocks[descriptor + D_LITERAL_BYTES]);
  writer_end = (flat + 1u) * params.payload_words;
  accumulator = 0u;
  filled = 0u;
  if (count == 0u) {
    payload[writer_at] = 0u;
    blocks[descriptor + D_SEQUENCE_BYTES] = 1u;
    return;
  }

  let states = params.states_at + flat * params.state_words;
  let kind_words = 2u * P_WORDS + params.cells_max;
  var ll: Coding;
  ll.codes = LL_CODES;
  ll.p_at = states;
  ll.cells_at = states + 2u * P_WORDS;
  ll.counts_at = descriptor + D_LL_COUNTS;
  ll = choose(ll, LL_DEFAULT_AT, count);
  var ml: Coding;
  ml.codes = ML_CODES;
  ml.p_at = states + kind_words;
  ml.cells_at = ml.p_at + 2u * P_WORDS;
  ml.counts_at = descriptor + D_ML_COUNTS;
  ml = choose(ml, ML_DEFAULT_AT, count);
  if (ll.mode == MODE_FSE) {
    make_cells(ll, states + 2u * kind_words);
  }
  if (ml.mode == MODE_FSE) {
    make_cells(ml, states + 2u * kind_words);
  }

  let period = blocks[descriptor + D_PERIOD];
  let offset_value = select(period + 3u, 1u, period == 1u);
  let offset_code = firstLeadingBit(offset_value);
  storing = true;
  written = 0u;
  if (count < 128u) {
    put(count, 8u);
  } else {
    put((count >> 8u) + 128u, 8u);
    put(count & 0xffu, 8u);
  }
  put((ll.mode << 6u) | (MODE_RLE << 4u) | (ml.mode << 2u), 8u);
  if (ll.mode == MODE_RLE) {
    put(ll.code, 8u);
  } else if (ll.mode == MODE_FSE) {
    describe_table(ll.p_at, ll.log);
  }
  put(offset_code, 8u);
  if (ml.mode == MODE_RLE) {
    put(ml.code, 8u);
  } else if (ml.mode == MODE_FSE) {
    describe_table(ml.p_at, ml.log);
  }

  let list = params.sequences_at + flat * params.sequence_words;
  var ll_state = 0u;
  var ml_state = 0u;
  for (var i = count; i > 0u; i--) {
    let own = work[list + i - 1u];
    var previous = 0u;
    if (i > 1u) {
      previous = work[list + i - 2u] & 0xffffu;
    }
    let literals = (own & 0xffffu) - previous;
    let match_length = (own >> 16u) - 3u;
    let ll_code = literal_length_code(literals);
    let ml_code = match_length_code(match_length);
    if (i == count) {
      if (ml.mode != MODE_RLE) {
        ml_state = state_cell(ml, ml_code, 0u, ML_CELLS_AT);
      }
      if (ll.mode != MODE_RLE) {
        ll_state = state_cell(ll, ll_code, 0u, LL_CELLS_AT);
      }
    } else {
      ml_state = put_state(ml, ml_state, ml_code, ML_DEFAULT_AT, ML_CELLS_AT);
      ll_state = put_state(ll, ll_state, ll_code, LL_DEFAULT_AT, LL_CELLS_AT);
    }
    let ll_bits = literal_length_bits(literals);
    put(literals & ((1u << ll_bits) - 1u), ll_bits);
    let ml_bits = match_length_bits(match_length);
    put(match_length & ((1u << ml_bits) - 1u), ml_bits);
    put(offset_value - (1u << offset_code), offset_code);
  }
  if (ml.mode != MODE_RLE) {
    put(ml_state, ml.log);
  }
  if (ll.mode != MODE_RLE) {
    put(ll_state, ll.log);
  }
  put(1u, 1u);
  align_byte();
  if (filled > 0u && writer_at < writer_end) {
    payload[writer_at] = accumulator;
  }
  blocks[descriptor + D_SEQUENCE_BYTES] = written / 8u;
}
