#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/equal_runs.h"
#include "encoder/huffman_pack.h"
#include "encoder/sequences.h"
#include "encoder/simd_level.h"

namespace millrace {

/** Most content of a block; docs/encoder.md §1. */
constexpr size_t kBlockBytesMax = 32768;
constexpr size_t kBlockHeaderBytes = 3;

constexpr size_t kStreamStride = stream_room(kBlockBytesMax / 4);

/** What encoding a block works in. Nothing in it lives longer than a block. */
struct BlockScratch {
  Run runs[runs_max(kBlockBytesMax)];
  uint8_t literals[kBlockBytesMax + 64];  // copies overshoot
  uint8_t codes[2 * kSequencesMax];
  uint8_t sequences[sequences_room(kSequencesMax)];
  PackTable pack;
  uint8_t streams[4 * kStreamStride];
};

/**
 * docs/encoder.md §3: writes one block with its header to `out`, which has room for kBlockHeaderBytes + bytes, and
 * returns what that took. 1 ≤ bytes ≤ kBlockBytesMax. Reads nothing outside of the block.
 */
size_t encode_block(SimdLevel level, const uint8_t* block, size_t bytes, uint32_t period, bool last,
                    BlockScratch* scratch, uint8_t* out) noexcept;

}  // namespace millrace
