#include "encoder/block_encoder.h"

#include <cstring>

#include "encoder/sample.h"
#include "encoder/shuffle.h"
#include "encoder/zstd_block.h"

namespace millrace {
namespace {

constexpr size_t kChunkBytesMax = 0x7fffffff - 16;
constexpr size_t kBloscHeaderBytes = 16;
constexpr size_t kFrameHeaderMax = 10;
/** RFC 8878 3.1.1.1.2 recommends that decoders take windows of at least this size. */
constexpr size_t kSingleSegmentMax = 8 * 1024 * 1024;
constexpr uint8_t kWindow32KiB = 5 << 3;

enum BloscFlag : uint8_t { kShuffle = 0x01, kStored = 0x02, kNotSplit = 0x10, kZstd = 4 << 5 };

size_t least(size_t a, size_t b) noexcept { return a < b ? a : b; }

void put32(uint8_t* out, size_t value) noexcept {
  for (int i = 0; i < 4; i++) out[i] = static_cast<uint8_t>(value >> (8 * i));
}

bool is_chunk(size_t chunk_bytes, uint32_t item_bytes) noexcept {
  return chunk_bytes > 0 && chunk_bytes <= kChunkBytesMax && item_bytes >= 1 && item_bytes <= 255 &&
         chunk_bytes % item_bytes == 0;
}

size_t blosc_block_bytes(size_t chunk_bytes, uint32_t item_bytes) noexcept {
  return least(kBlockBytesMax * (item_bytes < 2 ? 2 : item_bytes), chunk_bytes);
}

/** Most bytes of the frame around one Blosc block: every plane may end with a block of its own. */
size_t blosc_frame_bound(size_t block_bytes, uint32_t item_bytes) noexcept {
  return kFrameHeaderMax + block_bytes + kBlockHeaderBytes * (block_bytes / kBlockBytesMax + item_bytes + 1);
}

struct Scratch {
  BlockScratch block;
  // Behind it: one block of a frame, or the planes and the frame of a Blosc block.
  uint8_t* rest() noexcept { return reinterpret_cast<uint8_t*>(this + 1); }
};

size_t put_frame_header(uint8_t* out, size_t content_bytes) noexcept {
  const bool single = content_bytes <= kSingleSegmentMax;
  static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
  std::memcpy(out, magic, 4);
  out[4] = single ? 0xa0 : 0x80;
  if (!single) out[5] = kWindow32KiB;
  put32(out + (single ? 5 : 6), content_bytes);
  return single ? 9 : 10;
}

/** The frame of one Blosc block; `out` has room for blosc_frame_bound(). */
size_t encode_planes(SimdLevel level, const uint8_t* planes, size_t elements, uint32_t item_bytes, uint32_t period,
                     BlockScratch* scratch, uint8_t* out) noexcept {
  uint8_t* at = out + put_frame_header(out, elements * item_bytes);
  for (uint32_t p = 0; p < item_bytes; p++) {
    for (size_t from = 0; from < elements; from += kBlockBytesMax) {
      const size_t bytes = least(kBlockBytesMax, elements - from);
      const bool last = p + 1 == item_bytes && from + bytes == elements;
      at += encode_block(level, planes + p * elements + from, bytes, period, last, scratch, at);
    }
  }
  return static_cast<size_t>(at - out);
}

void put_blosc_header(uint8_t* out, uint8_t flags, uint32_t item_bytes, size_t chunk_bytes, size_t block_bytes,
                      size_t total_bytes) noexcept {
  out[0] = 2;
  out[1] = 1;
  out[2] = flags;
  out[3] = static_cast<uint8_t>(item_bytes);
  put32(out + 4, chunk_bytes);
  put32(out + 8, block_bytes);
  put32(out + 12, total_bytes);
}

/**
 * The container with blocks, to `out_bytes`: 0 when it would take more than `limit` bytes. Fails only as `fill` does.
 */
Status encode_blocks(SimdLevel level, const uint8_t* chunk, size_t chunk_bytes, uint32_t item_bytes, uint8_t flags,
                     Scratch* scratch, uint8_t* out, size_t limit, size_t* out_bytes, ChunkFill fill) noexcept {
  const size_t block_bytes = blosc_block_bytes(chunk_bytes, item_bytes);
  const size_t blocks = (chunk_bytes + block_bytes - 1) / block_bytes;
  const size_t frame_bound = blosc_frame_bound(block_bytes, item_bytes);
  uint8_t* const planes_room = scratch->rest();
  uint8_t* const frame_room = planes_room + block_bytes;
  size_t at = kBloscHeaderBytes + 4 * blocks;
  if (at > limit) return Status::ok;
  for (size_t k = 0; k < blocks; k++) {
    const uint8_t* const src = chunk + k * block_bytes;
    const size_t bytes = least(block_bytes, chunk_bytes - k * block_bytes);
    if (limit - at < 4) return Status::ok;
    if (fill.until != nullptr) {
      const Status filled = fill.until(fill.context, k * block_bytes + bytes);
      if (filled != Status::ok) return filled;
    }
    put32(out + kBloscHeaderBytes + 4 * k, at);
    const uint8_t* planes = src;
    if (item_bytes > 1) {
      shuffle_planes(level, src, bytes / item_bytes, item_bytes, planes_room);
      planes = planes_room;
    }
    // After the shuffle has brought the block into the cache: the sample alone is a pattern that no prefetcher follows.
    const uint32_t period = frame_period(level, src, bytes, item_bytes);
    uint8_t* const payload = out + at + 4;
    const size_t room = limit - at - 4;
    uint8_t* const frame = room >= frame_bound ? payload : frame_room;
    size_t size = encode_planes(level, planes, bytes / item_bytes, item_bytes, period, &scratch->block, frame);
    const uint8_t* from = frame;
    if (size >= bytes) {
      size = bytes;
      from = planes;
    }
    if (size > room) return Status::ok;
    if (from != payload) std::memcpy(payload, from, size);
    put32(out + at, size);
    at += 4 + size;
  }
  put_blosc_header(out, flags, item_bytes, chunk_bytes, block_bytes, at);
  *out_bytes = at;
  return Status::ok;
}

}  // namespace

size_t encoder_scratch_bytes(size_t chunk_bytes, uint32_t item_bytes) noexcept {
  const size_t block_bytes = blosc_block_bytes(chunk_bytes, item_bytes);
  const size_t blosc = block_bytes + blosc_frame_bound(block_bytes, item_bytes);
  const size_t zstd = kBlockHeaderBytes + kBlockBytesMax;
  return sizeof(Scratch) + (blosc > zstd ? blosc : zstd);
}

Status encode_blosc(SimdLevel level, const uint8_t* chunk, size_t chunk_bytes, uint32_t item_bytes, void* scratch,
                    uint8_t* out, size_t capacity, size_t* out_bytes, ChunkFill fill) noexcept {
  *out_bytes = 0;
  if (!is_chunk(chunk_bytes, item_bytes)) return Status::bad_argument;
  const auto flags = static_cast<uint8_t>(kZstd | kNotSplit | (item_bytes > 1 ? kShuffle : 0));
  const size_t stored = kBloscHeaderBytes + chunk_bytes;
  const Status status = encode_blocks(level, chunk, chunk_bytes, item_bytes, flags, static_cast<Scratch*>(scratch), out,
                                      least(capacity, stored - 1), out_bytes, fill);
  if (status != Status::ok || *out_bytes != 0) return status;
  if (capacity < stored) return Status::codec_failed;
  if (fill.until != nullptr) {
    const Status filled = fill.until(fill.context, chunk_bytes);
    if (filled != Status::ok) return filled;
  }
  put_blosc_header(out, flags | kStored, item_bytes, chunk_bytes, blosc_block_bytes(chunk_bytes, item_bytes), stored);
  std::memcpy(out + kBloscHeaderBytes, chunk, chunk_bytes);
  *out_bytes = stored;
  return Status::ok;
}

Status encode_zstd(SimdLevel level, const uint8_t* chunk, size_t chunk_bytes, uint32_t item_bytes, void* scratch,
                   uint8_t* out, size_t capacity, size_t* out_bytes) noexcept {
  *out_bytes = 0;
  if (!is_chunk(chunk_bytes, item_bytes)) return Status::bad_argument;
  auto* const own = static_cast<Scratch*>(scratch);
  uint8_t header[kFrameHeaderMax];
  size_t at = put_frame_header(header, chunk_bytes);
  if (at > capacity) return Status::codec_failed;
  std::memcpy(out, header, at);
  const uint32_t period = frame_period(level, chunk, chunk_bytes, item_bytes) * item_bytes;
  for (size_t from = 0; from < chunk_bytes; from += kBlockBytesMax) {
    const size_t bytes = least(kBlockBytesMax, chunk_bytes - from);
    const size_t room = capacity - at;
    uint8_t* const block = room >= kBlockHeaderBytes + bytes ? out + at : own->rest();
    const bool last = from + bytes == chunk_bytes;
    const size_t size = encode_block(level, chunk + from, bytes, period, last, &own->block, block);
    if (size > room) return Status::codec_failed;
    if (block != out + at) std::memcpy(out + at, block, size);
    at += size;
  }
  *out_bytes = at;
  return Status::ok;
}

}  // namespace millrace
