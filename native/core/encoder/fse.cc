#include "encoder/fse.h"

#include <cstring>

namespace millrace {
namespace {

int log2_of(uint32_t value) noexcept { return 31 - __builtin_clz(value); }

struct Log2Table {
  uint16_t of[513];
  Log2Table() noexcept {
    of[0] = 0;
    for (uint32_t p = 1; p <= 512; p++) {
      const int e = log2_of(p);
      uint32_t x = p << (15 - e);
      uint32_t result = 0;
      for (int bit = 0; bit < 8; bit++) {
        x = (x * x) >> 15;
        result <<= 1;
        if (x >= 1u << 16) {
          result |= 1;
          x >>= 1;
        }
      }
      of[p] = static_cast<uint16_t>(256 * e + static_cast<int>(result));
    }
  }
};

}  // namespace

uint32_t fse_log2_256(uint32_t p) noexcept {
  static const Log2Table table;
  return table.of[p];
}

void fse_probabilities(const uint32_t* counts, int symbols, uint32_t total, int log, int16_t* probabilities) noexcept {
  uint32_t rest[kFseSymbolsMax];
  int left = 1 << log;
  for (int s = 0; s < symbols; s++) {
    // Counts stay below 2^13 and tables below 2^10: products fit.
    const uint32_t scaled = counts[s] << log;
    const uint32_t floor = scaled / total;
    probabilities[s] = static_cast<int16_t>(counts[s] == 0 ? 0 : floor == 0 ? 1 : floor);
    rest[s] = floor == 0 ? 0 : scaled % total + 1;  // 0: may not be rounded up
    left -= probabilities[s];
  }
  for (; left > 0; left--) {
    int best = 0;
    for (int s = 1; s < symbols; s++) {
      if (rest[s] > rest[best]) best = s;
    }
    probabilities[best]++;
    rest[best] = 0;
  }
  for (; left < 0; left++) {
    int best = 0;
    for (int s = 1; s < symbols; s++) {
      if (probabilities[s] > probabilities[best]) best = s;
    }
    probabilities[best]--;
  }
}

size_t fse_describe(const int16_t* probabilities, int symbols, int log, uint8_t* out) noexcept {
  uint64_t word = static_cast<uint64_t>(log - 5);
  int count = 4;
  uint8_t* at = out;
  const auto put = [&](uint32_t value, int bits) {
    word |= static_cast<uint64_t>(value) << count;
    count += bits;
    while (count >= 8) {
      *at++ = static_cast<uint8_t>(word);
      word >>= 8;
      count -= 8;
    }
  };
  int remaining = 1 << log;
  for (int s = 0; s < symbols && remaining > 0;) {
    const uint32_t most = static_cast<uint32_t>(remaining) + 1;
    const int bits = log2_of(most) + 1;
    const uint32_t half = 1u << (bits - 1), threshold = (1u << bits) - 1 - most;
    const uint32_t value = static_cast<uint32_t>(probabilities[s] + 1);
    if (value < threshold) {
      put(value, bits - 1);
    } else {
      put(value < half ? value : value + threshold, bits);
    }
    remaining -= probabilities[s];
    if (probabilities[s++] != 0) continue;
    int zeros = 0;
    while (probabilities[s] == 0) {
      zeros++;
      s++;
    }
    for (; zeros >= 3; zeros -= 3) put(3, 2);
    put(static_cast<uint32_t>(zeros), 2);
  }
  if (count > 0) *at++ = static_cast<uint8_t>(word);
  return static_cast<size_t>(at - out);
}

void fse_encoder(const int16_t* probabilities, int symbols, int log, FseEncoder* encoder) noexcept {
  const uint32_t size = 1u << log, step = (size >> 1) + (size >> 3) + 3;
  uint8_t cells[1 << kFseLogMax];
  uint16_t cumulated[kFseSymbolsMax + 1];
  uint32_t top = size, sum = 0;
  encoder->log = log;
  for (int s = 0; s < symbols; s++) {
    const int p = probabilities[s] < 0 ? 1 : probabilities[s];
    cumulated[s] = static_cast<uint16_t>(sum);
    if (probabilities[s] < 0) cells[--top] = static_cast<uint8_t>(s);
    FseEncoder::Symbol& symbol = encoder->symbols[s];
    if (p > 0) {
      const int bits = p == 1 ? log : log - log2_of(static_cast<uint32_t>(p - 1));
      symbol.delta_bits = (static_cast<uint32_t>(bits) << 16) - (static_cast<uint32_t>(p) << bits);
      symbol.delta_state = static_cast<int32_t>(sum) - p;
    }
    sum += static_cast<uint32_t>(p);
  }
  uint32_t at = 0;
  for (int s = 0; s < symbols; s++) {
    for (int k = 0; k < probabilities[s]; k++) {
      cells[at] = static_cast<uint8_t>(s);
      do at = (at + step) & (size - 1);
      while (at >= top);
    }
  }
  for (uint32_t cell = 0; cell < size; cell++) {
    encoder->next[cumulated[cells[cell]]++] = static_cast<uint16_t>(size + cell);
  }
  uint32_t from = 0;
  for (int s = 0; s < symbols; s++) {
    if (probabilities[s] != 0) encoder->symbols[s].lowest = encoder->next[from];
    from = cumulated[s];
  }
}

}  // namespace millrace
