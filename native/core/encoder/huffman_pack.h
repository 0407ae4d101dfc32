#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/simd_level.h"

namespace millrace {

/** Codes as the packers want them. */
struct PackTable {
  alignas(64) uint8_t low[256];   // the lower eight bits of the value
  alignas(64) uint8_t high[256];  // length << 3 | the upper three bits of the value
  uint32_t entry[256];            // length << 16 | value
};

void prepare_pack(const uint16_t values[256], const uint8_t lengths[256], PackTable* table) noexcept;

/** Room for one stream of `literals`: codes of 11 bits, the end mark, and what wide stores write behind it. */
constexpr size_t stream_room(size_t literals) noexcept { return literals * 11 / 8 + 24; }

/** Packs literals into one stream (docs/encoder.md §4) and returns its bytes. Reads nothing outside of the literals. */
size_t pack_huffman1(const uint8_t* literals, size_t count, const PackTable& table, uint8_t* out) noexcept;

/**
 * Packs into four streams of ⌈count / 4⌉ literals, the last one shorter; count ≥ 256. Stream k goes to out + k ·
 * stride, where stride holds stream_room(⌈count / 4⌉). They are put in their place afterwards: to pack them there,
 * their sizes would have to be counted first, and that costs more than the copy.
 */
void pack_huffman4(SimdLevel level, const uint8_t* literals, size_t count, const PackTable& table, uint8_t* out,
                   size_t stride, size_t stream_bytes[4]) noexcept;

}  // namespace millrace
