#include "encoder/equal_runs.h"

#include <cstring>

#ifdef MILLRACE_X86
#include <immintrin.h>
#endif

namespace millrace {
namespace {

/** Takes masks of 64 positions, one after the other, and remembers a run that goes on into the next one. */
class RunCollector {
 public:
  explicit RunCollector(Run* runs) noexcept : runs_(runs) {}

  /** Bit k of `mask`: position `base` + k is equal. Every word but the last has 64 positions. */
  inline __attribute__((always_inline)) void add(uint64_t mask, uint32_t base) noexcept {
    if (!open_) {
      // Three equal positions in a row inside this word, or at its end some that may go on.
      const uint64_t triples = mask & (mask >> 1) & (mask >> 2);
      if (__builtin_expect((triples | (mask >> 63)) == 0, 1)) return;
    }
    walk(mask, base);
  }

  size_t finish(uint32_t end) noexcept {
    if (open_) close(end);
    return count_;
  }

 private:
  void walk(uint64_t mask, uint32_t base) noexcept {
    if (open_) {
      if (mask == ~uint64_t{0}) return;
      const int ones = __builtin_ctzll(~mask);
      close(base + static_cast<uint32_t>(ones));
      mask &= ~uint64_t{0} << ones;
    }
    while (mask != 0) {
      const int from = __builtin_ctzll(mask);
      const uint64_t filled = mask | ((uint64_t{1} << from) - 1);  // ones from bit 0 to the end of the run
      start_ = base + static_cast<uint32_t>(from);
      if (filled == ~uint64_t{0}) {
        open_ = true;
        return;
      }
      close(base + static_cast<uint32_t>(__builtin_ctzll(~filled)));
      mask &= filled + 1;
    }
  }

  void close(uint32_t end) noexcept {
    open_ = false;
    runs_[count_] = {start_, end - start_};
    count_ += end - start_ >= kRunLengthMin ? 1 : 0;  // a short one is overwritten by the next
  }

  Run* runs_;
  size_t count_ = 0;
  uint32_t start_ = 0;
  bool open_ = false;
};

uint64_t mask_of(const uint8_t* src, const uint8_t* before, size_t count) noexcept {
  uint64_t mask = 0;
  for (size_t k = 0; k < count; k++) mask |= static_cast<uint64_t>(src[k] == before[k]) << k;
  return mask;
}

/** 64 positions, eight at a time: a byte of the difference is zero where they are equal. */
uint64_t mask64_portable(const uint8_t* src, const uint8_t* before) noexcept {
  uint64_t mask = 0;
  for (int k = 0; k < 8; k++) {
    uint64_t a, b;
    std::memcpy(&a, src + 8 * k, 8);
    std::memcpy(&b, before + 8 * k, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    a = __builtin_bswap64(a);
    b = __builtin_bswap64(b);
#endif
    const uint64_t x = a ^ b;
    // The high bit of every byte that is zero, without carries between bytes; then the eight of them side by side.
    const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
    const uint64_t zero = ~(((x & low) + low) | x | low);
    mask |= (((zero >> 7) * 0x0102040810204080u) >> 56) << (8 * k);
  }
  return mask;
}

#ifdef MILLRACE_X86

MILLRACE_AVX2 inline uint64_t mask64_avx2(const uint8_t* src, const uint8_t* before) noexcept {
  const auto* const a = reinterpret_cast<const __m256i*>(src);
  const auto* const b = reinterpret_cast<const __m256i*>(before);
  const __m256i first = _mm256_cmpeq_epi8(_mm256_loadu_si256(a), _mm256_loadu_si256(b));
  const __m256i second = _mm256_cmpeq_epi8(_mm256_loadu_si256(a + 1), _mm256_loadu_si256(b + 1));
  const auto low = static_cast<uint32_t>(_mm256_movemask_epi8(first));
  const auto high = static_cast<uint32_t>(_mm256_movemask_epi8(second));
  return uint64_t{high} << 32 | low;
}

MILLRACE_AVX512 inline uint64_t mask64_avx512(const uint8_t* src, const uint8_t* before) noexcept {
  return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(src), _mm512_loadu_si512(before));
}

#endif

#define MILLRACE_FIND_RUNS(name, target, mask64)                                                          \
  target size_t name(const uint8_t* src, size_t bytes, uint32_t period, Run* runs, size_t* equal_count) { \
    RunCollector collector(runs);                                                                         \
    size_t equal = 0, at = period;                                                                        \
    for (; at + 64 <= bytes; at += 64) {                                                                  \
      const uint64_t mask = mask64(src + at, src + at - period);                                          \
      equal += static_cast<size_t>(__builtin_popcountll(mask));                                           \
      collector.add(mask, static_cast<uint32_t>(at));                                                     \
    }                                                                                                     \
    if (at < bytes) {                                                                                     \
      const uint64_t mask = mask_of(src + at, src + at - period, bytes - at);                             \
      equal += static_cast<size_t>(__builtin_popcountll(mask));                                           \
      collector.add(mask, static_cast<uint32_t>(at));                                                     \
    }                                                                                                     \
    *equal_count = equal;                                                                                 \
    return collector.finish(static_cast<uint32_t>(bytes));                                                \
  }

MILLRACE_FIND_RUNS(find_portable, , mask64_portable)
#ifdef MILLRACE_X86
MILLRACE_FIND_RUNS(find_avx2, MILLRACE_AVX2, mask64_avx2)

/** Stores base + k for each bit k of the mask, which has 16 at most, and steps over them. */
MILLRACE_AVX512 inline __attribute__((always_inline)) void put_positions(uint64_t mask, uint32_t base,
                                                                         uint16_t*& out) noexcept {
  alignas(64) static constexpr uint8_t kOrder[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                     16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                                     32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                                     48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  const __m512i places = _mm512_maskz_compress_epi8(mask, _mm512_load_si512(kOrder));
  const __m256i wide = _mm256_cvtepu8_epi16(_mm512_castsi512_si128(places));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                      _mm256_add_epi16(wide, _mm256_set1_epi16(static_cast<int16_t>(base))));
  out += __builtin_popcountll(mask);
}

/**
 * The same without a branch per run, whose lengths no predictor knows: runs of three or more are marked with shifts
 * over word borders, and their first positions, and those behind their ends, come out of the marks by compression. For
 * blocks whose positions fit in 16 bits.
 */
MILLRACE_AVX512 size_t find_avx512_marked(const uint8_t* src, size_t bytes, uint32_t period, Run* runs,
                                          size_t* equal_count) noexcept {
  constexpr size_t kMost = 32768;
  uint16_t starts[runs_max(kMost) + 32], ends[runs_max(kMost) + 32];
  uint16_t* start = starts;
  uint16_t* end = ends;
  size_t equal = 0;
  const auto mask_at = [&](size_t at) MILLRACE_AVX512 {
    if (at + 64 <= bytes) return mask64_avx512(src + at, src + at - period);
    return at < bytes ? mask_of(src + at, src + at - period, bytes - at) : uint64_t{0};
  };
  uint64_t mask = mask_at(period), triples_before = 0, marked_before = 0;
  // One word more than the block has, for a run that ends with it.
  for (size_t at = period; at < bytes + 64; at += 64) {
    const uint64_t next = mask_at(at + 64);
    equal += static_cast<size_t>(__builtin_popcountll(mask));
    const uint64_t triples = mask & (mask >> 1 | next << 63) & (mask >> 2 | next << 62);
    if ((triples | triples_before | marked_before) != 0) {
      const uint64_t marked = triples | triples << 1 | triples_before >> 63 | triples << 2 | triples_before >> 62;
      const uint64_t shifted = marked << 1 | marked_before >> 63;
      // A word inside of a long run has neither a start nor an end; constant blocks are made of such words.
      if (marked != shifted) {
        const auto base = static_cast<uint32_t>(at);
        put_positions(marked & ~shifted, base, start);
        put_positions(~marked & shifted, base, end);
      }
      marked_before = marked;
    }
    triples_before = triples;
    mask = next;
  }
  *equal_count = equal;
  const auto count = static_cast<size_t>(start - starts);
  for (size_t i = 0; i < count; i++) runs[i] = {starts[i], static_cast<uint32_t>(ends[i]) - starts[i]};
  return count;
}

#endif

}  // namespace

size_t find_equal_runs(SimdLevel level, const uint8_t* src, size_t bytes, uint32_t period, Run* runs,
                       size_t* equal_count) noexcept {
  *equal_count = 0;
  if (bytes <= period) return 0;
#ifdef MILLRACE_X86
  if (level == SimdLevel::avx512 && bytes <= 32768) {
    return find_avx512_marked(src, bytes, period, runs, equal_count);
  }
  if (level != SimdLevel::portable) return find_avx2(src, bytes, period, runs, equal_count);
#else
  static_cast<void>(level);
#endif
  return find_portable(src, bytes, period, runs, equal_count);
}

}  // namespace millrace
