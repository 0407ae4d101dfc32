#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace {

/**
 * CRC-32C (Castagnoli polynomial, reflected, RFC 3720 appendix B.4) of `size` bytes. `seed` is the result for the bytes
 * before these, 0 at the start. Any thread.
 */
uint32_t crc32c(const uint8_t* data, size_t size, uint32_t seed = 0) noexcept;

/** The same by tables alone: what machines without a CRC instruction run, and what tests compare with. */
uint32_t crc32c_portable(const uint8_t* data, size_t size, uint32_t seed = 0) noexcept;

/** "sse4.2", "armv8" or "portable": what crc32c() picked on this machine. */
const char* crc32c_variant() noexcept;

}  // namespace millrace
