#include "encoder/sequences.h"

#include <cstring>

#include "encoder/fse.h"

namespace millrace {
namespace {

int log2_of(uint32_t value) noexcept { return 31 - __builtin_clz(value); }

// RFC 8878 3.1.1.3.2.1.1: extra bits of each code, and the codes of small values.
constexpr int kLiteralsLengthCodes = 36;
constexpr int kMatchLengthCodes = 53;
constexpr uint8_t kLiteralsLengthBits[kLiteralsLengthCodes] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
constexpr uint8_t kMatchLengthBits[kMatchLengthCodes] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0,  0,
                                                         0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1,  1,  1,
                                                         2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
// RFC 8878 3.1.1.3.2.2.
constexpr int16_t kLiteralsLengthDefault[kLiteralsLengthCodes] = {
    4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1};
constexpr int16_t kMatchLengthDefault[kMatchLengthCodes] = {1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1,  1,  1,  1,
                                                            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  1,  1,  1,
                                                            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1};

/** Codes of the values below 128 of both kinds; above, a code is the logarithm plus a constant. */
struct SmallCodes {
  uint8_t literals_length[128];
  uint8_t match_length[128];  // of length − 3
  SmallCodes() noexcept {
    fill(literals_length, kLiteralsLengthBits, kLiteralsLengthCodes);
    fill(match_length, kMatchLengthBits, kMatchLengthCodes);
  }
  static void fill(uint8_t* table, const uint8_t* bits, int codes) noexcept {
    uint32_t value = 0;
    for (int code = 0; code < codes && value < 128; code++) {
      for (uint32_t k = 0; k < 1u << bits[code] && value < 128; k++) table[value++] = static_cast<uint8_t>(code);
    }
  }
};

struct Predefined {
  FseEncoder literals_length, match_length;
  Predefined() noexcept {
    fse_encoder(kLiteralsLengthDefault, kLiteralsLengthCodes, 6, &literals_length);
    fse_encoder(kMatchLengthDefault, kMatchLengthCodes, 6, &match_length);
  }
};

enum Mode : uint8_t { kPredefined = 0, kRle = 1, kFse = 2 };

/** How one of the two kinds of code is written. */
struct Coding {
  Mode mode;
  const FseEncoder* encoder;  // null for RLE
  uint8_t description[64];
  size_t description_bytes;
  FseEncoder own;
};

void choose_coding(const uint32_t* counts, int codes, uint32_t total, const int16_t* defaults,
                   const FseEncoder& predefined, Coding* coding) noexcept {
  int occurring = 0, last = 0;
  uint64_t cost = 256 * 6;
  for (int c = 0; c < codes; c++) {
    if (counts[c] == 0) continue;
    occurring++;
    last = c;
    cost += uint64_t{counts[c]} * (256 * 6 - fse_log2_256(defaults[c] < 1 ? 1u : static_cast<uint32_t>(defaults[c])));
  }
  coding->mode = kPredefined;
  coding->encoder = &predefined;
  coding->description_bytes = 0;
  if (occurring == 1) {
    if (256 * 8 < cost) {
      coding->mode = kRle;
      coding->encoder = nullptr;
      coding->description[0] = static_cast<uint8_t>(last);
      coding->description_bytes = 1;
    }
    return;
  }
  if (total < 64) return;
  const int wanted = log2_of(total) - 2;
  const int log = wanted < 6 ? 6 : wanted > kFseLogMax ? kFseLogMax : wanted;
  int16_t probabilities[kMatchLengthCodes];
  fse_probabilities(counts, last + 1, total, log, probabilities);
  uint64_t stream = 0;
  for (int c = 0; c <= last; c++) {
    if (counts[c] == 0) continue;
    stream += uint64_t{counts[c]} *
              (256u * static_cast<uint32_t>(log) - fse_log2_256(static_cast<uint32_t>(probabilities[c])));
  }
  if (stream < 256 * 32) return;
  const size_t bytes = fse_describe(probabilities, last + 1, log, coding->description);
  if (256 * 8 * uint64_t{bytes} + 256u * static_cast<uint32_t>(log) + stream >= cost) return;
  coding->mode = kFse;
  coding->description_bytes = bytes;
  fse_encoder(probabilities, last + 1, log, &coding->own);
  coding->encoder = &coding->own;
}

}  // namespace

size_t write_sequences(const Run* taken, size_t count, uint32_t period, uint8_t* codes, uint8_t* out) noexcept {
  if (count == 0) {
    out[0] = 0;
    return 1;
  }
  static const SmallCodes small;
  static const Predefined predefined;
  uint32_t ll_counts[kLiteralsLengthCodes] = {}, ml_counts[kMatchLengthCodes] = {};
  uint8_t* const ll_codes = codes;
  uint8_t* const ml_codes = codes + count;
  uint32_t end = 0;
  for (size_t i = 0; i < count; i++) {
    const uint32_t ll = taken[i].start - end, ml = taken[i].length - 3;
    end = taken[i].start + taken[i].length;
    ll_codes[i] = ll < 64 ? small.literals_length[ll] : static_cast<uint8_t>(log2_of(ll) + 19);
    ml_codes[i] = ml < 128 ? small.match_length[ml] : static_cast<uint8_t>(log2_of(ml) + 36);
    ll_counts[ll_codes[i]]++;
    ml_counts[ml_codes[i]]++;
  }
  uint8_t* at = out;
  if (count < 128) {
    *at++ = static_cast<uint8_t>(count);
  } else {
    *at++ = static_cast<uint8_t>((count >> 8) + 128);
    *at++ = static_cast<uint8_t>(count);
  }
  const auto total = static_cast<uint32_t>(count);
  Coding ll, ml;
  choose_coding(ll_counts, kLiteralsLengthCodes, total, kLiteralsLengthDefault, predefined.literals_length, &ll);
  choose_coding(ml_counts, kMatchLengthCodes, total, kMatchLengthDefault, predefined.match_length, &ml);
  const uint32_t offset_value = period == 1 ? 1 : period + 3;
  const int offset_code = log2_of(offset_value);
  const uint32_t offset_extra = offset_value - (1u << offset_code);
  *at++ = static_cast<uint8_t>(ll.mode << 6 | kRle << 4 | ml.mode << 2);
  std::memcpy(at, ll.description, ll.description_bytes);
  at += ll.description_bytes;
  *at++ = static_cast<uint8_t>(offset_code);
  std::memcpy(at, ml.description, ml.description_bytes);
  at += ml.description_bytes;

  BitWriter bits(at);
  uint32_t ll_state = 0, ml_state = 0;
  for (size_t i = count; i-- > 0;) {
    const int ll_code = ll_codes[i], ml_code = ml_codes[i];
    if (i + 1 < count) {
      if (ml.encoder != nullptr) fse_put(*ml.encoder, &ml_state, ml_code, bits);
      if (ll.encoder != nullptr) fse_put(*ll.encoder, &ll_state, ll_code, bits);
    } else {
      if (ml.encoder != nullptr) ml_state = ml.encoder->symbols[ml_code].lowest;
      if (ll.encoder != nullptr) ll_state = ll.encoder->symbols[ll_code].lowest;
    }
    // Lengths below 2^15 have at most 14 extra bits, so that a sequence has at most 9 + 9 + 14 + 14 + 10.
    const uint32_t ll_value = taken[i].start - (i == 0 ? 0 : taken[i - 1].start + taken[i - 1].length);
    const int ll_bits = kLiteralsLengthBits[ll_code], ml_bits = kMatchLengthBits[ml_code];
    bits.put(ll_value & ((1u << ll_bits) - 1), ll_bits);
    bits.put((taken[i].length - 3) & ((1u << ml_bits) - 1), ml_bits);
    bits.put(offset_extra, offset_code);
    bits.flush();
  }
  if (ml.encoder != nullptr) bits.put_state(ml_state, ml.encoder->log);
  if (ll.encoder != nullptr) bits.put_state(ll_state, ll.encoder->log);
  return static_cast<size_t>(bits.finish() - out);
}

}  // namespace millrace
