#include "codec.h"

#include "encoder/block_encoder.h"

namespace millrace {
namespace {

Status encode_as_blosc(const ChunkInput& chunk, void* scratch, uint8_t* out, size_t capacity,
                       size_t* out_bytes) noexcept {
  return encode_blosc(simd_level(), chunk.data, chunk.bytes, chunk.item_bytes, scratch, out, capacity, out_bytes,
                      {chunk.fill, chunk.context});
}

/** Its period is the chunk's, so the chunk has to be there as a whole. */
Status encode_as_zstd(const ChunkInput& chunk, void* scratch, uint8_t* out, size_t capacity,
                      size_t* out_bytes) noexcept {
  const Status filled = chunk.fill == nullptr ? Status::ok : chunk.fill(chunk.context, chunk.bytes);
  if (filled != Status::ok) return filled;
  return encode_zstd(simd_level(), chunk.data, chunk.bytes, chunk.item_bytes, scratch, out, capacity, out_bytes);
}

constexpr ChunkCodec kBlosc{encoder_scratch_bytes, encode_as_blosc};
constexpr ChunkCodec kZstd{encoder_scratch_bytes, encode_as_zstd};

}  // namespace

Status find_codec(uint32_t number, const ChunkCodec** codec) noexcept {
  *codec = number == kCodecBlosc ? &kBlosc : number == kCodecZstd ? &kZstd : nullptr;
  return *codec != nullptr || number == kCodecNone ? Status::ok : Status::unsupported;
}

}  // namespace millrace
