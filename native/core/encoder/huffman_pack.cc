#include "encoder/huffman_pack.h"

#include <cstring>
#include <initializer_list>

#include "encoder/fse.h"

#ifdef MILLRACE_X86
#include <immintrin.h>
#endif

namespace millrace {
namespace {

/** One stream on its way: bits below a byte wait in `word`. */
struct Stream {
  const uint8_t* at;  // one behind the literal that comes next: streams hold the last literal first
  size_t left;
  uint8_t* out;
  uint64_t word;
  uint32_t bits;
};

/** At most 57 bits; overwrites up to 8 bytes behind what is there. */
inline __attribute__((always_inline)) void emit(Stream& s, uint64_t value, uint32_t bits) noexcept {
  s.word |= value << s.bits;
  store_le64(s.out, s.word);
  s.bits += bits;
  s.out += s.bits >> 3;
  s.word >>= s.bits & ~7u;
  s.bits &= 7;
}

inline __attribute__((always_inline)) void emit4(Stream& s, const uint32_t* entry) noexcept {
  s.at -= 4;
  const uint32_t a = entry[s.at[3]], b = entry[s.at[2]], c = entry[s.at[1]], d = entry[s.at[0]];
  const uint32_t a_bits = a >> 16, b_bits = b >> 16, c_bits = c >> 16, d_bits = d >> 16;
  const uint64_t late = (a & 0xffff) | uint64_t{b & 0xffff} << a_bits;
  const uint64_t early = (c & 0xffff) | uint64_t{d & 0xffff} << c_bits;
  emit(s, late | early << (a_bits + b_bits), a_bits + b_bits + c_bits + d_bits);
}

/** The literals that the wide loops leave, and the end mark; returns the end of the stream. */
uint8_t* finish(Stream& s, const PackTable& table) noexcept {
  for (; s.left > 0; s.left--) {
    const uint32_t code = table.entry[*--s.at];
    emit(s, code & 0xffff, code >> 16);
  }
  emit(s, 1, 1);
  return s.out + (s.bits > 0 ? 1 : 0);
}

constexpr size_t kStep = 64;

#define MILLRACE_PACK4(name, target)                                           \
  target void name(Stream streams[4], const PackTable& table) noexcept {       \
    const uint32_t* const entry = table.entry;                                 \
    Stream s0 = streams[0], s1 = streams[1], s2 = streams[2], s3 = streams[3]; \
    /* The last stream is the shortest. */                                     \
    size_t rounds = s3.left / 4;                                               \
    for (Stream* s : {&s0, &s1, &s2, &s3}) s->left -= 4 * rounds;              \
    for (; rounds > 0; rounds--) {                                             \
      emit4(s0, entry);                                                        \
      emit4(s1, entry);                                                        \
      emit4(s2, entry);                                                        \
      emit4(s3, entry);                                                        \
    }                                                                          \
    streams[0] = s0;                                                           \
    streams[1] = s1;                                                           \
    streams[2] = s2;                                                           \
    streams[3] = s3;                                                           \
  }

#ifdef MILLRACE_X86
MILLRACE_PACK4(pack_avx2, MILLRACE_AVX2)  // for the shifts of BMI2, which leave the flags alone

struct Codes64 {
  alignas(64) uint64_t value[16];
  alignas(64) uint64_t bits[16];
};

/** Tables of 256 bytes in four registers each. */
struct Tables512 {
  __m512i low[4], high[4];
};

MILLRACE_AVX512 inline __attribute__((always_inline)) __m512i look_up(const __m512i table[4], __m512i symbols,
                                                                      __mmask64 upper) noexcept {
  return _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(table[0], symbols, table[1]),
                                _mm512_permutex2var_epi8(table[2], symbols, table[3]));
}

/** Four codes of 16 bits become one of up to 44, the later literal lower. */
MILLRACE_AVX512 inline __attribute__((always_inline)) void merge(__m512i codes, __m512i lengths, uint64_t* value,
                                                                 uint64_t* bits) noexcept {
  // Pairs: code(odd) + code(even) · 2^length(odd), as one multiplication and addition of 16-bit numbers.
  const __m512i shift = _mm512_sllv_epi16(_mm512_set1_epi16(1), _mm512_srli_epi32(lengths, 16));
  const __m512i pairs = _mm512_madd_epi16(codes, shift);
  const __m512i pair_bits = _mm512_madd_epi16(lengths, _mm512_set1_epi16(1));
  const __m512i odd_bits = _mm512_srli_epi64(pair_bits, 32);
  const __m512i even = _mm512_and_si512(pairs, _mm512_set1_epi64(0xffffffff));
  _mm512_store_si512(value, _mm512_or_si512(_mm512_srli_epi64(pairs, 32), _mm512_sllv_epi64(even, odd_bits)));
  _mm512_store_si512(bits, _mm512_add_epi64(pair_bits, odd_bits));  // the lower 32 bits count
}

MILLRACE_AVX512 inline __attribute__((always_inline)) void codes64(const uint8_t* literals, const Tables512& tables,
                                                                   Codes64* codes) noexcept {
  const __m512i symbols = _mm512_loadu_si512(literals);
  const __mmask64 upper = _mm512_movepi8_mask(symbols);
  const __m512i low = look_up(tables.low, symbols, upper), packed = look_up(tables.high, symbols, upper);
  const __m512i high = _mm512_and_si512(packed, _mm512_set1_epi8(7));
  const __m512i length = _mm512_and_si512(_mm512_srli_epi16(packed, 3), _mm512_set1_epi8(15));
  const __m512i zero = _mm512_setzero_si512();
  // Unpacking works in quarters: the first eight and the second eight literals of each sixteen.
  merge(_mm512_unpacklo_epi8(low, high), _mm512_unpacklo_epi8(length, zero), codes->value, codes->bits);
  merge(_mm512_unpackhi_epi8(low, high), _mm512_unpackhi_epi8(length, zero), codes->value + 8, codes->bits + 8);
}

MILLRACE_AVX512 inline __attribute__((always_inline)) void emit64(Stream& s, const Codes64& codes) noexcept {
#pragma GCC unroll 16
  for (int group = 15; group >= 0; group--) {
    const int at = (group & 2) != 0 ? 8 + 2 * (group >> 2) + (group & 1) : 2 * (group >> 2) + (group & 1);
    emit(s, codes.value[at], static_cast<uint32_t>(codes.bits[at]));
  }
}

MILLRACE_AVX512 void pack_avx512(Stream streams[4], const PackTable& table) noexcept {
  Tables512 tables;
  for (int k = 0; k < 4; k++) {
    tables.low[k] = _mm512_load_si512(table.low + 64 * k);
    tables.high[k] = _mm512_load_si512(table.high + 64 * k);
  }
  size_t rounds = streams[3].left / kStep;
  for (int k = 0; k < 4; k++) streams[k].left -= kStep * rounds;
  Codes64 codes[4];
  for (; rounds > 0; rounds--) {
    for (int k = 0; k < 4; k++) codes64(streams[k].at -= kStep, tables, &codes[k]);
    for (int k = 0; k < 4; k++) emit64(streams[k], codes[k]);
  }
}
#endif

MILLRACE_PACK4(pack_portable, )

}  // namespace

void prepare_pack(const uint16_t values[256], const uint8_t lengths[256], PackTable* table) noexcept {
  for (int s = 0; s < 256; s++) table->low[s] = static_cast<uint8_t>(values[s]);
  for (int s = 0; s < 256; s++) table->high[s] = static_cast<uint8_t>(lengths[s] << 3 | values[s] >> 8);
  for (int s = 0; s < 256; s++) table->entry[s] = static_cast<uint32_t>(lengths[s]) << 16 | values[s];
}

size_t pack_huffman1(const uint8_t* literals, size_t count, const PackTable& table, uint8_t* out) noexcept {
  Stream stream{literals + count, count, out, 0, 0};
  return static_cast<size_t>(finish(stream, table) - out);
}

void pack_huffman4(SimdLevel level, const uint8_t* literals, size_t count, const PackTable& table, uint8_t* out,
                   size_t stride, size_t stream_bytes[4]) noexcept {
  const size_t segment = (count + 3) / 4;
  Stream streams[4];
  for (size_t k = 0; k < 4; k++) {
    const size_t from = k * segment, to = k < 3 ? from + segment : count;
    streams[k] = {literals + to, to - from, out + k * stride, 0, 0};
  }
#ifdef MILLRACE_X86
  if (level == SimdLevel::avx512) {
    pack_avx512(streams, table);
  } else if (level == SimdLevel::avx2) {
    pack_avx2(streams, table);
  } else {
    pack_portable(streams, table);
  }
#else
  static_cast<void>(level);
  pack_portable(streams, table);
#endif
  for (size_t k = 0; k < 4; k++) stream_bytes[k] = static_cast<size_t>(finish(streams[k], table) - (out + k * stride));
}

}  // namespace millrace
