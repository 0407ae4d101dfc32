#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// A decoder of what the block encoder writes, and of nothing else: it refuses whatever docs/encoder.md does not allow,
// also where a stock decoder would be patient (bits left over, sizes in a longer form than needed, a block that should
// have been Raw). For tests and the fuzzer: slow, allocates, throws StrictError.
namespace millrace::strict {

struct StrictError {
  std::string what;
};

/** One zstd frame that fills [frame, frame + bytes); `content_bytes` must be what it states. */
std::vector<uint8_t> decode_frame(const uint8_t* frame, size_t bytes, size_t content_bytes, bool blosc);

/** A chunk of codec zstd. */
std::vector<uint8_t> decode_zstd(const uint8_t* encoded, size_t bytes, size_t chunk_bytes);

/** A chunk of codec blosc. */
std::vector<uint8_t> decode_blosc(const uint8_t* encoded, size_t bytes, size_t chunk_bytes, uint32_t item_bytes);

}  // namespace millrace::strict
