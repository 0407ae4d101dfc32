#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace {

/** Longest tree description: 64 bytes of direct weights behind a byte, or a byte and less than 128. */
constexpr size_t kTreeBytesMax = 128;

/**
 * docs/encoder.md §5: canonical values of the codes; `longest` is the greatest length. Values of absent symbols are 0.
 */
void huffman_values(const uint8_t lengths[256], int last, int longest, uint16_t values[256]) noexcept;

/**
 * §5: the tree description, the shorter of direct weights and FSE. Returns its bytes, 0 when neither form is possible.
 */
size_t describe_tree(const uint8_t lengths[256], int last, int longest, uint8_t out[kTreeBytesMax]) noexcept;

}  // namespace millrace
