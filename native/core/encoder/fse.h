#pragma once

#include <cstddef>
#include <cstdint>

#include "status.h"

namespace millrace {

constexpr int kFseLogMax = 9;
constexpr int kFseSymbolsMax = 53;

/** `256 · log2(p)` of docs/encoder.md §6, for p from 1 to 512. */
uint32_t fse_log2_256(uint32_t p) noexcept;

/** §7.1: probabilities of `symbols` counts that sum to `total`, for a table of 2^log cells. */
void fse_probabilities(const uint32_t* counts, int symbols, uint32_t total, int log, int16_t* probabilities) noexcept;

/**
 * §7.2: writes the table description and returns its bytes; `out` has room for 64. The last probability is not zero.
 */
size_t fse_describe(const int16_t* probabilities, int symbols, int log, uint8_t* out) noexcept;

/** What puts symbols into a state. States are held as value + 2^log. */
struct FseEncoder {
  int log;
  uint16_t next[1 << kFseLogMax];
  struct Symbol {
    uint32_t delta_bits;
    int32_t delta_state;
    uint16_t lowest;  // the state that sets it without bits
  } symbols[kFseSymbolsMax];
};

/** §7.3 and §7.4. A probability of −1 is one cell at the end. */
void fse_encoder(const int16_t* probabilities, int symbols, int log, FseEncoder* encoder) noexcept;

/** A little-endian bit stream; the caller sees to the room: flush() writes 8 bytes at the end of what is there. */
class BitWriter {
 public:
  explicit BitWriter(uint8_t* out) noexcept : at_(out) {}
  /** At most 57 bits between two flushes, and nothing set above `bits`. */
  void put(uint64_t value, int bits) noexcept {
    word_ |= value << count_;
    count_ += bits;
  }
  void put_state(uint32_t state, int bits) noexcept { put(state & ((1u << bits) - 1), bits); }
  void flush() noexcept;
  /** The end mark, zeros up to a full byte; returns the end of the stream. */
  uint8_t* finish() noexcept {
    put(1, 1);
    flush();
    return at_ + (count_ > 0 ? 1 : 0);
  }

 private:
  uint8_t* at_;
  uint64_t word_ = 0;
  int count_ = 0;
};

inline void store_le64(uint8_t* out, uint64_t value) noexcept {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  __builtin_memcpy(out, &value, 8);
#else
  for (int i = 0; i < 8; i++) out[i] = static_cast<uint8_t>(value >> (8 * i));
#endif
}

inline void BitWriter::flush() noexcept {
  store_le64(at_, word_);
  const int bytes = count_ >> 3;
  at_ += bytes;
  // A count of 64 cannot be: put() leaves at most 57 + 7 = 64 only when nothing was over before.
  word_ = bytes == 8 ? 0 : word_ >> (8 * bytes);
  count_ &= 7;
}

inline void fse_put(const FseEncoder& encoder, uint32_t* state, int symbol, BitWriter& bits) noexcept {
  const FseEncoder::Symbol& s = encoder.symbols[symbol];
  const int count = static_cast<int>((*state + s.delta_bits) >> 16);
  bits.put_state(*state, count);
  *state = encoder.next[static_cast<int32_t>(*state >> count) + s.delta_state];
}

}  // namespace millrace
