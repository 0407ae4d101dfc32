// Finds the runs of a block, decides which become sequences, and lists them (docs/encoder.md §3).
//
// One workgroup a block. Which bytes equal the one a period before is one bit a byte; a run is an interval of bits,
// owned by the thread in whose span it starts.

@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> planes: array<u32>;
@group(0) @binding(4) var<storage, read_write> work: array<u32>;
@group(0) @binding(5) var<storage, read_write> blocks: array<u32>;

const MASK_WORDS = 1024u;
const FLAT_BYTES_MIN = 16384u;
const RUN_LENGTH_MIN = 3u;
const SEQUENCE_COST = 8u;
const SAVING_MIN = 96u;
const LITERAL_COST_MAX = 11u;

// One bit a byte of the block: it equals the byte a period before.
var<workgroup> equal: array<u32, MASK_WORDS>;
// One bit a word of `equal`: all of its bits are set. Long runs are walked by it.
var<workgroup> full: array<atomic<u32>, 32>;
// One bit a byte: a run starts here and is taken.
var<workgroup> taken: array<u32, MASK_WORDS>;
var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> costs: array<u32, 256>;
var<workgroup> ll_counts: array<atomic<u32>, LL_CODES>;
var<workgroup> ml_counts: array<atomic<u32>, ML_CODES>;
var<workgroup> equal_count: atomic<u32>;
var<workgroup> unlike_first: atomic<u32>;
var<workgroup> squares: atomic<u32>;
var<workgroup> saving: atomic<u32>;
var<workgroup> decision: u32;

fn bits_below(count: u32) -> u32 {
  return select((1u << (count & 31u)) - 1u, 0xffffffffu, count >= 32u);
}

fn byte_of(at: u32, position: u32) -> u32 {
  return (planes[(at + position) >> 2u] >> (((at + position) & 3u) * 8u)) & 0xffu;
}

// Sampled positions of content of that many bytes (§1 step 1).
fn sampled_bytes(bytes: u32) -> u32 {
  let groups = bytes / GROUP_BYTES;
  let octets = groups / 8u;
  let last = u32(((5u * octets) & 7u) < (groups & 7u));
  return (octets + last) * GROUP_BYTES;
}

fn period_of(block: Block) -> u32 {
  let counters = params.periods_at + 4u * (block.task * params.frames_per_chunk + block.frame);
  let one = work[counters];
  var best = 1u;
  var most = one;
  for (var k = 2u; k <= 4u; k++) {
    let count = work[counters + k - 1u];
    if (count > most) {
      most = count;
      best = k;
    }
  }
  if (best != 1u && most - one <= one / 8u + sampled_bytes(frame_bytes(block.frame)) / 64u) {
    best = 1u;
  }
  return select(best * params.item_bytes, best, is_shuffled());
}

// Behind the last position of the run that holds `position`.
fn run_end(position: u32, bytes: u32) -> u32 {
  var word = position >> 5u;
  let here = ~equal[word] >> (position & 31u);
  if (here != 0u) {
    return position + countTrailingZeros(here);
  }
  word++;
  var row = word >> 5u;
  var first = word & 31u;
  while (row < 32u) {
    let open = ~atomicLoad(&full[row]) >> first;
    if (open != 0u) {
      let found = row * 32u + first + countTrailingZeros(open);
      return found * 32u + countTrailingZeros(~equal[found]);
    }
    row++;
    first = 0u;
  }
  return bytes;
}

// First position of the run that holds the last bit before word `word`.
fn run_start_before(word: u32) -> u32 {
  var row = (word - 1u) >> 5u;
  var open = ~atomicLoad(&full[row]) & bits_below(((word - 1u) & 31u) + 1u);
  while (open == 0u) {
    // Ends: the first byte of a block never equals an earlier one.
    row--;
    open = ~atomicLoad(&full[row]);
  }
  let found = row * 32u + firstLeadingBit(open);
  return found * 32u + firstLeadingBit(~equal[found]) + 1u;
}

// Bits of a word at bit position `base` that are positions of the block.
fn valid_bits(base: u32, bytes: u32) -> u32 {
  return select(bits_below(bytes - base), 0u, base >= bytes);
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
  let at = block.at;
  let bytes = block.bytes;
  let descriptor = flat * BLOCK_WORDS;
  let period = period_of(block);

  atomicStore(&histogram[thread], 0u);
  if (thread < 32u) {
    atomicStore(&full[thread], 0u);
  }
  if (thread < LL_CODES) {
    atomicStore(&ll_counts[thread], 0u);
  }
  if (thread < ML_CODES) {
    atomicStore(&ml_counts[thread], 0u);
  }
  if (thread == 0u) {
    atomicStore(&equal_count, 0u);
    atomicStore(&unlike_first, 0u);
    atomicStore(&squares, 0u);
    atomicStore(&saving, 0u);
  }
  workgroupBarrier();

  // §3.1, §3.2: equal positions.
  let first_byte = planes[at >> 2u] & 0xffu;
  let splat = first_byte * 0x01010101u;
  let span_word = thread * SPAN_WORDS;
  var unlike = 0u;
  var count = 0u;
  for (var m = 0u; m < 4u; m++) {
    var mask = 0u;
    for (var w = 0u; w < 8u; w++) {
      let position = (span_word + m * 8u + w) * 4u;
      if (position < bytes) {
        let word = planes[(at + position) >> 2u];
        let valid = bits_below(min(4u, bytes - position));
        var byte_mask = 0xffffffffu;
        if (bytes - position < 4u) {
          byte_mask = bits_below((bytes - position) * 8u);
        }
        unlike |= (word ^ splat) & byte_mask;
        if (position + 3u >= period) {
          // The four bytes a period before. Those in front of the block are masked below; the first word of a buffer
          // has none.
          let back = at + position - period;
          var before = 0u;
          if (at + position >= period) {
            before = planes[back >> 2u] >> ((back & 3u) * 8u);
            if ((back & 3u) != 0u) {
              before |= planes[(back >> 2u) + 1u] << (32u - (back & 3u) * 8u);
            }
          } else {
            before = planes[0] << ((period - position) * 8u);
          }
          let differ = word ^ before;
          let zero = ~(((differ & 0x7f7f7f7fu) + 0x7f7f7f7fu) | differ | 0x7f7f7f7fu);
          var four = (((zero >> 7u) * 0x01020408u) >> 24u) & 0xfu;
          if (position < period) {
            four &= ~bits_below(period - position);
          }
          mask |= (four & valid) << (w * 4u);
        }
      }
    }
    equal[thread * 4u + m] = mask;
    count += countOneBits(mask);
    if (mask == 0xffffffffu) {
      atomicOr(&full[thread / 8u], 1u << ((thread & 7u) * 4u + m));
    }
  }
  atomicAdd(&equal_count, count);
  if (unlike != 0u) {
    atomicOr(&unlike_first, 1u);
  }
  workgroupBarrier();

  if (thread == 0u) {
    decision = TYPE_COMPRESSED;
    if (bytes >= 2u && atomicLoad(&unlike_first) == 0u) {
      decision = TYPE_RLE;
    } else if (bytes >= FLAT_BYTES_MIN && 64u * atomicLoad(&equal_count) <= bytes) {
      decision = TYPE_RAW;
    }
  }
  let first_guess = workgroupUniformLoad(&decision);
  if (first_guess == TYPE_RLE) {
    if (thread == 0u) {
      blocks[descriptor + D_TYPE] = TYPE_RLE;
      blocks[descriptor + D_LITERALS] = 0u;
      blocks[descriptor + D_SEQUENCES] = 0u;
    }
    return;
  }
  if (first_guess == TYPE_RAW) {
    // §3.3: is the sample flat?
    let sampled = sampled_bytes(bytes);
    for (var item = thread; item < sampled; item += THREADS) {
      let octet = item / GROUP_BYTES;
      let position = (octet * 8u + ((5u * octet) & 7u)) * GROUP_BYTES + item % GROUP_BYTES;
      atomicAdd(&histogram[byte_of(at, position)], 1u);
    }
    workgroupBarrier();
    let own = atomicLoad(&histogram[thread]);
    atomicAdd(&squares, own * own);
    atomicStore(&histogram[thread], 0u);
    workgroupBarrier();
    if (thread == 0u && atomicLoad(&squares) > (sampled * (sampled + 256u + sampled / 32u)) / 256u) {
      decision = TYPE_COMPRESSED;
    }
    if (workgroupUniformLoad(&decision) == TYPE_RAW) {
      if (thread == 0u) {
        blocks[descriptor + D_TYPE] = TYPE_RAW;
        blocks[descriptor + D_LITERALS] = 0u;
        blocks[descriptor + D_SEQUENCES] = 0u;
      }
      return;
    }
  }

  // §3.4: what a literal costs, and which runs are worth more than a sequence.
  for (var w = 0u; w < SPAN_WORDS; w++) {
    let position = (span_word + w) * 4u;
    if (position < bytes) {
      let word = planes[(at + position) >> 2u];
      for (var i = 0u; i < min(4u, bytes - position); i++) {
        atomicAdd(&histogram[(word >> (i * 8u)) & 0xffu], 1u);
      }
    }
  }
  workgroupBarrier();
  let occurs = atomicLoad(&histogram[thread]);
  var cost = 0u;
  if (occurs > 0u) {
    let q = max(1u, (181u * bytes) / (128u * occurs));
    cost = min(LITERAL_COST_MAX, max(1u, firstLeadingBit(q)));
  }
  costs[thread] = cost;
  workgroupBarrier();

  var worth_sum = 0u;
  for (var m = 0u; m < 4u; m++) {
    let word = thread * 4u + m;
    var before = 0u;
    if (word > 0u) {
      before = equal[word - 1u] >> 31u;
    }
    var starts = equal[word] & ~((equal[word] << 1u) | before);
    var chosen = 0u;
    while (starts != 0u) {
      let bit = countTrailingZeros(starts);
      starts &= starts - 1u;
      let start = word * 32u + bit;
      let length = run_end(start, bytes) - start;
      if (length >= RUN_LENGTH_MIN) {
        let look = min(length, SEQUENCE_COST);
        var worth = 0u;
        for (var i = 0u; i < look; i++) {
          worth += costs[byte_of(at, start + i)];
        }
        if (worth >= SEQUENCE_COST) {
          chosen |= 1u << bit;
          worth_sum += worth - SEQUENCE_COST + length - look;
        }
      }
    }
    taken[word] = chosen;
  }
  atomicAdd(&saving, worth_sum);
  workgroupBarrier();
  let worthwhile = atomicLoad(&saving) >= SAVING_MIN;

  // Bytes of taken runs in this span, one bit each. Adding a run's start to the mask clears the run by its carry, up to
  // its end; a run that flows in from the span before is a carry into the lowest bit.
  var matched = vec4<u32>(0u);
  var run_count = 0u;
  if (worthwhile) {
    let word = thread * 4u;
    var carry = 0u;
    if (thread > 0u && (equal[word] & 1u) != 0u && (equal[word - 1u] >> 31u) != 0u) {
      let start = run_start_before(word);
      carry = (taken[start >> 5u] >> (start & 31u)) & 1u;
    }
    for (var m = 0u; m < 4u; m++) {
      let mask = equal[word + m];
      let starts = taken[word + m];
      let with_starts = mask + starts;
      let sum = with_starts + carry;
      carry = u32(with_starts < mask || sum < with_starts);
      matched[m] = mask & ~sum;
      run_count += countOneBits(starts);
    }
  }
  var literal_count = 0u;
  for (var m = 0u; m < 4u; m++) {
    let base = (thread * 4u + m) * 32u;
    literal_count += countOneBits(~matched[m] & valid_bits(base, bytes));
    if (thread * 4u + m < params.mask_words) {
      work[params.masks_at + flat * params.mask_words + thread * 4u + m] = matched[m];
    }
  }

  // Literals and sequences before this span.
  // Both fit: a block has 32,768 literals and 8,192 sequences at most.
  let sum_to_here = scan(literal_count | (run_count << 16u), thread);
  let total = sums[THREADS - 1u];
  let totals = vec2<u32>(total & 0xffffu, total >> 16u);
  let before = vec2<u32>(sum_to_here & 0xffffu, sum_to_here >> 16u) - vec2<u32>(literal_count, run_count);
  if (thread < params.prefix_words) {
    work[params.prefixes_at + 2u * (flat * params.prefix_words + thread)] = before.x;
  }

  // §3.5. A sequence is the literals before its run, counted from the start of the block, and the run's length.
  let list = params.sequences_at + flat * params.sequence_words;
  if (worthwhile) {
    var literals = before.x;
    var number = before.y;
    for (var m = 0u; m < 4u; m++) {
      let base = (thread * 4u + m) * 32u;
      let free = ~matched[m] & valid_bits(base, bytes);
      var starts = taken[thread * 4u + m];
      while (starts != 0u) {
        let bit = countTrailingZeros(starts);
        starts &= starts - 1u;
        let in_front = literals + countOneBits(free & bits_below(bit));
        work[list + number] = in_front | ((run_end(base + bit, bytes) - base - bit) << 16u);
        number++;
      }
      literals += countOneBits(free);
    }
  }
  storageBarrier();
  for (var i = thread; i < totals.y; i += THREADS) {
    let own = work[list + i];
    var previous = 0u;
    if (i > 0u) {
      previous = work[list + i - 1u] & 0xffffu;
    }
    atomicAdd(&ll_counts[literal_length_code((own & 0xffffu) - previous)], 1u);
    atomicAdd(&ml_counts[match_length_code((own >> 16u) - 3u)], 1u);
  }
  workgroupBarrier();
  if (thread < LL_CODES) {
    blocks[descriptor + D_LL_COUNTS + thread] = atomicLoad(&ll_counts[thread]);
  }
  if (thread < ML_CODES) {
    blocks[descriptor + D_ML_COUNTS + thread] = atomicLoad(&ml_counts[thread]);
  }
  if (thread == 0u) {
    blocks[descriptor + D_TYPE] = TYPE_COMPRESSED;
    blocks[descriptor + D_LITERALS] = totals.x;
    blocks[descriptor + D_SEQUENCES] = totals.y;
    blocks[descriptor + D_PERIOD] = period;
  }
}
