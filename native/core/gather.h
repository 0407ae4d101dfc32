#pragma once

#include <cstddef>
#include <cstdint>

#include "status.h"

// Cuts a box out of a strided array and lays it down as one dense, padded chunk.
namespace millrace {

constexpr uint32_t kRankMax = 32;

/** A checked description; plain data, shared between threads once made. */
struct GatherPlan {
  uint32_t item_bytes;
  uint32_t rank;
  uint64_t chunk_shape[kRankMax];  // elements, slowest first
  uint64_t src_strides[kRankMax];  // bytes, slowest first; the last is item_bytes
  uint64_t chunk_bytes;
  uint8_t fill[64];       // padding, one element over and over
  bool fill_is_one_byte;  // all of its bytes are equal: memset will do
};

/**
 * Checks and fills `plan`. item_bytes is 1, 2, 4 or 8; rank 1 … 32; every extent of the chunk at least 1; the last
 * stride equals item_bytes; chunk_bytes below 2^48. `fill` is one element. `bad_argument` otherwise.
 */
Status gather_plan(uint32_t item_bytes, uint32_t rank, const uint32_t* chunk_shape, const uint64_t* src_strides,
                   const uint8_t* fill, GatherPlan* plan) noexcept;

/**
 * Writes plan.chunk_bytes bytes at dst + dst_offset. Element (i0 … in-1) comes from src + src_offset + Σ ik ·
 * src_strides[k] where every ik < extents[k], and is the fill elsewhere; an extent of 0 gives a chunk of fill.
 * `out_of_range`, with nothing read or written, when the box leaves [src, src + src_size), the chunk leaves
 * [dst, dst + dst_size), or an extent is larger than the chunk. Any thread. No alignment needed; src and dst must not
 * overlap.
 */
Status gather(const GatherPlan& plan, const uint8_t* src, size_t src_size, uint64_t src_offset, const uint32_t* extents,
              uint8_t* dst, size_t dst_size, uint64_t dst_offset) noexcept;

/**
 * The chunk's bytes where they lie, when they lie together in the source and nothing of it is padding; else nullptr.
 * Same checks as gather().
 */
const uint8_t* gather_in_place(const GatherPlan& plan, const uint8_t* src, size_t src_size, uint64_t src_offset,
                               const uint32_t* extents) noexcept;

/** A gather that goes on in steps, in the order of the chunk's bytes. Plain data; what it points to is the caller's. */
struct SteppedGather {
  const GatherPlan* plan;
  const uint8_t* src;
  size_t src_size;
  uint64_t src_offset;
  const uint32_t* extents;
  uint8_t* dst;             // plan->chunk_bytes bytes
  uint64_t done_bytes = 0;  // of dst, from its front
};

/** Goes on until at least `end` bytes are there, at most plan->chunk_bytes. `out_of_range` as gather(). */
Status gather_until(SteppedGather* gathered, uint64_t end) noexcept;

/** Which row copy this machine uses: "avx2", "sse2", "neon" or "portable". */
const char* gather_variant() noexcept;

}  // namespace millrace
