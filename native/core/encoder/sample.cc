#include "encoder/sample.h"

#include <cstring>

#ifdef MILLRACE_X86
#include <immintrin.h>
#endif

namespace millrace {
namespace {

void count_equal(const uint8_t* at, size_t item_bytes, uint32_t equal[5]) noexcept {
  for (size_t k = 1; k <= 4; k++) {
    const uint8_t* const before = at - k * item_bytes;
    uint8_t count = 0;  // 64 at most; a byte, so that compilers count in bytes
    for (size_t i = 0; i < kSampleGroup; i++) count = static_cast<uint8_t>(count + (at[i] == before[i]));
    equal[k] += count;
  }
}

#ifdef MILLRACE_X86
MILLRACE_AVX2 void count_equal_avx2(const uint8_t* at, size_t item_bytes, uint32_t equal[5]) noexcept {
  const auto* const a = reinterpret_cast<const __m256i*>(at);
  const __m256i low = _mm256_loadu_si256(a), high = _mm256_loadu_si256(a + 1);
  for (size_t k = 1; k <= 4; k++) {
    const auto* const b = reinterpret_cast<const __m256i*>(at - k * item_bytes);
    const auto first = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, _mm256_loadu_si256(b))));
    const auto second = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, _mm256_loadu_si256(b + 1))));
    equal[k] += static_cast<uint32_t>(__builtin_popcountll(uint64_t{second} << 32 | first));
  }
}
#endif

}  // namespace

uint32_t frame_period(SimdLevel level, const uint8_t* content, size_t bytes, uint32_t item_bytes) noexcept {
  uint32_t equal[5] = {};
  auto* count = count_equal;
#ifdef MILLRACE_X86
  if (level >= SimdLevel::avx2) count = count_equal_avx2;
#else
  static_cast<void>(level);
#endif
  const size_t sampled = for_each_sampled_group(bytes, [&](size_t at) {
    if (at >= size_t{4} * item_bytes) return count(content + at, item_bytes, equal);
    for (size_t k = 1; k <= 4; k++) {
      const size_t back = k * item_bytes;
      for (size_t j = at < back ? back : at; j < at + kSampleGroup; j++)
        equal[k] += content[j] == content[j - back] ? 1 : 0;
    }
  });
  uint32_t best = 1;
  for (uint32_t k = 2; k <= 4; k++) {
    if (equal[k] > equal[best]) best = k;
  }
  return best != 1 && equal[best] - equal[1] > equal[1] / 8 + static_cast<uint32_t>(sampled / 64) ? best : 1;
}

bool looks_flat(const uint8_t* block, size_t bytes) noexcept {
  uint16_t even[256] = {}, odd[256] = {};
  const size_t groups = bytes / kSampleGroup;
  // The sum only grows, so a block that is far from flat is known long before its sample ends.
  const uint32_t expected = [&] {
    const size_t sampled = for_each_sampled_group(groups * kSampleGroup, [](size_t) {});
    return static_cast<uint32_t>(sampled * (sampled + 256 + sampled / 32) / 256);
  }();
  uint32_t taken = 0;
  bool over = false;
  const auto sum = [&] {
    uint32_t total = 0;
    for (int s = 0; s < 256; s++) {
      const uint32_t count = uint32_t{even[s]} + odd[s];
      total += count * count;
    }
    return total;
  };
  for_each_sampled_group(bytes, [&](size_t at) {
    if (over) return;
    for (size_t i = 0; i < kSampleGroup; i += 8) {
      uint64_t word;
      std::memcpy(&word, block + at + i, 8);
      for (int k = 0; k < 4; k++, word >>= 16) {
        even[word & 0xff]++;
        odd[(word >> 8) & 0xff]++;
      }
    }
    if (++taken % 8 == 0) over = sum() > expected;
  });
  return !over && sum() <= expected;
}

}  // namespace millrace
