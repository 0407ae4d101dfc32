#pragma once

#include <cstddef>
#include <cstdint>

#include "status.h"

namespace millrace {

/** A chunk that may still be on its way into memory. */
struct ChunkInput {
  const uint8_t* data;
  size_t bytes;
  uint32_t item_bytes;
  /**
   * Null, or brings the bytes before `end` into data; those that were there before stay. What it brings is still in the
   * cache when it is read right after. Another status than ok ends the encoding with it.
   */
  Status (*fill)(void* context, size_t end) noexcept;
  void* context;
};

/** What the encode pool needs of a codec. One constant object a codec; the state of a run lives in the thread's
 * scratch. */
struct ChunkCodec {
  /** Bytes of scratch that encode() needs for a chunk of this size; allocated once a thread, 64-byte aligned, not
   * cleared. */
  size_t (*scratch_bytes)(size_t chunk_bytes, uint32_t item_bytes) noexcept;

  /**
   * Encodes one dense chunk into [out, out + capacity) and says how many bytes that took. Runs on many threads at once,
   * each with its own scratch. `codec_failed` when capacity is too small; what out then holds is anything.
   */
  Status (*encode)(const ChunkInput& chunk, void* scratch, uint8_t* out, size_t capacity, size_t* out_bytes) noexcept;
};

/** Number of codec "none", which has no ChunkCodec: the pool gathers straight into the output. */
constexpr uint32_t kCodecNone = 0;
/** The block encoder (encoder/block_encoder.h), as Blosc1 containers and as zstd frames. */
constexpr uint32_t kCodecBlosc = 1;
constexpr uint32_t kCodecZstd = 2;

/** Finds a codec by the number that the addon's interface uses. `unsupported` for a number nobody has; none gives
 * nullptr. */
Status find_codec(uint32_t number, const ChunkCodec** codec) noexcept;

}  // namespace millrace
