#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/simd_level.h"

namespace millrace {

/** Byte p of element i goes to planes[p · elements + i]. The two must not overlap. */
void shuffle_planes(SimdLevel level, const uint8_t* src, size_t elements, uint32_t item_bytes,
                    uint8_t* planes) noexcept;

}  // namespace millrace
