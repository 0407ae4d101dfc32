#include "encoder/shuffle.h"

#include <cstring>

#ifdef MILLRACE_X86
#include <immintrin.h>
#endif

namespace millrace {
namespace {

template <uint32_t kItem>
void shuffle_from(const uint8_t* src, size_t from, size_t elements, uint8_t* planes) noexcept {
  for (size_t i = from; i < elements; i++) {
    for (uint32_t p = 0; p < kItem; p++) planes[p * elements + i] = src[i * kItem + p];
  }
}

/** Blocks of elements, so that a plane's cache line is filled before the next one takes its place. */
void shuffle_any(const uint8_t* src, size_t elements, uint32_t item_bytes, uint8_t* planes) noexcept {
  constexpr size_t kStep = 64;
  for (size_t from = 0; from < elements; from += kStep) {
    const size_t to = from + kStep < elements ? from + kStep : elements;
    for (uint32_t p = 0; p < item_bytes; p++) {
      for (size_t i = from; i < to; i++) planes[p * elements + i] = src[i * item_bytes + p];
    }
  }
}

#ifdef MILLRACE_X86

MILLRACE_AVX2 size_t shuffle2_avx2(const uint8_t* src, size_t elements, uint8_t* planes) noexcept {
  const __m256i low = _mm256_set1_epi16(0xff);
  size_t i = 0;
  for (; i + 32 <= elements; i += 32) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src + 2 * i));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src + 2 * i + 32));
    // packus works in halves of 128 bits; the permutation puts them in order.
    const __m256i even = _mm256_packus_epi16(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
    const __m256i odd = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + i), _mm256_permute4x64_epi64(even, 0xd8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + elements + i), _mm256_permute4x64_epi64(odd, 0xd8));
  }
  return i;
}

MILLRACE_AVX2 size_t shuffle4_avx2(const uint8_t* src, size_t elements, uint8_t* planes) noexcept {
  const __m256i order = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9, 13,
                                         2, 6, 10, 14, 3, 7, 11, 15);
  const __m256i gather = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  size_t i = 0;
  for (; i + 32 <= elements; i += 32) {
    __m256i v[4];
    for (int k = 0; k < 4; k++) {
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src + 4 * i + 32 * static_cast<size_t>(k)));
      // 8 elements: eight bytes of plane 0, eight of plane 1, …
      v[k] = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(x, order), gather);
    }
    const __m256i ab0 = _mm256_unpacklo_epi64(v[0], v[1]), ab1 = _mm256_unpackhi_epi64(v[0], v[1]);
    const __m256i cd0 = _mm256_unpacklo_epi64(v[2], v[3]), cd1 = _mm256_unpackhi_epi64(v[2], v[3]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + i), _mm256_permute2x128_si256(ab0, cd0, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + elements + i), _mm256_permute2x128_si256(ab1, cd1, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + 2 * elements + i),
                        _mm256_permute2x128_si256(ab0, cd0, 0x31));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + 3 * elements + i),
                        _mm256_permute2x128_si256(ab1, cd1, 0x31));
  }
  return i;
}

MILLRACE_AVX2 size_t shuffle8_avx2(const uint8_t* src, size_t elements, uint8_t* planes) noexcept {
  const __m128i pairs = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  size_t i = 0;
  for (; i + 16 <= elements; i += 16) {
    // An 8 × 16 byte transposition: 16-bit, 32-bit and 64-bit interleaving of element pairs.
    __m128i v[8], w[8];
    for (size_t k = 0; k < 8; k++) {
      v[k] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(src + 8 * i + 16 * k)), pairs);
    }
    for (size_t k = 0; k < 4; k++) {
      w[2 * k] = _mm_unpacklo_epi16(v[2 * k], v[2 * k + 1]);
      w[2 * k + 1] = _mm_unpackhi_epi16(v[2 * k], v[2 * k + 1]);
    }
    // w[2k]: planes 0–3 of elements 4k … 4k+3, w[2k+1]: planes 4–7.
    for (size_t half = 0; half < 2; half++) {
      const __m128i a = _mm_unpacklo_epi32(w[half], w[2 + half]), b = _mm_unpackhi_epi32(w[half], w[2 + half]);
      const __m128i c = _mm_unpacklo_epi32(w[4 + half], w[6 + half]), d = _mm_unpackhi_epi32(w[4 + half], w[6 + half]);
      uint8_t* out = planes + 4 * half * elements + i;
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi64(a, c));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + elements), _mm_unpackhi_epi64(a, c));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * elements), _mm_unpacklo_epi64(b, d));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * elements), _mm_unpackhi_epi64(b, d));
    }
  }
  return i;
}

MILLRACE_AVX512 size_t shuffle2_avx512(const uint8_t* src, size_t elements, uint8_t* planes) noexcept {
  size_t i = 0;
  for (; i + 64 <= elements; i += 64) {
    const __m512i a = _mm512_loadu_si512(src + 2 * i), b = _mm512_loadu_si512(src + 2 * i + 64);
    // Truncation to bytes, 32 elements at a time.
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + i), _mm512_cvtepi16_epi8(a));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + i + 32), _mm512_cvtepi16_epi8(b));
    uint8_t* high = planes + elements + i;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(high), _mm512_cvtepi16_epi8(_mm512_srli_epi16(a, 8)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(high + 32), _mm512_cvtepi16_epi8(_mm512_srli_epi16(b, 8)));
  }
  return i;
}

#endif

}  // namespace

void shuffle_planes(SimdLevel level, const uint8_t* src, size_t elements, uint32_t item_bytes,
                    uint8_t* planes) noexcept {
  size_t done = 0;
#ifdef MILLRACE_X86
  if (level >= SimdLevel::avx2) {
    if (item_bytes == 2) {
      done = level >= SimdLevel::avx512 ? shuffle2_avx512(src, elements, planes) : shuffle2_avx2(src, elements, planes);
    } else if (item_bytes == 4) {
      done = shuffle4_avx2(src, elements, planes);
    } else if (item_bytes == 8) {
      done = shuffle8_avx2(src, elements, planes);
    }
  }
#else
  static_cast<void>(level);
#endif
  switch (item_bytes) {
    case 1:
      std::memcpy(planes, src, elements);
      return;
    case 2:
      return shuffle_from<2>(src, done, elements, planes);
    case 4:
      return shuffle_from<4>(src, done, elements, planes);
    case 8:
      return shuffle_from<8>(src, done, elements, planes);
    default:
      return shuffle_any(src, elements, item_bytes, planes);
  }
}

}  // namespace millrace
