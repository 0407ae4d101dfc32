#include "bind/env_state.h"
#include "bind/napi_args.h"
#include "crc32c.h"

namespace millrace::bind {
namespace {

napi_value crc32c_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "crc32c");
  uint64_t seed = 0;
  Bytes data;
  if (!args.read(1, 2)) return nullptr;
  if (args.has(1) && !args.count(1, "seed", &seed, 0xffffffffu)) return nullptr;
  if (!args.bytes(0, "data", &data)) return nullptr;
  napi_value result = nullptr;
  napi_create_uint32(env, crc32c(data.data, data.size, static_cast<uint32_t>(seed)), &result);
  return result;
}

}  // namespace

bool export_crc32c(napi_env env, napi_value exports) noexcept {
  return export_function<crc32c_js>(env, exports, "crc32c");
}

}  // namespace millrace::bind
