#include "bind/env_state.h"
#include "bind/napi_args.h"
#include "codec.h"

namespace millrace::bind {
namespace {

constexpr size_t kScratchAlign = 64;
constexpr uint64_t kChunkBytesMax = 0xffffffffu;

bool read_codec(Args& args, const ChunkCodec** codec, uint64_t* item_bytes) noexcept {
  uint64_t number;
  if (!args.count(0, "codec", &number, 0xffffffffu) || !args.count(1, "itemBytes", item_bytes, 255)) return false;
  if (find_codec(static_cast<uint32_t>(number), codec) == Status::ok && *codec != nullptr) return true;
  fail(args.env, "NATIVE_CODEC_UNKNOWN", "%s: no codec that encodes has number %.0f", args.function,
       static_cast<double>(number));
  return false;
}

napi_value encode_chunk_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "encodeChunk");
  const ChunkCodec* codec;
  uint64_t item_bytes;
  Bytes src, dst;
  if (!args.read(4, 4) || !read_codec(args, &codec, &item_bytes) || !args.bytes(2, "src", &src) ||
      !args.bytes(3, "dst", &dst)) {
    return nullptr;
  }
  if (src.size == 0 || src.size > kChunkBytesMax || item_bytes == 0 || src.size % item_bytes != 0) {
    return fail(env, "NATIVE_ARGUMENT", "encodeChunk: a chunk of %zu bytes is not whole elements of %.0f", src.size,
                static_cast<double>(item_bytes));
  }
  EnvState& state = EnvState::of(env);
  const size_t needed = codec->scratch_bytes(src.size, static_cast<uint32_t>(item_bytes));
  if (needed > state.encode_scratch_bytes) {
    state.encode_scratch_bytes = (needed + kScratchAlign - 1) / kScratchAlign * kScratchAlign;
    state.encode_scratch.reset();
    state.encode_scratch.reset(std::aligned_alloc(kScratchAlign, state.encode_scratch_bytes));
    if (state.encode_scratch == nullptr) {
      state.encode_scratch_bytes = 0;
      return fail(env, "NATIVE_NO_MEMORY", "encodeChunk: no memory for %zu bytes of scratch", needed);
    }
  }
  size_t out_bytes = 0;
  const ChunkInput chunk{src.data, src.size, static_cast<uint32_t>(item_bytes), nullptr, nullptr};
  const Status status = codec->encode(chunk, state.encode_scratch.get(), dst.data, dst.size, &out_bytes);
  if (status != Status::ok) {
    return fail(env, status_code(status), "encodeChunk: %s: %zu bytes do not go into %zu", status_name(status),
                src.size, dst.size);
  }
  napi_value result = nullptr;
  napi_create_double(env, static_cast<double>(out_bytes), &result);
  return result;
}

napi_value scratch_bytes_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "encoderScratchBytes");
  const ChunkCodec* codec;
  uint64_t item_bytes, chunk_bytes;
  if (!args.read(3, 3) || !read_codec(args, &codec, &item_bytes) ||
      !args.count(2, "chunkBytes", &chunk_bytes, kChunkBytesMax)) {
    return nullptr;
  }
  napi_value result = nullptr;
  napi_create_double(env, static_cast<double>(codec->scratch_bytes(chunk_bytes, static_cast<uint32_t>(item_bytes))),
                     &result);
  return result;
}

}  // namespace

bool export_encoder(napi_env env, napi_value exports) noexcept {
  return export_function<encode_chunk_js>(env, exports, "encodeChunk") &&
         export_function<scratch_bytes_js>(env, exports, "encoderScratchBytes");
}

}  // namespace millrace::bind
