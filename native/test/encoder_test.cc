// The stages of the block encoder against plain restatements, at every SIMD level of this machine. Whole chunks are the
// fuzzer's.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

#include "check.h"
#include "encoder/block_encoder.h"
#include "encoder/equal_runs.h"
#include "encoder/fse.h"
#include "encoder/histogram.h"
#include "encoder/huffman_lengths.h"
#include "encoder/huffman_pack.h"
#include "encoder/huffman_tree.h"
#include "encoder/sample.h"
#include "encoder/shuffle.h"

using namespace millrace;

namespace {

uint32_t state = 1;

uint32_t random32() {
  state = state * 1664525u + 1013904223u;
  return state >> 8 ^ state << 11;
}

std::vector<SimdLevel> levels() {
  std::vector<SimdLevel> all;
  for (int level = 0; level <= static_cast<int>(simd_level_supported()); level++) {
    all.push_back(static_cast<SimdLevel>(level));
  }
  return all;
}

/** Memory of exactly this size, so that sanitizers see the first byte outside. */
std::unique_ptr<uint8_t[]> exact(const std::vector<uint8_t>& bytes) {
  auto copy = std::make_unique<uint8_t[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.get());
  return copy;
}

std::vector<uint8_t> texture(size_t size, int kind) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; i++) {
    const uint32_t r = random32();
    switch (kind) {
      case 0:
        bytes[i] = static_cast<uint8_t>(r);
        break;
      case 1:
        bytes[i] = static_cast<uint8_t>(200 + (r & 1));
        break;
      case 2:
        bytes[i] = i > 0 && r % 8 != 0 ? bytes[i - 1] : static_cast<uint8_t>(r >> 4);
        break;
      case 3:
        bytes[i] = 7;
        break;
      default:
        bytes[i] = static_cast<uint8_t>(i >= 3 && r % 5 != 0 ? bytes[i - 3] : r & 15);
    }
  }
  return bytes;
}

void test_shuffle() {
  for (const uint32_t item : {1u, 2u, 3u, 4u, 8u, 16u, 255u}) {
    for (const size_t elements : {1u, 2u, 15u, 16u, 31u, 32u, 33u, 63u, 64u, 65u, 100u, 1000u, 32768u}) {
      if (item * elements > 300000) continue;
      const auto src = texture(item * elements, 0);
      const auto in = exact(src);
      for (const SimdLevel level : levels()) {
        const auto planes = exact(src);
        shuffle_planes(level, in.get(), elements, item, planes.get());
        bool same = true;
        for (size_t i = 0; i < elements; i++) {
          for (uint32_t p = 0; p < item; p++) same = same && planes[p * elements + i] == src[i * item + p];
        }
        CHECK(same);
      }
    }
  }
}

void test_equal_runs() {
  for (int kind = 0; kind < 5; kind++) {
    for (const size_t size :
         {1u, 2u, 3u, 4u, 5u, 63u, 64u, 65u, 66u, 67u, 127u, 128u, 129u, 130u, 1000u, 4099u, 32767u, 32768u}) {
      for (const uint32_t period : {1u, 2u, 3u, 4u, 8u, 1020u}) {
        const auto bytes = texture(size, kind);
        const auto in = exact(bytes);
        std::vector<Run> expected;
        size_t equal_expected = 0;
        for (size_t i = period; i < size; i++) {
          if (bytes[i] != bytes[i - period]) continue;
          const size_t from = i;
          while (i < size && bytes[i] == bytes[i - period]) i++;
          equal_expected += i - from;
          if (i - from >= 3) expected.push_back({static_cast<uint32_t>(from), static_cast<uint32_t>(i - from)});
        }
        for (const SimdLevel level : levels()) {
          auto runs = std::make_unique<Run[]>(runs_max(size));
          size_t equal = 1;
          const size_t found = find_equal_runs(level, in.get(), size, period, runs.get(), &equal);
          CHECK(equal == equal_expected);
          CHECK(found == expected.size());
          for (size_t i = 0; i < std::min(found, expected.size()); i++) {
            CHECK(runs[i].start == expected[i].start && runs[i].length == expected[i].length);
          }
        }
      }
    }
  }
}

void test_histogram() {
  for (int kind = 0; kind < 5; kind++) {
    for (const size_t size : {0u, 1u, 255u, 256u, 257u, 1023u, 1024u, 1025u, 20000u, 32768u}) {
      const auto bytes = texture(size, kind);
      const auto in = exact(bytes);
      uint32_t expected[256] = {};
      for (const uint8_t byte : bytes) expected[byte]++;
      for (const SimdLevel level : levels()) {
        uint32_t counts[256];
        memset(counts, 0xff, sizeof counts);
        histogram(level, in.get(), size, counts);
        CHECK(memcmp(counts, expected, sizeof counts) == 0);
      }
    }
  }
}

/** The cost of an optimal code without a limit, by repeated merging. */
uint64_t huffman_cost(std::vector<uint64_t> weights) {
  uint64_t cost = 0;
  while (weights.size() > 1) {
    std::sort(weights.rbegin(), weights.rend());
    const uint64_t sum = weights.back() + weights[weights.size() - 2];
    weights.resize(weights.size() - 2);
    weights.push_back(sum);
    cost += sum;
  }
  return cost;
}

void test_code_lengths() {
  int limited = 0;
  for (int round = 0; round < 4000; round++) {
    uint32_t counts[256] = {};
    const uint32_t symbols = 2 + random32() % (round / 6 % 3 == 0 ? 254 : round / 6 % 3 == 1 ? 20 : 6);
    int last = 0;
    std::vector<uint64_t> weights;
    for (uint32_t s = 0; s < symbols; s++) {
      const uint32_t r = random32();
      const int mode = round % 6;
      counts[s] = mode == 0   ? 1 + r % 4
                  : mode == 1 ? 1 + r % 1000
                  : mode == 2 ? 1u << r % 12
                  : mode == 3 ? 1
                  : mode == 4 ? 1 + (r % 30) * (r / 64 % 30)
                              : 1u << std::min<uint32_t>(s, 14);
      weights.push_back(counts[s]);
      last = static_cast<int>(s);
    }
    uint8_t quick[256], packages[256];
    const int longest = huffman_lengths(counts, last, quick);
    CHECK(longest == huffman_lengths_by_packages(counts, last, packages));
    CHECK(memcmp(quick, packages, 256) == 0);
    uint32_t kraft = 0;
    uint64_t cost = 0;
    for (int s = 0; s <= last; s++) {
      kraft += 1u << (kCodeBitsMax - quick[s]);
      cost += uint64_t{counts[s]} * quick[s];
    }
    CHECK(kraft == 1u << kCodeBitsMax);
    const uint64_t unlimited = huffman_cost(weights);
    CHECK(cost >= unlimited);
    if (cost > unlimited) {
      limited++;
      CHECK(longest == kCodeBitsMax);
    }
    uint8_t tree[kTreeBytesMax];
    const size_t tree_bytes = describe_tree(quick, last, longest, tree);
    CHECK(tree_bytes > 0 && tree_bytes <= kTreeBytesMax);
  }
  CHECK(limited > 10);
}

void test_packing() {
  for (const int longest : {1, 5, 8, 11}) {
    // Codes of all lengths up to the longest, and many of that.
    uint8_t lengths[256] = {};
    const int symbols = longest == 1 ? 2 : longest == 5 ? 6 : longest == 8 ? 256 : 200;
    uint32_t counts[256] = {};
    for (int s = 0; s < symbols; s++) counts[s] = longest == 8 ? 1 : 1u << std::max(0, 14 - s);
    const int found = huffman_lengths(counts, symbols - 1, lengths);
    CHECK(found == longest);
    uint16_t values[256];
    huffman_values(lengths, symbols - 1, found, values);
    PackTable table;
    prepare_pack(values, lengths, &table);
    for (const size_t count : {256u, 257u, 258u, 259u, 511u, 512u, 1023u, 5000u, 32767u, 32768u}) {
      std::vector<uint8_t> literals(count);
      for (uint8_t& literal : literals) literal = static_cast<uint8_t>(random32() % static_cast<uint32_t>(symbols));
      const auto in = exact(literals);
      const size_t segment = (count + 3) / 4, stride = stream_room(segment);
      for (const SimdLevel level : levels()) {
        std::vector<uint8_t> out(4 * stride, 0xee);
        const auto room = exact(out);
        size_t stream_bytes[4];
        pack_huffman4(level, in.get(), count, table, room.get(), stride, stream_bytes);
        for (size_t k = 0; k < 4; k++) {
          const size_t from = k * segment, to = std::min(count, from + segment);
          std::vector<uint8_t> one(stream_room(to - from));
          const size_t bytes = pack_huffman1(in.get() + from, to - from, table, one.data());
          CHECK(bytes == stream_bytes[k]);
          CHECK(memcmp(one.data(), room.get() + k * stride, bytes) == 0);
          // Read back from the end mark down.
          size_t bit = 8 * bytes - 1;
          while ((one[bit / 8] >> (bit % 8) & 1) == 0) bit--;
          bool same = true;
          for (size_t i = from; i < to; i++) {
            uint32_t value = 0;
            for (int b = 0; b < lengths[literals[i]]; b++) {
              bit--;
              value = value << 1 | (one[bit / 8] >> (bit % 8) & 1);
            }
            same = same && value == values[literals[i]];
          }
          CHECK(same && bit == 0);
        }
      }
    }
  }
}

void test_fse_probabilities() {
  for (int round = 0; round < 3000; round++) {
    uint32_t counts[kFseSymbolsMax] = {}, total = 0;
    const int symbols = 1 + static_cast<int>(random32() % kFseSymbolsMax);
    for (int s = 0; s < symbols; s++) {
      counts[s] =
          random32() % 3 == 0 ? 0 : 1 + random32() % (round % 2 == 0 ? 5 : 400) * (random32() % 9 == 0 ? 10 : 0);
    }
    counts[symbols - 1]++;
    for (const uint32_t count : counts) total += count;
    if (total > 8192) continue;
    const int log = 6 + static_cast<int>(random32() % 4);
    int16_t probabilities[kFseSymbolsMax];
    fse_probabilities(counts, symbols, total, log, probabilities);
    int sum = 0;
    for (int s = 0; s < symbols; s++) {
      CHECK((probabilities[s] > 0) == (counts[s] > 0));
      sum += probabilities[s];
    }
    CHECK(sum == 1 << log);
  }
  CHECK(fse_log2_256(1) == 0 && fse_log2_256(2) == 256 && fse_log2_256(512) == 9 * 256 && fse_log2_256(3) == 405);
}

void test_period() {
  for (const SimdLevel level : levels()) {
    for (uint32_t item = 1; item <= 8; item *= 2) {
      for (uint32_t period = 1; period <= 4; period++) {
        std::vector<uint8_t> chunk(item * 6000);
        for (size_t i = 0; i < chunk.size(); i++) chunk[i] = static_cast<uint8_t>((i / item) % period * 50 + i % item);
        CHECK(frame_period(level, chunk.data(), chunk.size(), item) == period);
      }
      const auto noise = texture(item * 6000, 0);
      CHECK(frame_period(level, noise.data(), noise.size(), item) == 1);
    }
    CHECK(!looks_flat(texture(32768, 1).data(), 32768));
    CHECK(looks_flat(texture(32768, 0).data(), 32768));
  }
}

void test_bad_input() {
  const std::vector<uint8_t> chunk(1000, 3);
  std::vector<uint8_t> out(2000);
  void* scratch = std::aligned_alloc(64, (encoder_scratch_bytes(1000, 8) + 63) / 64 * 64);
  CHECK(scratch != nullptr);
  size_t bytes = 9;
  for (const bool blosc : {true, false}) {
    const auto encode = [blosc](SimdLevel level, const uint8_t* src, size_t size, uint32_t item, void* own, uint8_t* to,
                                size_t room, size_t* took) {
      return blosc ? encode_blosc(level, src, size, item, own, to, room, took)
                   : encode_zstd(level, src, size, item, own, to, room, took);
    };
    const auto status = [&](size_t size, uint32_t item) {
      return encode(SimdLevel::portable, chunk.data(), size, item, scratch, out.data(), out.size(), &bytes);
    };
    CHECK(status(0, 2) == Status::bad_argument && bytes == 0);
    CHECK(status(999, 2) == Status::bad_argument);
    CHECK(status(1000, 0) == Status::bad_argument);
    CHECK(status(768, 256) == Status::bad_argument);
    CHECK(status(size_t{1} << 31, 2) == Status::bad_argument);
    CHECK(encode(SimdLevel::portable, chunk.data(), 1000, 2, scratch, out.data(), 0, &bytes) == Status::codec_failed);
    CHECK(status(1000, 2) == Status::ok && bytes > 0 && bytes < 60);
  }
  std::free(scratch);
}

}  // namespace

int main() {
  test_shuffle();
  test_equal_runs();
  test_histogram();
  test_code_lengths();
  test_packing();
  test_fse_probabilities();
  test_period();
  test_bad_input();
  return 0;
}
