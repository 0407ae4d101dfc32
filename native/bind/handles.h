#pragma once

#include <node_api.h>

#include <memory>

#include "bind/napi_args.h"

// Native objects in JavaScript hands: an object with a type tag, so that no other addon's object can pass for ours. The
// object owns one share; work in flight owns another, so garbage collection never pulls memory from under a thread.
namespace millrace::bind {

template <typename T>
napi_value make_handle(napi_env env, const napi_type_tag& tag, std::shared_ptr<T> object) {
  auto share = std::make_unique<std::shared_ptr<T>>(std::move(object));
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<T>*>(data); };
  napi_value handle;
  if (napi_create_object(env, &handle) != napi_ok || napi_type_tag_object(env, handle, &tag) != napi_ok ||
      napi_wrap(env, handle, share.get(), finalize, nullptr, nullptr) != napi_ok) {
    return fail(env, "NATIVE_NO_MEMORY", "the handle could not be made");
  }
  share.release();
  return handle;
}

/** Null, with an error thrown, when `value` is not such a handle. */
template <typename T>
std::shared_ptr<T> unwrap_handle(napi_env env, const char* function, const char* name, const napi_type_tag& tag,
                                 napi_value value) noexcept {
  bool matches = false;
  void* share = nullptr;
  napi_valuetype type;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_object &&
      napi_check_object_type_tag(env, value, &tag, &matches) == napi_ok && matches &&
      napi_unwrap(env, value, &share) == napi_ok) {
    return *static_cast<std::shared_ptr<T>*>(share);
  }
  fail(env, "NATIVE_ARGUMENT", "%s: %s is not a handle of the right kind", function, name);
  return nullptr;
}

}  // namespace millrace::bind
