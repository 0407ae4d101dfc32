#include "encoder/histogram.h"

#include <cstring>

#ifdef MILLRACE_X86
#include <immintrin.h>
#endif

namespace millrace {
namespace {

void count_bytes(const uint8_t* src, size_t bytes, uint32_t counts[256]) noexcept {
  for (size_t i = 0; i < bytes; i++) counts[src[i]]++;
}

void count_in_tables(const uint8_t* src, size_t bytes, uint32_t counts[256]) noexcept {
  // A byte that repeats waits for its own counter to come back from the store buffer; eight tables in turn hide that.
  alignas(64) uint32_t tables[8][256];
  std::memset(tables, 0, sizeof tables);
  size_t i = 0;
  for (; i + 16 <= bytes; i += 16) {
    uint64_t a, b;
    std::memcpy(&a, src + i, 8);
    std::memcpy(&b, src + i + 8, 8);
    for (int k = 0; k < 8; k += 2) {
      tables[k][a & 0xff]++;
      tables[k + 1][b & 0xff]++;
      tables[(k + 2) & 7][(a >> 8) & 0xff]++;
      tables[(k + 3) & 7][(b >> 8) & 0xff]++;
      a >>= 16;
      b >>= 16;
    }
  }
  for (; i < bytes; i++) tables[0][src[i]]++;
  for (size_t s = 0; s < 256; s++) {
    uint32_t sum = 0;
    for (size_t k = 0; k < 8; k++) sum += tables[k][s];
    counts[s] = sum;
  }
}

#ifdef MILLRACE_X86

// Bytes of few different values, as in the upper planes: counting each value by comparison beats any table, whose
// counters are the bottleneck just there.
constexpr int kRangeMax = 24;
constexpr size_t kComparedBytesMin = 1024;

MILLRACE_AVX2 bool count_by_comparison_avx2(const uint8_t* src, size_t bytes, uint32_t counts[256]) noexcept {
  const auto load = [src](size_t at) __attribute__((always_inline, target("avx2"))) -> const __m256i* {
    return reinterpret_cast<const __m256i*>(src + at);
  };
  __m256i least = _mm256_set1_epi8(-1), most = _mm256_setzero_si256();
  const size_t whole = bytes & ~size_t{31};
  for (size_t i = 0; i < whole; i += 32) {
    const __m256i x = _mm256_loadu_si256(load(i));
    least = _mm256_min_epu8(least, x);
    most = _mm256_max_epu8(most, x);
  }
  uint8_t low[32], high[32];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(low), least);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(high), most);
  int from = 255, to = 0;
  for (int k = 0; k < 32; k++) {
    from = low[k] < from ? low[k] : from;
    to = high[k] > to ? high[k] : to;
  }
  if (to - from >= kRangeMax) return false;
  std::memset(counts, 0, 256 * sizeof(uint32_t));
  for (int first = from; first <= to; first += 4) {
    __m256i value[4], sum[4];
    for (int k = 0; k < 4; k++) {
      value[k] = _mm256_set1_epi8(static_cast<char>(first + k));
      sum[k] = _mm256_setzero_si256();
    }
    for (size_t i = 0; i < whole;) {
      __m256i step[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                         _mm256_setzero_si256()};
      // A byte counts to 255.
      const size_t stop = whole - i > 255 * 32 ? i + 255 * 32 : whole;
      for (; i < stop; i += 32) {
        const __m256i x = _mm256_loadu_si256(load(i));
        for (int k = 0; k < 4; k++) step[k] = _mm256_sub_epi8(step[k], _mm256_cmpeq_epi8(x, value[k]));
      }
      for (int k = 0; k < 4; k++) sum[k] = _mm256_add_epi64(sum[k], _mm256_sad_epu8(step[k], _mm256_setzero_si256()));
    }
    for (int k = 0; k < 4 && first + k < 256; k++) {
      uint64_t parts[4];
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(parts), sum[k]);
      counts[first + k] = static_cast<uint32_t>(parts[0] + parts[1] + parts[2] + parts[3]);
    }
  }
  count_bytes(src + whole, bytes - whole, counts);
  return true;
}

MILLRACE_AVX512 bool count_by_comparison_avx512(const uint8_t* src, size_t bytes, uint32_t counts[256]) noexcept {
  __m512i least = _mm512_set1_epi8(-1), most = _mm512_setzero_si512();
  const size_t whole = bytes & ~size_t{63};
  for (size_t i = 0; i < whole; i += 64) {
    const __m512i x = _mm512_loadu_si512(src + i);
    least = _mm512_min_epu8(least, x);
    most = _mm512_max_epu8(most, x);
  }
  uint8_t low[64], high[64];
  _mm512_storeu_si512(low, least);
  _mm512_storeu_si512(high, most);
  int from = 255, to = 0;
  for (int k = 0; k < 64; k++) {
    from = low[k] < from ? low[k] : from;
    to = high[k] > to ? high[k] : to;
  }
  if (to - from >= kRangeMax) return false;
  std::memset(counts, 0, 256 * sizeof(uint32_t));
  const __m512i one = _mm512_set1_epi8(1);
  for (int first = from; first <= to; first += 8) {
    __m512i value[8], sum[8];
    for (int k = 0; k < 8; k++) {
      value[k] = _mm512_set1_epi8(static_cast<char>(first + k));
      sum[k] = _mm512_setzero_si512();
    }
    for (size_t i = 0; i < whole;) {
      __m512i step[8];
      for (int k = 0; k < 8; k++) step[k] = _mm512_setzero_si512();
      const size_t stop = whole - i > 255 * 64 ? i + 255 * 64 : whole;
      for (; i < stop; i += 64) {
        const __m512i x = _mm512_loadu_si512(src + i);
        for (int k = 0; k < 8; k++) {
          step[k] = _mm512_mask_add_epi8(step[k], _mm512_cmpeq_epi8_mask(x, value[k]), step[k], one);
        }
      }
      for (int k = 0; k < 8; k++) sum[k] = _mm512_add_epi64(sum[k], _mm512_sad_epu8(step[k], _mm512_setzero_si512()));
    }
    for (int k = 0; k < 8 && first + k < 256; k++) {
      counts[first + k] = static_cast<uint32_t>(_mm512_reduce_add_epi64(sum[k]));
    }
  }
  count_bytes(src + whole, bytes - whole, counts);
  return true;
}

#endif

}  // namespace

void histogram(SimdLevel level, const uint8_t* src, size_t bytes, uint32_t counts[256]) noexcept {
  if (bytes < 256) {
    std::memset(counts, 0, 256 * sizeof(uint32_t));
    return count_bytes(src, bytes, counts);
  }
#ifdef MILLRACE_X86
  if (bytes >= kComparedBytesMin) {
    if (level == SimdLevel::avx512 && count_by_comparison_avx512(src, bytes, counts)) return;
    if (level == SimdLevel::avx2 && count_by_comparison_avx2(src, bytes, counts)) return;
  }
#else
  static_cast<void>(level);
#endif
  count_in_tables(src, bytes, counts);
}

}  // namespace millrace
