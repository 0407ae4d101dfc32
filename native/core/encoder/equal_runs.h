#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/simd_level.h"

namespace millrace {

/** An interval of a block. */
struct Run {
  uint32_t start;
  uint32_t length;
};

/** Runs of this length or longer are looked at: docs/encoder.md §3.4. */
constexpr uint32_t kRunLengthMin = 3;

/** Most runs that a block of `bytes` can have: each is followed by a byte that ends it. */
constexpr size_t runs_max(size_t bytes) noexcept { return bytes / (kRunLengthMin + 1) + 1; }

/**
 * Position i of the block is equal when i ≥ period and src[i] = src[i − period]. Finds the maximal intervals of equal
 * positions that are at least kRunLengthMin long, in order; `runs` holds runs_max(bytes). `equal_count` receives the
 * number of all equal positions. bytes ≤ 2^31. Returns the number of runs.
 */
size_t find_equal_runs(SimdLevel level, const uint8_t* src, size_t bytes, uint32_t period, Run* runs,
                       size_t* equal_count) noexcept;

}  // namespace millrace
