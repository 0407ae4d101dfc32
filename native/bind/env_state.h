#pragma once

#include <node_api.h>

#include <cstdlib>
#include <memory>
#include <unordered_map>
#include <vector>

namespace millrace::bind {

class PoolBinding;

/**
 * What one JavaScript thread has running. The addon is loaded once a process but initialized once a thread; nothing
 * here is shared. When the thread ends, pools are joined first, then its regions leave the table, then its copy helpers
 * are given back.
 */
struct EnvState {
  std::unordered_map<uint64_t, napi_ref> regions;  // what keeps the memory of this thread's regions alive
  std::vector<std::shared_ptr<PoolBinding>> pools;
  int copy_starts = 0;
  /** What encodeChunk() works in; grows to the largest chunk seen. */
  struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<void, Free> encode_scratch;
  size_t encode_scratch_bytes = 0;

  static bool attach(napi_env env);
  static EnvState& of(napi_env env) noexcept;
};

bool export_crc32c(napi_env env, napi_value exports) noexcept;
bool export_regions(napi_env env, napi_value exports) noexcept;
bool export_copy_pool(napi_env env, napi_value exports) noexcept;
bool export_gather(napi_env env, napi_value exports) noexcept;
bool export_encode_pool(napi_env env, napi_value exports) noexcept;
bool export_encoder(napi_env env, napi_value exports) noexcept;
bool export_direct_io(napi_env env, napi_value exports) noexcept;

}  // namespace millrace::bind
