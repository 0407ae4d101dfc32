#include "codec.h"

namespace millrace {

Status find_codec(uint32_t number, const ChunkCodec** codec) noexcept {
  *codec = nullptr;
  return number == kCodecNone ? Status::ok : Status::unsupported;
}

}  // namespace millrace
