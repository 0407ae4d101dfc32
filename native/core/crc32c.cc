#include "crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

namespace millrace {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78u;  // Castagnoli, bit-reversed

using ByteTable = std::array<uint32_t, 256>;

constexpr std::array<ByteTable, 8> make_slicing_tables() {
  std::array<ByteTable, 8> tables{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t slice = 1; slice < 8; slice++) {
    for (size_t byte = 0; byte < 256; byte++) {
      const uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr std::array<ByteTable, 8> kSlicing = make_slicing_tables();

uint64_t load_u64(const uint8_t* p) noexcept {
  uint64_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/** Works on the inverted register; callers invert before and after. */
uint32_t update_portable(uint32_t crc, const uint8_t* p, size_t size) noexcept {
  for (; size >= 8; size -= 8, p += 8) {
    const uint64_t word = load_u64(p) ^ crc;
    crc = kSlicing[7][word & 0xff] ^ kSlicing[6][(word >> 8) & 0xff] ^ kSlicing[5][(word >> 16) & 0xff] ^
          kSlicing[4][(word >> 24) & 0xff] ^ kSlicing[3][(word >> 32) & 0xff] ^ kSlicing[2][(word >> 40) & 0xff] ^
          kSlicing[1][(word >> 48) & 0xff] ^ kSlicing[0][word >> 56];
  }
  for (; size > 0; size--, p++) crc = (crc >> 8) ^ kSlicing[0][(crc ^ *p) & 0xff];
  return crc;
}

#if defined(__x86_64__) || (defined(__aarch64__) && defined(__linux__))

// One CRC instruction takes 8 bytes and has a latency of 3 cycles at a throughput of 1, so three independent streams
// keep the unit busy. Joining them means "append `n` zero bytes" to a register: linear over GF(2), hence four byte
// tables per length.
constexpr size_t kLongRun = 4096;
constexpr size_t kShortRun = 256;

using ShiftTable = std::array<ByteTable, 4>;

struct ShiftTables {
  ShiftTable long_run;
  ShiftTable short_run;

  ShiftTables() noexcept {
    build(long_run, kLongRun);
    build(short_run, kShortRun);
  }

  static void build(ShiftTable& table, size_t zero_bytes) noexcept {
    uint32_t column[32];  // image of each register bit
    for (int bit = 0; bit < 32; bit++) {
      uint32_t crc = 1u << bit;
      for (size_t i = 0; i < zero_bytes; i++) crc = (crc >> 8) ^ kSlicing[0][crc & 0xff];
      column[bit] = crc;
    }
    for (int byte = 0; byte < 4; byte++) {
      for (uint32_t value = 0; value < 256; value++) {
        uint32_t image = 0;
        for (int bit = 0; bit < 8; bit++) {
          if ((value >> bit & 1u) != 0) image ^= column[8 * byte + bit];
        }
        table[byte][value] = image;
      }
    }
  }
};

const ShiftTables& shift_tables() noexcept {
  static const ShiftTables& tables = *new ShiftTables();  // never destroyed: helper threads may outlive exit()
  return tables;
}

inline uint32_t shift(const ShiftTable& table, uint32_t crc) noexcept {
  return table[0][crc & 0xff] ^ table[1][(crc >> 8) & 0xff] ^ table[2][(crc >> 16) & 0xff] ^ table[3][crc >> 24];
}

#if defined(__x86_64__)
#define MILLRACE_CRC_TARGET __attribute__((target("sse4.2")))
#define MILLRACE_CRC_U64(crc, word) _mm_crc32_u64(crc, word)
#define MILLRACE_CRC_U8(crc, byte) _mm_crc32_u8(static_cast<uint32_t>(crc), byte)
#else
#define MILLRACE_CRC_TARGET __attribute__((target("+crc")))
#define MILLRACE_CRC_U64(crc, word) __builtin_aarch64_crc32cx(static_cast<uint32_t>(crc), word)
#define MILLRACE_CRC_U8(crc, byte) __builtin_aarch64_crc32cb(static_cast<uint32_t>(crc), byte)
#endif

template <size_t kRun>
MILLRACE_CRC_TARGET inline uint64_t update_three(uint64_t crc, const uint8_t*& p, size_t& size,
                                                 const ShiftTable& table) noexcept {
  while (size >= 3 * kRun) {
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kRun; i += 8) {
      crc = MILLRACE_CRC_U64(crc, load_u64(p + i));
      second = MILLRACE_CRC_U64(second, load_u64(p + kRun + i));
      third = MILLRACE_CRC_U64(third, load_u64(p + 2 * kRun + i));
    }
    crc = shift(table, static_cast<uint32_t>(crc)) ^ second;
    crc = shift(table, static_cast<uint32_t>(crc)) ^ third;
    p += 3 * kRun;
    size -= 3 * kRun;
  }
  return crc;
}

MILLRACE_CRC_TARGET uint32_t update_hardware(uint32_t start, const uint8_t* p, size_t size) noexcept {
  uint64_t crc = start;
  if (size >= 3 * kShortRun) {
    const ShiftTables& tables = shift_tables();
    crc = update_three<kLongRun>(crc, p, size, tables.long_run);
    crc = update_three<kShortRun>(crc, p, size, tables.short_run);
  }
  for (; size >= 8; size -= 8, p += 8) crc = MILLRACE_CRC_U64(crc, load_u64(p));
  for (; size > 0; size--, p++) crc = MILLRACE_CRC_U8(crc, *p);
  return static_cast<uint32_t>(crc);
}

bool has_hardware() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") != 0;
#else
  return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
}

#endif

using Update = uint32_t (*)(uint32_t, const uint8_t*, size_t) noexcept;

struct Choice {
  Update update;
  const char* name;
};

Choice choose() noexcept {
#if defined(__x86_64__)
  if (has_hardware()) return {update_hardware, "sse4.2"};
#elif defined(__aarch64__) && defined(__linux__)
  if (has_hardware()) return {update_hardware, "armv8"};
#endif
  return {update_portable, "portable"};
}

const Choice& choice() noexcept {
  static const Choice chosen = choose();
  return chosen;
}

}  // namespace

uint32_t crc32c(const uint8_t* data, size_t size, uint32_t seed) noexcept {
  return ~choice().update(~seed, data, size);
}

uint32_t crc32c_portable(const uint8_t* data, size_t size, uint32_t seed) noexcept {
  return ~update_portable(~seed, data, size);
}

const char* crc32c_variant() noexcept { return choice().name; }

}  // namespace millrace
