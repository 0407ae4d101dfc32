#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace {

/**
 * Gives the whole pages of [data, data + size) back to the system: they read as zero afterwards, and take memory again
 * only when they are touched. Returns the bytes given back; 0 where the system cannot. The content must not be needed
 * any more.
 */
size_t release_pages(uint8_t* data, size_t size) noexcept;

}  // namespace millrace
