#pragma once

#include <node_api.h>

#include <cstdint>
#include <limits>

#include "no_throw.h"
#include "status.h"

// Argument checks of every exported function. Rules:
// - Functions that say false have thrown a JavaScript Error with a code; the caller returns nullptr at once.
// - Whatever can run JavaScript (reading properties of a caller's object) comes first, pointers into views come last: a
// getter
//   could detach the buffer between the two.
namespace millrace::bind {

/** Largest integer a JavaScript number holds exactly. */
constexpr uint64_t kSafeInteger = (uint64_t{1} << 53) - 1;

/** Throws an Error with `code` ("NATIVE_…") and a printf-style message. Returns nullptr, for `return fail(…)`. */
__attribute__((format(printf, 3, 4))) napi_value fail(napi_env env, const char* code, const char* format, ...) noexcept;

/** Makes such an Error without throwing it. */
napi_value make_error(napi_env env, const char* code, const char* message) noexcept;

/** The code for a status of core: NATIVE_OUT_OF_RANGE and so on. */
const char* status_code(Status status) noexcept;

/** Bytes of a view. Borrowed: valid until JavaScript runs again, unless the memory is pinned by other means. */
struct Bytes {
  uint8_t* data = nullptr;
  size_t size = 0;
};

/** The arguments of one call. `function` is its JavaScript name, for messages. */
class Args {
 public:
  static constexpr size_t kMax = 6;

  Args(napi_env call_env, napi_callback_info call_info, const char* function_name) noexcept
      : env(call_env), function(function_name), info_(call_info) {}

  /** Reads the arguments; false when there are fewer than `least` or more than `most`. */
  bool read(size_t least, size_t most) noexcept;
  bool has(size_t index) const noexcept;

  /** A whole number in [0, most]. */
  bool count(size_t index, const char* name, uint64_t* value, uint64_t most = kSafeInteger) noexcept;
  bool boolean(size_t index, const char* name, bool* value) noexcept;
  bool callback(size_t index, const char* name) noexcept;
  /** A Uint8Array or Buffer over any kind of buffer; detached ones are refused. */
  bool bytes(size_t index, const char* name, Bytes* value) noexcept;
  /** Any TypedArray or DataView, as bytes. */
  bool any_bytes(size_t index, const char* name, Bytes* value) noexcept;

  napi_value operator[](size_t index) const noexcept { return values_[index]; }

  napi_env const env;
  const char* const function;

 private:
  napi_callback_info info_;
  size_t given_ = 0;
  napi_value values_[kMax];
};

// The same checks for values that are properties of an argument.
bool value_count(napi_env env, const char* function, const char* name, napi_value value, uint64_t most,
                 uint64_t* out) noexcept;
bool value_bytes(napi_env env, const char* function, const char* name, napi_value value, Bytes* out) noexcept;
bool value_u32s(napi_env env, const char* function, const char* name, napi_value value, const uint32_t** data,
                size_t* length) noexcept;
bool value_f64s(napi_env env, const char* function, const char* name, napi_value value, const double** data,
                size_t* length) noexcept;
/** Reads a property; may run JavaScript. */
bool property(napi_env env, const char* function, napi_value object, const char* name, napi_value* out) noexcept;
/** A double that is a whole number in [0, 2^53). */
bool to_count(double value, uint64_t* out) noexcept;

/** Exported functions never let a C++ exception reach Node. */
template <napi_value (*kBody)(napi_env, napi_callback_info)>
napi_value guarded(napi_env env, napi_callback_info info) noexcept {
  return no_throw([&] { return kBody(env, info); },
                  [&](const char* code, const char* message) { return fail(env, code, "%s", message); });
}

template <napi_value (*kBody)(napi_env, napi_callback_info)>
bool export_function(napi_env env, napi_value exports, const char* name) noexcept {
  napi_value function;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, guarded<kBody>, nullptr, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}

}  // namespace millrace::bind
