#pragma once

#include <cstdint>

namespace millrace {

constexpr int kCodeBitsMax = 11;

/**
 * Code lengths of docs/encoder.md §5: package-merge with a limit of 11 bits and its tie rules. `counts` of the values
 * up to and including `last`, at least two of which are not zero, with a sum below 2^20. lengths[s] is 0 for what does
 * not occur; all 256 are written. Returns the greatest length.
 */
int huffman_lengths(const uint32_t counts[256], int last, uint8_t lengths[256]) noexcept;

/**
 * The same by package-merge alone, without the shorter way that huffman_lengths() takes where no code is too long. For
 * tests.
 */
int huffman_lengths_by_packages(const uint32_t counts[256], int last, uint8_t lengths[256]) noexcept;

}  // namespace millrace
