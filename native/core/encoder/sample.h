#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/simd_level.h"

namespace millrace {

constexpr size_t kSampleGroup = 64;

/**
 * docs/encoder.md §1 step 1: one group of 64 bytes in eight, not always the same one, so that rows of any length are
 * met everywhere. Calls take(position) for each; returns the number of sampled bytes.
 */
template <typename Take>
inline size_t for_each_sampled_group(size_t bytes, Take take) noexcept {
  const size_t groups = bytes / kSampleGroup;
  size_t sampled = 0;
  for (size_t octet = 0; octet * 8 < groups; octet++) {
    const size_t group = octet * 8 + (5 * octet) % 8;
    if (group >= groups) continue;
    take(group * kSampleGroup);
    sampled += kSampleGroup;
  }
  return sampled;
}

/** §1: k* of a frame's content before it is shuffled, in elements, from 1 to 4. */
uint32_t frame_period(SimdLevel level, const uint8_t* content, size_t bytes, uint32_t item_bytes) noexcept;

/**
 * §3.3: whether a block of 16,384 bytes or more is stored untried, by its histogram; the caller has looked at its equal
 * positions.
 */
bool looks_flat(const uint8_t* block, size_t bytes) noexcept;

}  // namespace millrace
