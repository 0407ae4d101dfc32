#include "bind/env_state.h"
#include "bind/napi_args.h"
#include "pages.h"
#include "regions.h"

namespace millrace::bind {
namespace {

napi_value region_add_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "regionAdd");
  Bytes bytes;
  if (!args.read(1, 1) || !args.bytes(0, "bytes", &bytes)) return nullptr;
  if (bytes.size == 0) return fail(env, "NATIVE_ARGUMENT", "regionAdd: bytes is empty");
  EnvState& state = EnvState::of(env);
  napi_ref keep_alive;
  if (napi_create_reference(env, args[0], 1, &keep_alive) != napi_ok) {
    return fail(env, "NATIVE_NO_MEMORY", "regionAdd: no reference");
  }
  uint64_t id;
  const Status status = region_add(bytes.data, bytes.size, &id);
  if (status != Status::ok) {
    napi_delete_reference(env, keep_alive);
    return fail(env, status_code(status), "regionAdd: %s (%u regions at most)", status_name(status), kRegionsMax);
  }
  try {
    state.regions.emplace(id, keep_alive);
  } catch (...) {
    region_remove(id);
    napi_delete_reference(env, keep_alive);
    throw;
  }
  napi_value result = nullptr;
  napi_create_double(env, static_cast<double>(id), &result);
  return result;
}

napi_value region_remove_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "regionRemove");
  uint64_t id;
  if (!args.read(1, 1) || !args.count(0, "id", &id)) return nullptr;
  EnvState& state = EnvState::of(env);
  const auto own = state.regions.find(id);
  if (own == state.regions.end()) {
    RegionPin pin;
    if (RegionPin::acquire(id, &pin) == Status::ok) {
      return fail(env, "NATIVE_REGION_THREAD", "regionRemove: region %.0f was added by another thread",
                  static_cast<double>(id));
    }
    return fail(env, "NATIVE_REGION_UNKNOWN", "regionRemove: no region %.0f", static_cast<double>(id));
  }
  const Status status = region_remove(id);
  if (status != Status::ok) {
    return fail(env, status_code(status), "regionRemove: region %.0f: %s", static_cast<double>(id),
                status_name(status));
  }
  napi_delete_reference(env, own->second);
  state.regions.erase(own);
  return nullptr;
}

napi_value region_bytes_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "regionBytes");
  uint64_t id;
  if (!args.read(1, 1) || !args.count(0, "id", &id)) return nullptr;
  RegionPin pin;
  const Status status = RegionPin::acquire(id, &pin);
  if (status != Status::ok) {
    return fail(env, status_code(status), "regionBytes: no region %.0f", static_cast<double>(id));
  }
  napi_value result = nullptr;
  napi_create_double(env, static_cast<double>(pin.size()), &result);
  return result;
}

napi_value address_modulo_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "addressModulo");
  uint64_t alignment;
  Bytes bytes;
  if (!args.read(2, 2) || !args.count(1, "alignment", &alignment)) return nullptr;
  if (alignment == 0) return fail(env, "NATIVE_ARGUMENT", "addressModulo: alignment must not be 0");
  if (!args.bytes(0, "bytes", &bytes)) return nullptr;
  napi_value result = nullptr;
  napi_create_double(env, static_cast<double>(reinterpret_cast<uintptr_t>(bytes.data) % alignment), &result);
  return result;
}

napi_value release_pages_js(napi_env env, napi_callback_info info) {
  Args args(env, info, "releasePages");
  Bytes bytes;
  if (!args.read(1, 1) || !args.bytes(0, "bytes", &bytes)) return nullptr;
  napi_value result = nullptr;
  napi_create_double(env, static_cast<double>(release_pages(bytes.data, bytes.size)), &result);
  return result;
}

}  // namespace

bool export_regions(napi_env env, napi_value exports) noexcept {
  return export_function<region_add_js>(env, exports, "regionAdd") &&
         export_function<region_remove_js>(env, exports, "regionRemove") &&
         export_function<region_bytes_js>(env, exports, "regionBytes") &&
         export_function<address_modulo_js>(env, exports, "addressModulo") &&
         export_function<release_pages_js>(env, exports, "releasePages");
}

}  // namespace millrace::bind
