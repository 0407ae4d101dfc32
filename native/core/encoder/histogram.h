#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/simd_level.h"

namespace millrace {

/** How often each byte occurs; `counts` is overwritten. */
void histogram(SimdLevel level, const uint8_t* src, size_t bytes, uint32_t counts[256]) noexcept;

}  // namespace millrace
