#include "codec.h"

#include "encoder/block_encoder.h"

namespace millrace {
namespace {

Status encode_as_blosc(const uint8_t* chunk, size_t chunk_bytes, uint32_t item_bytes, void* scratch, uint8_t* out,
                       size_t capacity, size_t* out_bytes) noexcept {
  return encode_blosc(simd_level(), chunk, chunk_bytes, item_bytes, scratch, out, capacity, out_bytes);
}

Status encode_as_zstd(const uint8_t* chunk, size_t chunk_bytes, uint32_t item_bytes, void* scratch, uint8_t* out,
                      size_t capacity, size_t* out_bytes) noexcept {
  return encode_zstd(simd_level(), chunk, chunk_bytes, item_bytes, scratch, out, capacity, out_bytes);
}

constexpr ChunkCodec kBlosc{encoder_scratch_bytes, encode_as_blosc};
constexpr ChunkCodec kZstd{encoder_scratch_bytes, encode_as_zstd};

}  // namespace

Status find_codec(uint32_t number, const ChunkCodec** codec) noexcept {
  *codec = number == kCodecBlosc ? &kBlosc : number == kCodecZstd ? &kZstd : nullptr;
  return *codec != nullptr || number == kCodecNone ? Status::ok : Status::unsupported;
}

}  // namespace millrace
