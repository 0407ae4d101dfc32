#include "bind/env_state.h"
#include "bind/napi_args.h"
#include "copy_pool.h"
#include "regions.h"

namespace millrace::bind {
namespace {

napi_value copy_start_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "copyStart");
  uint64_t helpers;
  if (!args.read(1, 1) || !args.count(0, "helpers", &helpers, kCopyHelpersMax)) return nullptr;
  const int running = copy_start(static_cast<int>(helpers));
  EnvState::of(env).copy_starts++;
  napi_value result = nullptr;
  napi_create_int32(env, running, &result);
  return result;
}

napi_value copy_stop_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "copyStop");
  if (!args.read(0, 0)) return nullptr;
  EnvState& state = EnvState::of(env);
  if (state.copy_starts == 0)
    return fail(env, "NATIVE_ARGUMENT", "copyStop: this thread has no copyStart left to undo");
  state.copy_starts--;
  copy_stop();
  return nullptr;
}

napi_value copy_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "copy");
  uint64_t region, dst_offset, src_offset, length;
  Bytes src;
  if (!args.read(5, 5) || !args.count(0, "regionId", &region) || !args.count(1, "dstOffset", &dst_offset) ||
      !args.count(3, "srcOffset", &src_offset) || !args.count(4, "length", &length) ||
      !args.any_bytes(2, "src", &src)) {
    return nullptr;
  }
  if (src_offset > src.size || length > src.size - src_offset) {
    return fail(env, "NATIVE_OUT_OF_RANGE", "copy: srcOffset %.0f + length %.0f is past the source's %zu bytes",
                static_cast<double>(src_offset), static_cast<double>(length), src.size);
  }
  RegionPin dst;
  const Status status = RegionPin::acquire(region, &dst);
  if (status != Status::ok) {
    return fail(env, status_code(status), "copy: region %.0f: %s", static_cast<double>(region), status_name(status));
  }
  if (dst_offset > dst.size() || length > dst.size() - dst_offset) {
    return fail(env, "NATIVE_OUT_OF_RANGE", "copy: dstOffset %.0f + length %.0f is past the region's %zu bytes",
                static_cast<double>(dst_offset), static_cast<double>(length), dst.size());
  }
  const uint8_t* const from = src.data + src_offset;
  uint8_t* const to = dst.data() + dst_offset;
  // A program may hand out a view of the very staging memory (reserve); such a copy must not be sliced.
  if (from < to + length && to < from + length) {
    __builtin_memmove(to, from, length);
  } else {
    copy_parallel(to, from, length);
  }
  return nullptr;
}

}  // namespace

bool export_copy_pool(napi_env env, napi_value exports) noexcept {
  return export_function<copy_start_js>(env, exports, "copyStart") &&
         export_function<copy_stop_js>(env, exports, "copyStop") && export_function<copy_js>(env, exports, "copy");
}

}  // namespace millrace::bind
