#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/simd_level.h"
#include "status.h"

namespace millrace {

/** Version of docs/encoder.md. The bytes of a chunk change only with it. */
constexpr uint32_t kEncoderVersion = 1;

/** Bytes that encode_blosc() and encode_zstd() work in, 64-byte aligned, not cleared. */
size_t encoder_scratch_bytes(size_t chunk_bytes, uint32_t item_bytes) noexcept;

/** Brings the bytes of a chunk before `end` into its memory, block by block as they are needed; see ChunkInput. */
struct ChunkFill {
  Status (*until)(void* context, size_t end) noexcept = nullptr;
  void* context = nullptr;
};

/**
 * Encodes a chunk as a Blosc1 container, or as one zstd frame; docs/encoder.md. Any thread, with a scratch of its own;
 * allocates nothing. `bad_argument` for a chunk that is empty, not whole elements, of elements outside 1 … 255 bytes,
 * or larger than 2^31 − 17 bytes; `codec_failed` when the result does not fit into `capacity` bytes. Writes nothing
 * outside of [out, out + capacity); behind the result that may hold anything. The chunk must not overlap it.
 */
Status encode_blosc(SimdLevel level, const uint8_t* chunk, size_t chunk_bytes, uint32_t item_bytes, void* scratch,
                    uint8_t* out, size_t capacity, size_t* out_bytes, ChunkFill fill = {}) noexcept;
Status encode_zstd(SimdLevel level, const uint8_t* chunk, size_t chunk_bytes, uint32_t item_bytes, void* scratch,
                   uint8_t* out, size_t capacity, size_t* out_bytes) noexcept;

}  // namespace millrace
