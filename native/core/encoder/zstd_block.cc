#include "encoder/zstd_block.h"

#include <cstring>

#include "encoder/histogram.h"
#include "encoder/huffman_lengths.h"
#include "encoder/huffman_tree.h"
#include "encoder/sample.h"

namespace millrace {
namespace {

enum BlockType : uint32_t { kRaw = 0, kRle = 1, kCompressed = 2 };

// §3.4
constexpr uint32_t kSequenceCost = 8;
constexpr uint32_t kSavingMin = 96;
// §3.3
constexpr size_t kFlatBytesMin = 16384;
constexpr size_t kOneStreamBelow = 256;

int log2_of(uint32_t value) noexcept { return 31 - __builtin_clz(value); }

void put_header(uint8_t* out, uint32_t type, size_t size, bool last) noexcept {
  const uint32_t header = (last ? 1u : 0u) | type << 1 | static_cast<uint32_t>(size) << 3;
  for (int i = 0; i < 3; i++) out[i] = static_cast<uint8_t>(header >> (8 * i));
}

bool all_equal(const uint8_t* block, size_t bytes, uint32_t period, size_t equal) noexcept {
  if (bytes < 2) return false;
  if (bytes > period && equal != bytes - period) return false;
  const size_t look = bytes < period ? bytes : period;
  for (size_t i = 1; i < look; i++) {
    if (block[i] != block[0]) return false;
  }
  return true;
}

/** Estimated bits of a literal, computed where they are asked for. */
class LiteralCosts {
 public:
  LiteralCosts(const uint32_t* histogram, size_t bytes) noexcept
      : histogram_(histogram), scaled_(181 * static_cast<uint32_t>(bytes)) {}
  uint32_t of(uint8_t symbol) noexcept {
    uint8_t& known = known_[symbol];
    if (known == 0) {
      const uint32_t q = scaled_ / (128 * histogram_[symbol]);
      const int bits = q < 2 ? 1 : log2_of(q);
      known = static_cast<uint8_t>(bits > kCodeBitsMax ? kCodeBitsMax : bits);
    }
    return known;
  }

 private:
  const uint32_t* histogram_;
  uint32_t scaled_;
  uint8_t known_[256] = {};
};

/** §3.4: keeps the runs that are taken, in place; returns how many, 0 when they save too little together. */
size_t take_runs(const uint8_t* block, const uint32_t* histogram, size_t bytes, uint32_t period, Run* runs,
                 size_t count) noexcept {
  LiteralCosts costs(histogram, bytes);
  size_t taken = 0;
  uint32_t saving = 0;
  for (size_t i = 0; i < count; i++) {
    const Run run = runs[i];
    const uint32_t look = run.length < kSequenceCost ? run.length : kSequenceCost;
    uint32_t worth = 0;
    if (period == 1) {
      worth = look * costs.of(block[run.start]);
    } else {
      for (uint32_t k = 0; k < look; k++) worth += costs.of(block[run.start + k]);
    }
    runs[taken] = run;
    if (worth < kSequenceCost) continue;
    taken++;
    saving += worth - kSequenceCost + run.length - look;
  }
  return saving < kSavingMin ? 0 : taken;
}

/** Copies what lies outside of the runs; overshoots by up to 31 bytes where that stays inside of the block. */
size_t copy_literals(const uint8_t* block, size_t bytes, const Run* taken, size_t count, uint8_t* literals) noexcept {
  size_t from = 0, at = 0;
  for (size_t i = 0; i <= count; i++) {
    const size_t to = i < count ? taken[i].start : bytes;
    const size_t length = to - from;
    if (length <= 32 && from + 32 <= bytes) {
      std::memcpy(literals + at, block + from, 32);
    } else {
      std::memcpy(literals + at, block + from, length);
    }
    at += length;
    if (i < count) from = to + taken[i].length;
  }
  return at;
}

/** A literals section, ready to be put together. */
struct Literals {
  bool compressed;
  size_t bytes;  // of the whole section
  size_t header_bytes;
  size_t tree_bytes;
  size_t streams;
  size_t stream_bytes[4];
  uint8_t tree[kTreeBytesMax];
};

size_t raw_header_bytes(size_t count) noexcept { return count < 32 ? 1 : count < 4096 ? 2 : 3; }

/** §4 and §5: decides the form; of Compressed_Literals the streams are in the scratch afterwards. Nothing is packed for
 * a section that would not stay below `limit` bytes. */
void plan_literals(SimdLevel level, const uint8_t* literals, size_t count, const uint32_t counts[256], size_t limit,
                   Literals* plan, BlockScratch* scratch) noexcept {
  int symbols = 0, last = 0;
  for (int s = 0; s < 256; s++) {
    symbols += counts[s] != 0 ? 1 : 0;
    if (counts[s] != 0) last = s;
  }
  plan->header_bytes = raw_header_bytes(count);
  plan->compressed = false;
  plan->bytes = plan->header_bytes + count;
  if (symbols == 1) return;
  uint8_t lengths[256];
  const int longest = huffman_lengths(counts, last, lengths);
  plan->tree_bytes = describe_tree(lengths, last, longest, plan->tree);
  if (plan->tree_bytes == 0) return;
  uint32_t bits = 0;
  for (int s = 0; s <= last; s++) bits += counts[s] * lengths[s];
  // Each stream rounds up, so this is a lower bound.
  const size_t smallest = 3 + plan->tree_bytes + bits / 8;
  if (smallest >= plan->bytes || smallest >= limit) return;
  uint16_t values[256];
  huffman_values(lengths, last, longest, values);
  prepare_pack(values, lengths, &scratch->pack);
  size_t inner = plan->tree_bytes;
  if (count < kOneStreamBelow) {
    plan->streams = 1;
    plan->stream_bytes[0] = pack_huffman1(literals, count, scratch->pack, scratch->streams);
    inner += plan->stream_bytes[0];
  } else {
    plan->streams = 4;
    pack_huffman4(level, literals, count, scratch->pack, scratch->streams, kStreamStride, plan->stream_bytes);
    for (const size_t stream : plan->stream_bytes) inner += stream;
    inner += 6;
  }
  const size_t largest = count > inner ? count : inner;
  const size_t header = plan->streams == 1 || largest < 1024 ? 3 : largest < 16384 ? 4 : 5;
  if (header + inner >= plan->bytes) return;
  plan->compressed = true;
  plan->header_bytes = header;
  plan->bytes = header + inner;
}

void write_literals(const uint8_t* literals, size_t count, const Literals& plan, const BlockScratch& scratch,
                    uint8_t* out) noexcept {
  uint64_t header;
  if (!plan.compressed) {
    header = plan.header_bytes == 1 ? count << 3 : (plan.header_bytes == 2 ? 1u : 3u) << 2 | count << 4;
  } else {
    const uint64_t format = plan.streams == 1 ? 0 : plan.header_bytes - 2;
    const int width = plan.header_bytes == 3 ? 10 : plan.header_bytes == 4 ? 14 : 18;
    const uint64_t inner = plan.bytes - plan.header_bytes;
    header = 2 | format << 2 | uint64_t{count} << 4 | inner << (4 + width);
  }
  for (size_t i = 0; i < plan.header_bytes; i++) *out++ = static_cast<uint8_t>(header >> (8 * i));
  if (!plan.compressed) {
    std::memcpy(out, literals, count);
    return;
  }
  std::memcpy(out, plan.tree, plan.tree_bytes);
  out += plan.tree_bytes;
  if (plan.streams == 4) {
    for (int k = 0; k < 3; k++) {
      *out++ = static_cast<uint8_t>(plan.stream_bytes[k]);
      *out++ = static_cast<uint8_t>(plan.stream_bytes[k] >> 8);
    }
  }
  for (size_t k = 0; k < plan.streams; k++) {
    std::memcpy(out, scratch.streams + k * kStreamStride, plan.stream_bytes[k]);
    out += plan.stream_bytes[k];
  }
}

size_t write_raw(const uint8_t* block, size_t bytes, bool last, uint8_t* out) noexcept {
  put_header(out, kRaw, bytes, last);
  std::memcpy(out + kBlockHeaderBytes, block, bytes);
  return kBlockHeaderBytes + bytes;
}

/** Makes a histogram of the literals out of that of the block. */
void count_literals(SimdLevel level, const uint8_t* block, size_t bytes, uint32_t period, const Run* taken,
                    size_t count, const uint8_t* literals, size_t literal_count, uint32_t counts[256]) noexcept {
  if (period == 1) {
    for (size_t i = 0; i < count; i++) counts[block[taken[i].start]] -= taken[i].length;
    return;
  }
  // Taking many bytes out one by one, each waiting for the last one's counter, is slower than to count what is left
  // anew.
  if (bytes - literal_count > literal_count / 4) return histogram(level, literals, literal_count, counts);
  for (size_t i = 0; i < count; i++) {
    for (uint32_t k = 0; k < taken[i].length; k++) counts[block[taken[i].start + k]]--;
  }
}

}  // namespace

size_t encode_block(SimdLevel level, const uint8_t* block, size_t bytes, uint32_t period, bool last,
                    BlockScratch* scratch, uint8_t* out) noexcept {
  size_t equal;
  size_t runs = find_equal_runs(level, block, bytes, period, scratch->runs, &equal);
  if (all_equal(block, bytes, period, equal)) {
    put_header(out, kRle, bytes, last);
    out[kBlockHeaderBytes] = block[0];
    return kBlockHeaderBytes + 1;
  }
  if (bytes >= kFlatBytesMin && 64 * equal <= bytes && looks_flat(block, bytes)) {
    return write_raw(block, bytes, last, out);
  }
  uint32_t counts[256];
  histogram(level, block, bytes, counts);
  if (runs > 0) runs = take_runs(block, counts, bytes, period, scratch->runs, runs);
  const uint8_t* literals = block;
  size_t literal_count = bytes;
  if (runs > 0) {
    literal_count = copy_literals(block, bytes, scratch->runs, runs, scratch->literals);
    literals = scratch->literals;
    count_literals(level, block, bytes, period, scratch->runs, runs, literals, literal_count, counts);
  }
  Literals plan;
  plan_literals(level, literals, literal_count, counts, bytes - 1, &plan, scratch);
  if (plan.bytes + 1 >= bytes) return write_raw(block, bytes, last, out);
  const size_t sequences = write_sequences(scratch->runs, runs, period, scratch->codes, scratch->sequences);
  const size_t payload = plan.bytes + sequences;
  if (payload >= bytes) return write_raw(block, bytes, last, out);
  put_header(out, kCompressed, payload, last);
  write_literals(literals, literal_count, plan, *scratch, out + kBlockHeaderBytes);
  std::memcpy(out + kBlockHeaderBytes + plan.bytes, scratch->sequences, sequences);
  return kBlockHeaderBytes + payload;
}

}  // namespace millrace
